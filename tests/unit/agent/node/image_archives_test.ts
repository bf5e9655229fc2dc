import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { silentLog } from "../../../../agent/lib/log.ts";
import { AgentError, type Problem } from "../../../../agent/model/errors.ts";
import { ensureBuiltinImage } from "../../../../agent/node/builtin_image.ts";
import { createImageArchives, type ImageArchives } from "../../../../agent/node/image_archives.ts";
import type { Images, ImageStatus } from "../../../../agent/ports.ts";

/** An image store that reads its names from the archive's text: `image NAME`; `broken` fails. */
function createStore() {
  const names = new Set<string>();
  const imports: string[] = [];
  const status = (name: string): ImageStatus => (
    { id: name, repoTags: [name], repoDigests: [], size: 1, user: "", pinned: true }
  );
  const store = {
    names,
    imports,
    /** Imports wait for it. */
    gate: Promise.resolve(),
    /** Thrown by the next imports, one each. */
    failures: [] as unknown[],
    images: {
      list: () => Promise.resolve([...names].map(status)),
      status: (name) => Promise.resolve(names.has(name) ? status(name) : undefined),
      importArchive: async (path) => {
        imports.push(path.slice(path.lastIndexOf("/") + 1));
        await store.gate;
        const failure = store.failures.shift();
        if (failure !== undefined) throw failure;
        const text = await Deno.readTextFile(path);
        const name = /image (\S+)/.exec(text)?.[1];
        if (name === undefined) throw new AgentError("Unknown", "unexpected EOF");
        names.add(name);
        return [name];
      },
    } satisfies Pick<Images, "list" | "status" | "importArchive">,
  };
  return store;
}

interface Stage {
  directory: string;
  store: ReturnType<typeof createStore>;
  problems: Problem[];
  /** All problems that ever were, also those that went before anybody looked. */
  told: Problem[];
  /** What was told after each import. */
  brought: ((image: string) => boolean)[];
  archives: ImageArchives;
  start(): ImageArchives;
  /** Ends the running one and starts another with the same files: the agent's restart. */
  restart(): Promise<ImageArchives>;
  put(name: string, text: string): Promise<void>;
  until(what: string, look: () => boolean): Promise<void>;
}

const OLD = new Date(Date.now() - 60_000);

