/**
 * The built binary as a user runs it: a private instance with its own containerd below one directory, driven by
 * manifests, signals, its CLI and its API; gone without a trace afterwards. Not for: assertions.
 */
import { join } from "@std/path";
import type { Pod, PodList } from "../../agent/model/gen/v1.ts";
import type { Problem } from "../../agent/model/errors.ts";
import { until } from "./containerd.ts";
import { writeImageArchive } from "../../tools/busybox_image.ts";
import { instanceLeftovers, type InstancePlaces } from "./leftovers.ts";

/** What `make test` built; tests of a change rebuild it. */
export const binary = Deno.env.get("AGENT_BINARY") ?? new URL("../../dist/agent", import.meta.url).pathname;

/** busybox under the name that the example manifests use. */
export const demoImage = "localhost/agent/demo:1";

export interface CommandOutput {
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunningCommand extends AsyncDisposable {
  /** What it wrote so far. */
  stdout(): string;
  status: Promise<Deno.CommandStatus>;
}

export interface AgentOptions {
  /** Brings the demo image as an archive; default true. */
  withImage?: boolean;
  /** Of its log; default 4. */
  verbosity?: number;
  /** Text of a configuration file. */
  config?: string;
  /** Default 0: none. */
  healthzPort?: number;
  /** Its root directory is a file system of its own, of so many bytes. */
  rootSize?: number;
  /** Name of the network namespace that it lives in, with its runtime; default: the machine's. */
  networkNamespace?: string;
  /** Of its process. */
  environment?: Record<string, string>;
}

export interface AgentUnderTest {
  directory: string;
  root: string;
  manifests: string;
  images: string;
  socket: string;
  healthzPort: number;
  /** The flags that make it a private instance, for other commands on the same instance. */
  flags: readonly string[];
  /** What it has on the machine. */
  places(): InstancePlaces;
  /** CRI socket of its containerd. */
  runtimeSocket(): string;
  pid(): number;
  /** Starts it and waits until it is ready. `flags` are added to the private instance's. */
  start(flags?: string[]): Promise<void>;
  /** SIGTERM, as systemd stops it. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Writes a manifest by rename, as careful editors do; objects become JSON documents. */
  write(name: string, ...documents: (string | object)[]): Promise<void>;
  remove(name: string): Promise<void>;
  /** GET over the socket, as JSON; throws on another status than 200. */
  api<T>(path: string): Promise<T>;
  pods(): Promise<Pod[]>;
  pod(name: string): Promise<Pod | undefined>;
  problems(): Promise<Problem[]>;
  /** What a container of a pod in the default namespace wrote. */
  logs(pod: string, container: string, query?: string): Promise<string>;
  /** Runs the CLI against this instance. */
  cli(...args: string[]): Promise<CommandOutput>;
  /** The same, while it goes on. */
  cliSpawn(...args: string[]): RunningCommand;
  /** Waits until the pod exists and fulfils the condition. */
  untilPod(name: string, what: string, condition: (pod: Pod) => boolean): Promise<Pod>;
  untilReady(name: string): Promise<Pod>;
  untilGone(name: string): Promise<void>;
  /** Waits until the pod has succeeded or failed. */
  untilEnded(name: string): Promise<Pod>;
  /** Waits until the container wrote something like this; returns all that it wrote. */
  untilLog(pod: string, container: string, pattern: RegExp): Promise<string>;
  /** `ctr -n k8s.io …` and `crictl`-like questions. */
  ctr(...args: string[]): Promise<string>;
  log(): string;
  /** Ends everything by `agent teardown`, and fails when anything is left. */
  [Symbol.asyncDispose](): Promise<void>;
}

export const isReady = (pod: Pod): boolean =>
  pod.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") ?? false;

export async function output(
  program: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<CommandOutput> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args, env, stdin: "null" }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

function spawnCommand(args: string[], env: Record<string, string>): RunningCommand {
  const child = new Deno.Command(binary, { args, env, stdin: "null", stdout: "piped", stderr: "null" })
    .spawn();
  let text = "";
  const read = child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (chunk) => void (text += chunk) }),
  );
  return {
    stdout: () => text,
    status: read.then(() => child.status),
    [Symbol.asyncDispose]: async () => {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await Promise.allSettled([read, child.status]);
    },
  };
}

