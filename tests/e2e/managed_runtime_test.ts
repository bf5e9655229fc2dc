/**
 * The managed containerd on this machine, for real: started, killed, adopted, reconfigured, and taken away without a
 * trace while a container runs. Needs root, containerd, runc, CNI plugins and busybox-static.
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createHost } from "../../agent/host.ts";
import { silentLog } from "../../agent/lib/log.ts";
import { AgentError, type Problem } from "../../agent/model/errors.ts";
import { ensureBuiltinImage } from "../../agent/node/builtin_image.ts";
import { createImageArchives } from "../../agent/node/image_archives.ts";
import { createCri } from "../../plugins/cri/mod.ts";
import {
  bridgeName,
  createManagedContainerd,
  detectHost,
  findBinaries,
  type ManagedContainerd,
  type ManagedRuntimeOptions,
} from "../../plugins/containerd/mod.ts";
import { findContainerd, findShims } from "../../plugins/containerd/processes.ts";
import { isAlive, signalProcess } from "../../plugins/processes/proc.ts";
import { createPauseImageArchive, PAUSE_IMAGE } from "../../plugins/cri/pause_image.ts";
import { RuntimeServiceDefinition } from "../../plugins/rpc/gen/cri.ts";
import { createChannel, createClient } from "../../plugins/rpc/mod.ts";
import { answers } from "../../plugins/containerd/calls.ts";

const LIMIT = () => AbortSignal.timeout(30_000);
const IMAGE = "docker.io/library/managed-runtime-test:1";

async function run(...argv: string[]): Promise<string> {
  const output = await new Deno.Command(argv[0]!, { args: argv.slice(1), stdin: "null" }).output();
  if (!output.success) throw new Error(`${argv.join(" ")}: ${new TextDecoder().decode(output.stderr)}`);
  return new TextDecoder().decode(output.stdout);
}

async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const end = performance.now() + 20_000;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A docker archive with nothing but busybox in it. */
async function writeArchive(directory: string): Promise<string> {
  const build = `${directory}/build`;
  await Deno.mkdir(`${build}/rootfs/bin`, { recursive: true });
  await Deno.copyFile("/bin/busybox", `${build}/rootfs/bin/busybox`);
  await run("tar", "-C", `${build}/rootfs`, "-cf", `${build}/layer.tar`, "bin");
  const digest = (await run("sha256sum", `${build}/layer.tar`)).split(" ")[0];
  const config = {
    architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
    os: "linux",
    config: { Cmd: ["/bin/busybox", "sleep", "3600"] },
    rootfs: { type: "layers", diff_ids: [`sha256:${digest}`] },
  };
  await Deno.writeTextFile(`${build}/config.json`, JSON.stringify(config));
  const manifest = [{ Config: "config.json", RepoTags: [IMAGE], Layers: ["layer.tar"] }];
  await Deno.writeTextFile(`${build}/manifest.json`, JSON.stringify(manifest));
  const archive = `${directory}/image.tar`;
  await run("tar", "-C", build, "-cf", archive, "manifest.json", "config.json", "layer.tar");
  return archive;
}

interface Stage {
  directory: string;
  options: ManagedRuntimeOptions;
  managed: ManagedContainerd;
  logged: { message: string; fields: Record<string, string | number> }[];
}

async function withStage(test: (stage: Stage) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "agent-containerd-" });
  const logged: Stage["logged"] = [];
  const options: ManagedRuntimeOptions = {
    root: `${directory}/root`,
    state: `${directory}/state`,
    socket: `${directory}/run/containerd.sock`,
    configPath: `${directory}/etc/config.toml`,
    logPath: `${directory}/containerd.log`,
    stateDir: `${directory}/agent`,
    binaries: await findBinaries(),
    cniConfDir: `${directory}/net.d`,
    instance: directory,
    bridge: bridgeName(directory),
    cgroupRoot: "/agent-containerd-test",
    sandboxImage: PAUSE_IMAGE,
    ...await detectHost(),
    registryConfigDir: `${directory}/certs.d`,
    cdiSpecDirs: [],
    log: (_level, message, fields) => logged.push({ message, fields }),
  };
  const managed = createManagedContainerd(options);
  try {
    await test({ directory, options, managed, logged });
  } finally {
    await managed.stopForGood(LIMIT());
    await Deno.remove(directory, { recursive: true });
  }
}