async function withStage(
  test: (stage: Stage) => Promise<void>,
  prepare?: (s: Stage) => Promise<void>,
  host = createHost(),
) {
  const root = await Deno.makeTempDir();
  const directory = `${root}/images`;
  await Deno.mkdir(directory);
  let stop = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const stage: Stage = {
    directory,
    store: createStore(),
    problems: [],
    told: [],
    brought: [],
    archives: undefined as unknown as ImageArchives,
    start() {
      stop = new AbortController();
      this.archives = createImageArchives({
        directory,
        checkpointPath: `${root}/imported.json`,
        host,
        images: this.store.images,
        log: silentLog,
        report: (problems) => {
          this.problems = problems;
          this.told.push(...problems);
        },
        onImported: (brings) => this.brought.push(brings),
      });
      running = this.archives.run(stop.signal);
      return this.archives;
    },
    async restart() {
      stop.abort();
      await running;
      return this.start();
    },
    async put(name, text) {
      await Deno.writeTextFile(`${root}/new`, text);
      await Deno.utime(`${root}/new`, OLD, OLD);
      await Deno.rename(`${root}/new`, `${directory}/${name}`);
    },
    async until(what, look) {
      const end = performance.now() + 10_000;
      while (!look()) {
        if (performance.now() > end) throw new Error(`never: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
  };
  try {
    await prepare?.(stage);
    stage.start();
    await test(stage);
  } finally {
    stop.abort();
    await running;
    await Deno.remove(root, { recursive: true });
  }
}

const LIMIT = () => AbortSignal.timeout(10_000);
const A = "docker.io/library/a:1";
const B = "docker.io/library/b:1";

Deno.test("archives are imported at start and when they appear; a restart imports nothing again", async () => {
  await withStage(async (s) => {
    await s.archives.settled("a:1", LIMIT());
    assertEquals([...s.archives.pinned()], [A]);
    assert(s.archives.brought("a:1") && !s.archives.brought("b:1"));
    await s.put("b.tar.gz", `image ${B}`);
    await s.until("b", () => s.archives.brought("b:1"));
    assertEquals(s.brought.map((brings) => [brings("a:1"), brings("b:1")]), [[true, false], [false, true]]);
    const again = await s.restart();
    await again.settled("b:1", LIMIT());
    assertEquals([...again.pinned()].sort(), [A, B]);
    assertEquals(s.store.imports, ["a.tar", "b.tar.gz"]);
  }, (s) => s.put("a.tar", `image ${A}`));
});

Deno.test("an image that the runtime lost is imported again at the next start", async () => {
  await withStage(async (s) => {
    await s.archives.settled("a:1", LIMIT());
    s.store.names.clear();
    await (await s.restart()).settled("a:1", LIMIT());
    assertEquals(s.store.imports, ["a.tar", "a.tar"]);
    assert(s.store.names.has(A));
  }, (s) => s.put("a.tar", `image ${A}`));
});

Deno.test("a changed archive is imported anew, a removed one protects its images no more", async () => {
  await withStage(async (s) => {
    await s.until("a", () => s.archives.brought(A));
    await s.put("a.tar", `image ${B} and more`);
    await s.until("b", () => s.archives.brought(B));
    assertEquals([...s.archives.pinned()], [B]);
    await Deno.remove(`${s.directory}/a.tar`);
    await s.until("nothing", () => s.archives.pinned().size === 0);
  }, (s) => s.put("a.tar", `image ${A}`));
});

Deno.test("a broken archive is a problem of its file, until it is mended; it is not tried in between", async () => {
  await withStage(async (s) => {
    await s.until("the problem", () => s.problems.length > 0);
    assertEquals(s.problems, [
      { severity: "error", file: `${s.directory}/a.tar`, message: "cannot be imported: unexpected EOF" },
    ]);
    await s.archives.settled("a:1", LIMIT());
    await s.put("b.tar", `image ${B}`);
    await s.until("b", () => s.archives.brought(B));
    assertEquals(s.store.imports, ["a.tar", "b.tar"]);
    await s.put("a.tar", `image ${A}`);
    await s.until("no problem", () => s.problems.length === 0);
    assert(s.archives.brought(A));
  }, (s) => s.put("a.tar", "broken"));
});

Deno.test("a full disk is shown, and the archive is tried again when there may be room", async () => {
  await withStage(async (s) => {
    await s.until("the problem", () => s.told.length > 0);
    const waiting = s.archives.settled("a:1", LIMIT());
    await s.put("b.tar", `image ${B}`);
    await waiting;
    await s.until("no problem", () => s.problems.length === 0);
    assert(s.archives.brought(A));
  }, async (s) => {
    s.store.failures.push(new AgentError("Unknown", "write /blob: no space left on device"));
    await s.put("a.tar", `image ${A}`);
  });
});

Deno.test("a watch that breaks is set up anew", async () => {
  const real = createHost();
  let watches = 0;
  const host = {
    ...real,
    sleep: () => Promise.resolve(),
    watch: (directory: string, signal: AbortSignal) => {
      if (watches++ === 0) throw new Deno.errors.NotADirectory("replaced by a file for an instant");
      return real.watch(directory, signal);
    },
  };
  await withStage(
    async (s) => {
      await s.until("the second watch", () => watches === 2);
      await s.put("a.tar", `image ${A}`);
      await s.archives.settled("a:1", LIMIT());
      await s.until("a", () => s.archives.brought("a:1"));
    },
    undefined,
    host,
  );
});

Deno.test("while the runtime is away nothing is blamed on the archive", async () => {
  await withStage(async (s) => {
    await s.archives.settled("a:1", LIMIT());
    assertEquals(s.store.imports, ["a.tar", "a.tar"]);
    assertEquals(s.problems, []);
  }, async (s) => {
    s.store.failures.push(new AgentError("RuntimeUnavailable", "nobody answers"));
    await s.put("a.tar", `image ${A}`);
  });
});

Deno.test("pods wait only while an archive may bring an image that they lack", async () => {
  const gate = Promise.withResolvers<void>();
  await withStage(async (s) => {
    await s.until("the import to begin", () => s.store.imports.length === 1);
    await s.archives.settled(B, LIMIT()); // is there
    const waiting = s.archives.settled(A, LIMIT()).then(() => "settled");
    assertEquals(
      await Promise.race([waiting, s.archives.settled(B, LIMIT()).then(() => "not yet")]),
      "not yet",
    );
    const impatient = new AbortController();
    const aborted = assertRejects(() => s.archives.settled(A, impatient.signal), Error, "newer wish");
    impatient.abort(new Error("newer wish"));
    await aborted;
    gate.resolve();
    assertEquals(await waiting, "settled");
    assert(s.store.names.has(A));
  }, async (s) => {
    s.store.gate = gate.promise;
    s.store.names.add(B);
    await s.put("a.tar.gz", `image ${A}`);
  });
});

Deno.test("a file that is still being written is taken when its writer is done", async () => {
  await withStage(async (s) => {
    const file = await Deno.open(`${s.directory}/a.tar`, { write: true, create: true });
    const write = (text: string) => file.write(new TextEncoder().encode(text));
    await write("ima");
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      await write(i === 0 ? `ge ${A}` : " ");
    }
    file.close();
    await s.until("a", () => s.archives.brought(A));
    assertEquals(s.store.imports, ["a.tar"]);
  });
});

Deno.test("a directory that cannot be read is a problem, and delays nobody; a missing one is none", async () => {
  await withStage(async (s) => {
    await s.archives.settled(A, LIMIT());
    assertEquals(s.problems, []);
    await Deno.remove(s.directory);
    await s.archives.settled(A, LIMIT());
    assertEquals(s.problems, []);
    await Deno.writeTextFile(s.directory, "a file");
    await s.restart();
    await s.archives.settled(A, LIMIT());
    assertEquals(s.problems.map((p) => p.file), [s.directory]);
  }, (s) => Deno.remove(s.directory));
});

Deno.test("a checkpoint that is no checkpoint costs one import", async () => {
  await withStage(async (s) => {
    await s.archives.settled(A, LIMIT());
    assertEquals(s.store.imports, ["a.tar"]);
  }, async (s) => {
    await Deno.writeTextFile(`${s.directory}/../imported.json`, `{"version":1,"value":[["x"]]}`);
    await s.put("a.tar", `image ${A}`);
  });
});

Deno.test("the built-in image is brought when it is missing, and leaves no file", async () => {
  const directory = await Deno.makeTempDir();
  const store = createStore();
  const options = { host: createHost(), images: store.images, directory };
  let created = 0;
  const image = {
    name: A,
    create: () => (created++, Promise.resolve(new TextEncoder().encode(`image ${A}`))),
  };
  try {
    assertEquals(await ensureBuiltinImage(options, image, LIMIT()), true);
    assertEquals(await ensureBuiltinImage(options, image, LIMIT()), false);
    assertEquals(created, 1);
    store.names.clear();
    store.failures.push(new AgentError("RuntimeUnavailable", "gone"));
    await assertRejects(() => ensureBuiltinImage(options, image, LIMIT()), AgentError, "gone");
    assertEquals(await Array.fromAsync(Deno.readDir(directory)), []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("the directory is made when it is missing, for all to read and for root to write", async () => {
  await withStage(async (s) => {
    await s.archives.settled(A, LIMIT());
    assertEquals((await Deno.stat(s.directory)).mode! & 0o777, 0o755);
    await s.put("a.tar", `image ${A}`);
    await s.until("a", () => s.archives.brought(A));
  }, (s) => Deno.remove(s.directory));
});