async function getText(client: Deno.HttpClient, path: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1${path}`, { client });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`GET ${path}: ${response.status} ${text}`);
  return text;
}

/** Where an instance with these flags is, as the binary itself says. */
async function askPlaces(flags: readonly string[], directory: string, root: string): Promise<InstancePlaces> {
  const { stdout, stderr } = await output(binary, ["config", ...flags, "-o", "json"]);
  if (stdout === "") throw new Error(`agent config: ${stderr}`);
  interface Shown {
    cgroupRoot?: string;
    managedRuntime?: { state: string; socket: string };
  }
  const [kubelet, agent] = (JSON.parse(stdout) as { items: Shown[] }).items;
  const { state, socket } = agent!.managedRuntime!;
  return { directory, root, cgroupRoot: kubelet!.cgroupRoot!, state, socket };
}

/** A private instance that is not running yet. */
export async function createAgent(options: AgentOptions = {}): Promise<AgentUnderTest> {
  const directory = await Deno.makeTempDir({ prefix: "agent-e2e-", dir: "/run" });
  const root = join(directory, "root");
  const [manifests, images, socket] = [
    join(directory, "manifests"),
    join(root, "agent/images"),
    join(directory, "agent.sock"),
  ];
  await Deno.mkdir(manifests);
  await Deno.mkdir(root);
  if (options.rootSize !== undefined) {
    await output("mount", ["-t", "tmpfs", "-o", `size=${options.rootSize}`, "none", root]);
  }
  await Deno.mkdir(images, { recursive: true });
  if (options.withImage !== false) await writeImageArchive(images, "demo.tar", { tags: [demoImage] });
  const base = [
    "--root-dir",
    root,
    "--pod-manifest-path",
    manifests,
    "--socket",
    socket,
    "--healthz-port",
    `${options.healthzPort ?? 0}`,
  ];
  if (options.config !== undefined) {
    await Deno.writeTextFile(join(directory, "config.yaml"), options.config);
    base.push("--config", join(directory, "config.yaml"));
  }
  const places = await askPlaces(base, directory, root);
  const { networkNamespace } = options;
  const enter = networkNamespace === undefined ? [] : ["nsenter", `--net=/run/netns/${networkNamespace}`];
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  const logPath = join(directory, "log");
  let child: Deno.ChildProcess | undefined;
  let flags: string[] = [];

  const api = async <T>(path: string) => JSON.parse(await getText(client, path)) as T;
  const pods = async () => (await api<PodList>("/pods")).items;
  const pod = async (name: string) => (await pods()).find((p) => p.metadata?.name === name);
  const isUp = () =>
    fetch("http://127.0.0.1/readyz", { client }).then(async (r) => (await r.text(), r.ok), () => false);
  const log = () => {
    try {
      return Deno.readTextFileSync(logPath);
    } catch {
      return "";
    }
  };

  const start = async (more: string[] = []) => {
    flags = more;
    const command = [...enter, binary, "run", ...base, "--v", `${options.verbosity ?? 4}`, ...more].map((a) =>
      `'${a}'`
    )
      .join(" ");
    const args = ["-c", `exec ${command} >>'${logPath}' 2>&1`];
    child = new Deno.Command("sh", { args, env: options.environment ?? {}, stdin: "null" }).spawn();
    let ended = false;
    child.status.then(() => ended = true);
    await until("the agent is ready", async () => {
      if (ended) throw new Error(`the agent ended at its start:\n${log()}`);
      return await isUp();
    });
  };
  const end = async (signal: "SIGTERM" | "SIGKILL") => {
    child?.kill(signal);
    await child?.status;
    child = undefined;
  };
  const dispose = async () => {
    await end("SIGTERM");
    const [program, ...args] = [...enter, binary, "teardown", ...base, ...flags];
    const torn = await output(program!, args);
    client.close();
    if (options.rootSize !== undefined) await output("umount", [root]);
    const left = await instanceLeftovers(places);
    if (await Deno.lstat(socket).then(() => true, () => false)) left.push(`socket ${socket}`);
    if (torn.code !== 0 || left.length > 0) {
      throw new Error(
        `teardown: ${torn.code} ${torn.stderr}\nleft behind:\n${left.join("\n")}\n${log().slice(-3000)}`,
      );
    }
    await Deno.remove(directory, { recursive: true });
  };

  const untilPod = async (name: string, what: string, condition: (pod: Pod) => boolean): Promise<Pod> => {
    let last: Pod | undefined;
    try {
      await until(
        `pod ${name}: ${what}`,
        async () => (last = await pod(name)) !== undefined && condition(last),
      );
    } catch (error) {
      throw new Error(`${error}\n${JSON.stringify(last?.status, null, 1)}\n${log().slice(-3000)}`);
    }
    return last!;
  };

  const logs = (name: string, container: string, query = "") =>
    getText(client, `/containerLogs/default/${name}/${container}${query}`);

  const untilLog = async (name: string, container: string, pattern: RegExp): Promise<string> => {
    let text = "";
    const look = async () => pattern.test(text = await logs(name, container).catch((error) => `${error}`));
    await until(`${name}/${container} writes ${pattern}`, look).catch(async (error) => {
      throw new Error(`${error}\nit wrote: ${text}\n${JSON.stringify((await pod(name))?.status, null, 1)}`);
    });
    return text;
  };

  const cliEnv = { AGENT_SOCKET: socket, NO_COLOR: "1" };
  return {
    directory,
    root,
    manifests,
    images,
    socket,
    healthzPort: options.healthzPort ?? 0,
    flags: base,
    places: () => places,
    runtimeSocket: () => places.socket,
    pid: () => child!.pid,
    start,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    async write(name, ...documents) {
      const text = documents.map((d) => typeof d === "string" ? d : JSON.stringify(d)).join("\n---\n");
      const temporary = join(directory, `.${name}.new`);
      await Deno.writeTextFile(temporary, text);
      await Deno.rename(temporary, join(manifests, name));
    },
    remove: (name) => Deno.remove(join(manifests, name)),
    api,
    pods,
    pod,
    problems: async () => (await api<{ items: Problem[] }>("/problems")).items,
    logs,
    cliSpawn: (...args) => spawnCommand(args, cliEnv),
    cli: (...args) => output(binary, args, cliEnv),
    untilPod,
    untilReady: (name) => untilPod(name, "ready", isReady),
    untilGone: (name) => until(`pod ${name} is gone`, async () => await pod(name) === undefined),
    untilEnded: (name) =>
      untilPod(name, "ended", (p) => ["Succeeded", "Failed"].includes(p.status?.phase ?? "")),
    untilLog,
    ctr: async (...args) => {
      const { code, stdout, stderr } = await output("ctr", [
        "--address",
        places.socket,
        "-n",
        "k8s.io",
        ...args,
      ]);
      if (code !== 0) throw new Error(`ctr ${args.join(" ")}: ${stderr}`);
      return stdout;
    },
    log,
    [Symbol.asyncDispose]: dispose,
  };
}