function containerd(stage: Stage) {
  const found = findContainerd(stage.options.configPath);
  assert(found !== undefined, "no containerd runs");
  return found;
}

const ctr = (stage: Stage, ...args: string[]) =>
  run("ctr", "-a", stage.options.socket, "-n", "k8s.io", ...args);

async function startContainer(stage: Stage, id: string): Promise<void> {
  await ctr(stage, "images", "import", await writeArchive(stage.directory));
  await ctr(stage, "run", "-d", "--runc-root", `${stage.options.state}/runc`, IMAGE, id);
}

Deno.test("managed containerd starts, with its CRI plugin, and answers on its socket", async () => {
  await withStage(async (stage) => {
    await stage.managed.ensure(LIMIT());
    assert(await answers(stage.options.socket, LIMIT()));
    const plugins = await ctr(stage, "plugins", "ls");
    assert(/\bcri\s+\S+\s+ok\b/.test(plugins), plugins);
    assert(/overlayfs\s+\S+\s+ok|native\s+\S+\s+ok/.test(plugins), plugins);
    assertEquals((await Deno.stat(stage.options.socket)).mode! & 0o007, 0, "others may not use the socket");
    assertEquals((await Deno.stat(stage.options.configPath)).mode! & 0o777, 0o600);
    const conflist = JSON.parse(await Deno.readTextFile(`${stage.options.cniConfDir}/10-agent.conflist`));
    assertEquals(conflist.plugins[0].bridge, stage.options.bridge);
    const said = await Deno.readTextFile(stage.options.logPath);
    assert(!/cni config load failed|failed to load plugin/.test(said), said);
  });
});

Deno.test("a later agent adopts what runs; nobody is restarted", async () => {
  await withStage(async (stage) => {
    await stage.managed.ensure(LIMIT());
    const first = containerd(stage);
    await createManagedContainerd(stage.options).ensure(LIMIT());
    assertEquals(containerd(stage).pid, first.pid);
    assertEquals(stage.logged.map((l) => l.message), [
      "started containerd",
      "adopted the running containerd",
    ]);
  });
});

