/**
 * The built binary as a user runs it: a private instance with its own containerd below one directory, driven by
 * manifests, signals, its CLI and its API; gone without a trace afterwards. Not for: assertions.
 */
import { join } from "@std/path";
import type { Pod, PodList } from "../../agent/model/gen/v1.ts";
import type { Problem } from "../../agent/model/errors.ts";
import { until } from "./containerd.ts";
import { writeImageArchive } from "./images.ts";

/** What `make test` built; tests of a change rebuild it. */
export const binary = Deno.env.get("AGENT_BINARY") ?? new URL("../../dist/agent", import.meta.url).pathname;

/** busybox under the name that the example manifests use. */
export const demoImage = "localhost/agent/demo:1";

export interface CommandOutput {
  code: number;
  stdout: string;
  stderr: string;
}

export interface AgentUnderTest {
  directory: string;
  root: string;
  manifests: string;
  images: string;
  socket: string;
  /** CRI socket of its containerd; empty before the first start. */
  runtimeSocket(): string;
  pid(): number;
  /** Starts it and waits until it is ready. `flags` are added to the private instance's. */
  start(flags?: string[]): Promise<void>;
  /** SIGTERM, as systemd stops it. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Writes a manifest by rename, as careful editors do. */
  write(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** GET over the socket, as JSON; throws on another status than 200. */
  api<T>(path: string): Promise<T>;
  pods(): Promise<Pod[]>;
  pod(name: string): Promise<Pod | undefined>;
  problems(): Promise<Problem[]>;
  /** Runs the CLI against this instance. */
  cli(...args: string[]): Promise<CommandOutput>;
  /** Waits until the pod exists and fulfils the condition. */
  untilPod(name: string, what: string, condition: (pod: Pod) => boolean): Promise<Pod>;
  untilReady(name: string): Promise<Pod>;
  untilGone(name: string): Promise<void>;
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

async function getJson<T>(client: Deno.HttpClient, path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1${path}`, { client });
  if (response.status !== 200) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
  return await response.json() as T;
}

/** A private instance that is not running yet; `withImage` brings the demo image as an archive. `verbosity`: of its log. */
export async function createAgent(
  options: { withImage?: boolean; verbosity?: number } = {},
): Promise<AgentUnderTest> {
  const directory = await Deno.makeTempDir({ prefix: "agent-e2e-", dir: "/run" });
  const root = join(directory, "root");
  const [manifests, images, socket] = [
    join(directory, "manifests"),
    join(root, "agent/images"),
    join(directory, "agent.sock"),
  ];
  await Deno.mkdir(manifests);
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
    "0",
  ];
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  const logPath = join(directory, "log");
  let child: Deno.ChildProcess | undefined;
  let flags: string[] = [];

  const api = <T>(path: string) => getJson<T>(client, path);
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
    const command = [binary, "run", ...base, "--v", `${options.verbosity ?? 4}`, ...more].map((a) => `'${a}'`)
      .join(" ");
    child = new Deno.Command("sh", { args: ["-c", `exec ${command} >>'${logPath}' 2>&1`], stdin: "null" })
      .spawn();
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
  const runtimeSocket = () => /socket=(\S*containerd\S*)/.exec(log())?.[1] ?? "";

  const dispose = async () => {
    await end("SIGTERM");
    const torn = await output(binary, ["teardown", ...base, ...flags]);
    client.close();
    const left = await leftovers(directory);
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

  return {
    directory,
    root,
    manifests,
    images,
    socket,
    runtimeSocket,
    pid: () => child!.pid,
    start,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    async write(name, text) {
      const temporary = join(directory, `.${name}.new`);
      await Deno.writeTextFile(temporary, text);
      await Deno.rename(temporary, join(manifests, name));
    },
    remove: (name) => Deno.remove(join(manifests, name)),
    api,
    pods,
    pod,
    problems: async () => (await api<{ items: Problem[] }>("/problems")).items,
    cli: (...args) => output(binary, args, { AGENT_SOCKET: socket, NO_COLOR: "1" }),
    untilPod,
    untilReady: (name) => untilPod(name, "ready", isReady),
    untilGone: (name) => until(`pod ${name} is gone`, async () => await pod(name) === undefined),
    ctr: async (...args) => {
      const { code, stdout, stderr } = await output("ctr", [
        "--address",
        runtimeSocket(),
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

/** Processes, mounts, cgroups and links of this instance that outlive it. */
async function leftovers(directory: string): Promise<string[]> {
  const left: string[] = [];
  for (const entry of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    try {
      const command = Deno.readTextFileSync(`/proc/${entry.name}/cmdline`).replaceAll("\0", " ");
      if (command.includes(directory)) left.push(`process ${entry.name}: ${command}`);
    } catch {
      // It ended meanwhile.
    }
  }
  for (const line of (await Deno.readTextFile("/proc/self/mountinfo")).split("\n")) {
    if (line.includes(directory)) left.push(`mount ${line}`);
  }
  return left;
}
