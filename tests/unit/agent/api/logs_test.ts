import { assertEquals } from "@std/assert";
import { attemptEnded, findLog, logAttempts, readLog, tailOffset } from "../../../../agent/api/logs.ts";
import { createHost } from "../../../../agent/host.ts";
import type { LogOptions } from "../../../../agent/model/cri_log.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";

const host = createHost();
const stamp = "2026-03-01T12:00:00Z";
const entry = (content: string, tag = "F", time = stamp) => `${time} stdout ${tag} ${content}\n`;
const plain: LogOptions = { follow: false, timestamps: false, previous: false };

/** A source whose container ends when the test says so. */
function createSource(directory: string) {
  let over = false;
  const listeners = new Set<() => void>();
  return {
    source: {
      root: directory,
      directory,
      file: "0.log",
      ended: () => over,
      subscribe: (listener: () => void) => void listeners.add(listener),
    },
    end() {
      over = true;
      for (const listener of listeners) listener();
    },
  };
}

async function withLog(body: (directory: string, path: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "agent-logs-" });
  try {
    await body(directory, `${directory}/0.log`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function readAll(directory: string, options: Partial<LogOptions>): Promise<string> {
  let text = "";
  const { source } = createSource(directory);
  for await (const bytes of readLog(host, source, { ...plain, ...options }, new AbortController().signal)) {
    text += new TextDecoder().decode(bytes);
  }
  return text;
}

Deno.test("tail counts whole lines, across blocks and long lines", () =>
  withLog(async (directory, path) => {
    const long = "y".repeat(16 * 1024);
    const lines = Array.from({ length: 9000 }, (_, i) => entry(`line ${i}`));
    lines.push(entry(long, "P"), entry(long, "P"), entry("end"), entry("last"));
    await Deno.writeTextFile(path, lines.join(""));
    assertEquals(await readAll(directory, { tailLines: 1 }), "last\n");
    assertEquals(await readAll(directory, { tailLines: 2 }), `${long}${long}end\nlast\n`);
    assertEquals((await readAll(directory, { tailLines: 5000 })).split("\n").length - 1, 5000);
    assertEquals((await readAll(directory, { tailLines: 5000 })).split("\n")[0], "line 4002");
    assertEquals(await readAll(directory, { tailLines: 0 }), "");
    assertEquals((await readAll(directory, { tailLines: 99999 })).split("\n").length - 1, 9002);
  }));

Deno.test("the tail of every length is what the whole log ends with", () =>
  withLog(async (directory, path) => {
    const contents = Array.from({ length: 40 }, (_, i) => "z".repeat((i * 2711) % 9000));
    await Deno.writeTextFile(
      path,
      contents.map((content) => entry(content)).join("") + "2026-03-01T12:00:00Z std",
    );
    for (let n = 0; n <= 41; n++) {
      const expected = n === 0 ? "" : contents.slice(-n).map((content) => content + "\n").join("");
      assertEquals(await readAll(directory, { tailLines: n }), expected, `tail ${n}`);
    }
    const file = (await host.openFile(path))!;
    assertEquals(await tailOffset(file, (await file.stat()).size, 1000), 0);
    file.close();
  }));

Deno.test("since, timestamps and the limit of bytes", () =>
  withLog(async (directory, path) => {
    await Deno.writeTextFile(path, entry("old", "F", "2026-03-01T11:00:00Z") + entry("new") + entry("newer"));
    assertEquals(await readAll(directory, { sinceMs: Date.parse(stamp) }), "new\nnewer\n");
    assertEquals(await readAll(directory, { timestamps: true, tailLines: 1 }), `${stamp} newer\n`);
    assertEquals(await readAll(directory, { limitBytes: 6 }), "old\nne");
  }));

Deno.test("a log that is not there is empty, as is one that a pod has put in its place", () =>
  withLog(async (directory, path) => {
    assertEquals(await readAll(directory, {}), "");
    await withLog(async (elsewhere, secret) => {
      await Deno.writeTextFile(secret, entry("secret"));
      await Deno.symlink(secret, path);
      assertEquals(await readAll(directory, {}), "");
      await Deno.remove(path);
      await Deno.symlink(elsewhere, `${directory}/container`);
      const { source } = createSource(directory);
      const { signal } = new AbortController();
      const led = readLog(host, { ...source, directory: `${directory}/container` }, plain, signal);
      assertEquals(await Array.fromAsync(led), []);
    });
  }));

/** Reads until the text so far satisfies the test. */
async function until(chunks: AsyncGenerator<Uint8Array>, enough: (text: string) => boolean): Promise<string> {
  let text = "";
  while (!enough(text)) {
    const { done, value } = await chunks.next();
    if (done) break;
    text += new TextDecoder().decode(value);
  }
  return text;
}

Deno.test("follow goes through rotation and truncation, and ends with the container", () =>
  withLog(async (directory, path) => {
    await Deno.writeTextFile(path, entry("one"));
    const { source, end } = createSource(directory);
    const signal = new AbortController().signal;
    const chunks = readLog(host, source, { ...plain, follow: true }, signal);
    assertEquals(await until(chunks, (text) => text.includes("one")), "one\n");

    await Deno.writeTextFile(path, entry("two"), { append: true });
    assertEquals(await until(chunks, (text) => text.includes("two")), "two\n");

    // Rotation: the writer's last words go to the old file under its new name, the next ones to a new file.
    await Deno.rename(path, `${path}.20260301-120000`);
    await Deno.writeTextFile(`${path}.20260301-120000`, entry("three"), { append: true });
    await Deno.writeTextFile(path, entry("four"));
    assertEquals(await until(chunks, (text) => text.includes("four")), "three\nfour\n");

    await Deno.writeTextFile(path, entry("5"));
    assertEquals(await until(chunks, (text) => text.includes("5")), "5\n");

    await Deno.writeTextFile(path, entry("last words", "P"), { append: true });
    end();
    assertEquals(await until(chunks, () => false), "last words");
  }));

Deno.test("follow ends with its signal", () =>
  withLog(async (directory, path) => {
    await Deno.writeTextFile(path, entry("one"));
    const { source } = createSource(directory);
    const leaves = new AbortController();
    const chunks = readLog(host, source, { ...plain, follow: true }, leaves.signal);
    await until(chunks, (text) => text.includes("one"));
    const rest = until(chunks, () => false);
    leaves.abort();
    assertEquals(await rest, "");
  }));

const pod: Pod = {
  metadata: { name: "web", namespace: "default", uid: "u1" },
  spec: { initContainers: [{ name: "init" }], containers: [{ name: "app" }] },
  status: {
    containerStatuses: [{
      name: "app",
      image: "",
      imageID: "",
      ready: false,
      restartCount: 2,
      state: { waiting: { reason: "CrashLoopBackOff" } },
    }],
  },
};

Deno.test("the newest attempt is meant, or the one before; what is missing is said in kubectl's words", async () => {
  const root = await Deno.makeTempDir({ prefix: "agent-logs-" });
  const files = await (async () => {
    await Deno.mkdir(`${root}/default_web_u1/app`, { recursive: true });
    return host;
  })();
  const find = (container: string, previous = false) => findLog(files, root, pod, container, previous);
  assertEquals(await find("app"), {
    reason: "BadRequest",
    message: 'container "app" in pod "web" is waiting to start: CrashLoopBackOff',
  });
  const directory = `${root}/default_web_u1/app`;
  for (const name of ["9.log", "10.log", "10.log.20260301-1", "x.log"]) {
    await Deno.writeTextFile(`${directory}/${name}`, "");
  }
  assertEquals(await find("app"), { directory, attempt: 10 });
  assertEquals(await find("app", true), { directory, attempt: 9 });
  await Deno.remove(`${directory}/9.log`);
  assertEquals(await find("app", true), {
    reason: "BadRequest",
    message: 'previous terminated container "app" in pod "web" not found',
  });
  assertEquals(
    (await find("init") as { message: string }).message,
    'container "init" in pod "web" is waiting to start: ContainerCreating',
  );
  assertEquals((await find("../app") as { reason: string }).reason, "NotFound");
  await Deno.remove(root, { recursive: true });
});

Deno.test("an attempt has ended when it terminated, was followed by another, or its pod is gone", () => {
  assertEquals(logAttempts(["1.log", "12.log", "2.log", "2.log.gz", "a.log"]), [12, 2, 1]);
  assertEquals(attemptEnded(pod, "app", 1), true);
  assertEquals(attemptEnded(pod, "app", 2), false);
  assertEquals(attemptEnded(undefined, "app", 2), true);
  const status = pod.status!.containerStatuses![0]!;
  const ended = (more: Partial<typeof status>) =>
    attemptEnded({ ...pod, status: { containerStatuses: [{ ...status, ...more }] } }, "app", 2);
  const terminated = { terminated: { exitCode: 0 } };
  assertEquals(ended({ state: terminated }), true);
  assertEquals(ended({ lastState: terminated }), true);
  assertEquals(ended({ state: { running: {} }, lastState: terminated }), false);
});