Deno.test("containerd outlives the program that started it, even when that is killed with its group", async () => {
  await withStage(async (stage) => {
    const { log: _, ...options } = stage.options;
    const program = `import { createManagedContainerd } from ${
      JSON.stringify(new URL("../../plugins/containerd/mod.ts", import.meta.url).href)
    };
      await createManagedContainerd(${JSON.stringify(options)}).ensure(AbortSignal.timeout(30_000));
      Deno.stdout.writeSync(new TextEncoder().encode("up\\n"));
      setInterval(() => {}, 1000);`;
    await Deno.writeTextFile(`${stage.directory}/starter.ts`, program);
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const starter = new Deno.Command("setsid", {
      args: [Deno.execPath(), "run", "-A", "--config", config, `${stage.directory}/starter.ts`],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = starter.stdout.getReader();
    assertEquals(new TextDecoder().decode((await reader.read()).value), "up\n");
    const running = containerd(stage);
    // setsid(1) made it the leader of a group of its own number.
    await run("kill", "-9", "--", `-${starter.pid}`);
    await reader.cancel();
    await starter.status;
    assert(isAlive(running));
    assert(await answers(stage.options.socket, LIMIT()));
  });
});

Deno.test("containers go on when containerd is killed, and it is started again", async () => {
  await withStage(async (stage) => {
    await stage.managed.ensure(LIMIT());
    await startContainer(stage, "sleeper");
    const shim = findShims(stage.options.socket)[0];
    assert(shim !== undefined);
    const stop = new AbortController();
    const supervision = stage.managed.run(stop.signal);
    const first = containerd(stage);
    signalProcess(first, "SIGKILL");
    await until("another containerd", () => {
      const found = findContainerd(stage.options.configPath);
      return found !== undefined && found.pid !== first.pid && found.startTime !== first.startTime
        ? true
        : undefined;
    });
    await until("an answer", async () => await answers(stage.options.socket, LIMIT()) || undefined);
    assertStringIncludes(await ctr(stage, "tasks", "ls"), "RUNNING");
    assert(isAlive(shim), "the shim is the same");
    stop.abort();
    await supervision;
    assert(isAlive(containerd(stage)), "the end of supervision leaves containerd alone");
  });
});

Deno.test("a changed configuration restarts containerd once, not the containers", async () => {
  await withStage(async (stage) => {
    await stage.managed.ensure(LIMIT());
    await startContainer(stage, "sleeper");
    const first = containerd(stage);
    const changed = createManagedContainerd({ ...stage.options, sandboxImage: "localhost/agent/pause:2" });
    await changed.ensure(LIMIT());
    const second = containerd(stage);
    assert(second.pid !== first.pid);
    await changed.ensure(LIMIT());
    assertEquals(containerd(stage).pid, second.pid);
    assertStringIncludes(await ctr(stage, "tasks", "ls"), "RUNNING");
  });
});

Deno.test("one that hangs is not adopted but restarted", async () => {
  await withStage(async (stage) => {
    await stage.managed.ensure(LIMIT());
    const first = containerd(stage);
    signalProcess(first, "SIGSTOP");
    await stage.managed.ensure(AbortSignal.timeout(60_000));
    assert(!isAlive(first));
    assert(await answers(stage.options.socket, LIMIT()));
    assert(stage.logged.some((l) => l.fields["reason"] === "it does not answer"));
  });
});

Deno.test("when containerd cannot start, the error holds its own last words", async () => {
  await withStage(async (stage) => {
    await Deno.mkdir(stage.options.socket, { recursive: true });
    await Deno.writeTextFile(`${stage.options.socket}/in-the-way`, "");
    const error = await assertRejects(() => stage.managed.ensure(LIMIT()), AgentError);
    assertEquals(error.reason, "RuntimeUnavailable");
    assertStringIncludes(error.message, "failed to get listener for main endpoint");
    await Deno.remove(stage.options.socket, { recursive: true });
  });
});

Deno.test("stopForGood leaves no process, mount, cgroup, bridge or socket", async () => {
  let socket = "";
  let directory = "";
  await withStage(async (stage) => {
    ({ directory } = stage);
    socket = stage.options.socket;
    await stage.managed.ensure(LIMIT());
    await startContainer(stage, "sleeper");
    await run("ip", "link", "add", stage.options.bridge, "type", "bridge");
    const pid = Number((await ctr(stage, "tasks", "ls")).split("\n")[1]!.split(/\s+/)[1]);
    const cgroups = await Deno.readTextFile(`/proc/${pid}/cgroup`);
    assertStringIncludes(cgroups, "sleeper");
    await stage.managed.stopForGood(LIMIT());
    assertEquals(findShims(socket), []);
    assertEquals(findContainerd(stage.options.configPath), undefined);
    assert(!(await Deno.readTextFile("/proc/self/mountinfo")).includes(directory));
    assert(!(await run("ip", "-o", "link")).includes(stage.options.bridge));
    assertEquals((await run("find", "/sys/fs/cgroup", "-path", "*/k8s.io/sleeper")).trim(), "");
    assertEquals(await Array.fromAsync(Deno.readDir(stage.options.cniConfDir)), []);
  });
});

/** A pod with a hostPort, by bare CRI calls. Returns its address. */
async function startPod(stage: Stage, hostPort: number): Promise<string> {
  const archive = `${stage.directory}/pause.tar`;
  await Deno.writeFile(
    archive,
    (await createPauseImageArchive(Deno.build.arch === "aarch64" ? "arm64" : "amd64")).archive,
  );
  await ctr(stage, "images", "import", archive);
  const channel = createChannel(stage.options.socket);
  try {
    const client = createClient(RuntimeServiceDefinition, channel);
    const config = {
      metadata: { name: "pod", namespace: "default", uid: `uid-${hostPort}`, attempt: 0 },
      hostname: "pod",
      logDirectory: `${stage.directory}/logs`,
      portMappings: [{ protocol: 0, containerPort: 80, hostPort, hostIp: "" }],
      linux: {},
    };
    const { podSandboxId } = await client.runPodSandbox({ config }, { signal: LIMIT() });
    return (await client.podSandboxStatus({ podSandboxId }, { signal: LIMIT() })).status?.network?.ip ?? "";
  } finally {
    channel.close();
  }
}

const natRules = () => run("iptables", "-t", "nat", "-S");
const namespaces = () => run("find", "/run/netns", "-type", "f").catch(() => "");

for (const death of ["politely", "after its sudden death"]) {
  Deno.test(`a pod on the default network leaves nothing when containerd is stopped for good ${death}`, async () => {
    const before = await namespaces();
    await withStage(async (stage) => {
      await stage.managed.ensure(LIMIT());
      const address = await startPod(stage, 31_999);
      const conflist = await Deno.readTextFile(`${stage.options.cniConfDir}/10-agent.conflist`);
      const prefix = /"subnet": "(\d+\.\d+\.\d+)\./.exec(conflist)?.[1];
      assert(prefix !== undefined && address.startsWith(`${prefix}.`), `${address} in ${prefix}.0/24`);
      assertStringIncludes(await natRules(), `${address}:80`);
      if (death !== "politely") {
        const running = containerd(stage);
        signalProcess(running, "SIGKILL");
        await until("its death", () => isAlive(running) ? undefined : true);
      }
      await stage.managed.stopForGood(LIMIT());
      assert(!(await natRules()).includes(address), await natRules());
      assert(!(await run("ip", "-o", "link")).includes(stage.options.bridge));
      assertEquals(findShims(stage.options.socket), []);
      assert(!(await Deno.readTextFile("/proc/self/mountinfo")).includes(stage.directory));
    });
    assertEquals(await namespaces(), before);
  });
}

Deno.test("archives in the images directory reach CRI, once; the pause image comes from the agent itself", async () => {
  await withStage(async (stage) => {
    await stage.managed.ensure(LIMIT());
    const images = `${stage.directory}/images`;
    await Deno.mkdir(images);
    await Deno.rename(await writeArchive(stage.directory), `${images}/plain.tar`);
    await run("gzip", "-k", `${images}/plain.tar`);
    await Deno.writeTextFile(`${images}/broken.tar`, "no archive");
    const cri = createCri({ endpoint: stage.options.socket, instance: "test" });
    const host = createHost();
    const stop = new AbortController();
    let problems: Problem[] = [];
    const logged: string[] = [];
    const start = () => {
      const archives = createImageArchives({
        directory: images,
        checkpointPath: `${stage.directory}/imported.json`,
        host,
        images: cri.images,
        log: { ...silentLog, info: (message, fields) => void logged.push(`${message} ${fields?.["file"]}`) },
        report: (list) => problems = list,
        onImported: () => {},
      });
      return { archives, running: archives.run(stop.signal) };
    };
    const arch = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
    const pause = { name: PAUSE_IMAGE, create: async () => (await createPauseImageArchive(arch)).archive };
    try {
      const options = { host, images: cri.images, directory: stage.directory };
      assertEquals(await ensureBuiltinImage(options, pause, LIMIT()), true);
      assertEquals(await ensureBuiltinImage(options, pause, LIMIT()), false);
      const first = start();
      await first.archives.settled(IMAGE, LIMIT());
      assert(await cri.images.status(IMAGE, LIMIT()) !== undefined);
      await until("both archives are in", () => logged.length === 2 ? true : undefined);
      await until("the problem", () => problems.length === 1 ? true : undefined);
      assertEquals(problems[0]?.file, `${images}/broken.tar`);
      assertEquals([...first.archives.pinned()], [IMAGE]);
      const second = start();
      await second.archives.settled(IMAGE, LIMIT());
      assert(second.archives.brought(IMAGE));
      assertEquals(logged.length, 2, "imported once");
      stop.abort();
      await Promise.all([first.running, second.running]);
    } finally {
      stop.abort();
      cri.close();
    }
  });
});
