/**
 * The kubelet that KUBELET names, as a program beside a containerd of its own. Its directories, ports and cgroup root are
 * its own; a kubelet removes every pod cgroup below its root that it does not know. Not for: what it is told.
 */
import { join } from "@std/path";
import { until } from "../../e2e/containerd.ts";
import { CONTAINER, LOG_LIMIT } from "../pods.ts";
import { NotRunnable, type Resident } from "./peer.ts";
import type { BenchRuntime } from "./runtime.ts";

export const NODE = "bench";

/** A port of 127.0.0.1 that is free now. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

export interface KubeletOptions {
  binary: string;
  runtime: BenchRuntime;
  /** Of its configuration, over what is common to all. */
  configuration: Record<string, unknown>;
  flags: readonly string[];
}

/** The certificate is the node's own, which nobody has signed. */
export const logsOf = (port: number, pod: string, identity: readonly string[]): string[] => [
  "--insecure",
  ...identity,
  `https://127.0.0.1:${port}/containerLogs/${pod}/${CONTAINER}`,
];

export interface KubeletProgram extends Resident {
  manifests: string;
  /** What curl is to be asked for what the pod NAMESPACE/NAME wrote; `identity` where clients need one. */
  logs(pod: string, identity?: readonly string[]): string[];
  [Symbol.asyncDispose](): Promise<void>;
}

interface Places {
  root: string;
  manifests: string;
  port: number;
  healthzPort: number;
  runtime: BenchRuntime;
}

const commonConfiguration = ({ root, manifests, port, healthzPort, runtime }: Places) => ({
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  staticPodPath: manifests,
  containerRuntimeEndpoint: `unix://${runtime.socket}`,
  podLogsDir: join(root, "logs"),
  volumePluginDir: join(root, "volumeplugins"),
  address: "0.0.0.0", // the double asks at the Node's address
  port,
  healthzPort,
  healthzBindAddress: "127.0.0.1",
  cgroupDriver: "cgroupfs",
  cgroupRoot: runtime.cgroupRoot,
  failSwapOn: false,
  failCgroupV1: false,
  localStorageCapacityIsolation: false,
  maxPods: 250,
  ...LOG_LIMIT,
  evictionHard: {},
  imageGCHighThresholdPercent: 100,
});

const cgroupMounts = (): string[] =>
  Deno.readTextFileSync("/proc/self/mounts").split("\n").map((line) => line.split(" ")).filter(([, , type]) =>
    type === "cgroup" || type === "cgroup2"
  ).map(([, path]) => path!);

/** Not running yet. */
export async function prepareKubelet(options: KubeletOptions): Promise<KubeletProgram> {
  const { binary, runtime } = options;
  const [root, manifests] = [join(runtime.directory, "kubelet"), join(runtime.directory, "manifests")];
  const [config, log] = [join(runtime.directory, "kubelet.json"), join(runtime.directory, "kubelet.log")];
  const [port, healthzPort] = [freePort(), freePort()];
  const common = commonConfiguration({ root, manifests, port, healthzPort, runtime });
  for (const directory of [root, manifests]) await Deno.mkdir(directory);
  for (const mount of cgroupMounts()) await Deno.mkdir(mount + runtime.cgroupRoot).catch(() => {});
  await Deno.writeTextFile(config, JSON.stringify({ ...common, ...options.configuration }));
  let child: Deno.ChildProcess | undefined;
  const stop = async (): Promise<void> => {
    child?.kill("SIGTERM");
    await child?.status;
    child = undefined;
  };
  return {
    manifests,
    pid: () => child!.pid,
    async start() {
      const flags = ["--config", config, "--root-dir", root, "--hostname-override", NODE, ...options.flags];
      const quoted = [binary, ...flags].map((a) => `'${a}'`).join(" ");
      const started = new Deno.Command("sh", {
        args: ["-c", `exec ${quoted} >>'${log}' 2>&1`],
        stdin: "null",
      })
        .spawn();
      child = started;
      let ended = false;
      started.status.then(() => ended = true);
      await until("the kubelet answers", async () => {
        if (ended) throw new NotRunnable(`${binary} ended: ${Deno.readTextFileSync(log).slice(-500)}`);
        return await fetch(`http://127.0.0.1:${healthzPort}/healthz`).then(
          async (r) => (await r.text()) === "ok",
          () => false,
        );
      });
    },
    stop,
    logs: (pod, identity = []) => logsOf(port, pod, identity),
    async [Symbol.asyncDispose]() {
      await stop();
      await runtime[Symbol.asyncDispose]();
      for (const mount of cgroupMounts()) await removeTree(mount + runtime.cgroupRoot);
    },
  };
}

/** A cgroup's directory goes only when those below it are gone. */
async function removeTree(directory: string): Promise<void> {
  const entries = await Array.fromAsync(Deno.readDir(directory)).catch(() => []);
  for (const e of entries) if (e.isDirectory) await removeTree(join(directory, e.name));
  await Deno.remove(directory).catch(() => {});
}
