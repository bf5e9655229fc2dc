/**
 * A kubelet without an API server, on static pods: the binary that KUBELET names. Its directories, ports and cgroup
 * root are its own; a kubelet removes every pod cgroup below its root that it does not know. Not for: a cluster.
 */
import { join } from "@std/path";
import type { PodList } from "../../../agent/model/gen/v1.ts";
import { until } from "../../e2e/containerd.ts";
import { runningContainers } from "./agent.ts";
import { openCri } from "./cri.ts";
import { NotRunnable, type Peer } from "./peer.ts";
import { whenTrue } from "../wait.ts";
import { type BenchRuntime, startRuntime } from "./runtime.ts";

const NODE = "bench";

/** A port of 127.0.0.1 that is free now. */
function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

interface Places {
  manifests: string;
  root: string;
  config: string;
  readOnlyPort: number;
}

function configuration(p: Places, runtime: BenchRuntime): string {
  return JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    staticPodPath: p.manifests,
    containerRuntimeEndpoint: `unix://${runtime.socket}`,
    podLogsDir: join(p.root, "logs"),
    address: "127.0.0.1",
    port: freePort(),
    readOnlyPort: p.readOnlyPort,
    healthzPort: 0,
    cgroupDriver: "cgroupfs",
    cgroupRoot: runtime.cgroupRoot,
    failSwapOn: false,
    failCgroupV1: false,
    localStorageCapacityIsolation: false,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    enableServer: true,
    maxPods: 250,
    evictionHard: {},
    imageGCHighThresholdPercent: 100,
  });
}

const cgroupMounts = (): string[] =>
  Deno.readTextFileSync("/proc/self/mounts").split("\n").map((line) => line.split(" ")).filter(([, , type]) =>
    type === "cgroup" || type === "cgroup2"
  ).map(([, path]) => path!);

async function preparePlaces(runtime: BenchRuntime): Promise<Places> {
  const root = join(runtime.directory, "kubelet");
  const places = {
    root,
    manifests: join(runtime.directory, "manifests"),
    config: join(runtime.directory, "kubelet.json"),
    readOnlyPort: freePort(),
  };
  await Deno.mkdir(places.manifests);
  await Deno.mkdir(root);
  for (const mount of cgroupMounts()) await Deno.mkdir(mount + runtime.cgroupRoot).catch(() => {});
  await Deno.writeTextFile(places.config, configuration(places, runtime));
  return places;
}

export async function createKubelet(binary: string): Promise<Peer> {
  const runtime = await startRuntime();
  const places = await preparePlaces(runtime);
  const cri = openCri(runtime.socket);
  const url = `http://127.0.0.1:${places.readOnlyPort}`;
  const log = join(runtime.directory, "kubelet.log");
  let child: Deno.ChildProcess | undefined;
  const pods = async () => (await (await fetch(`${url}/pods`)).json() as PodList).items ?? [];
  const start = async (): Promise<void> => {
    const flags = ["--config", places.config, "--root-dir", places.root, "--hostname-override", NODE];
    const quoted = [binary, ...flags].map((a) => `'${a}'`).join(" ");
    child = new Deno.Command("sh", { args: ["-c", `exec ${quoted} >>'${log}' 2>&1`], stdin: "null" }).spawn();
    let ended = false;
    child.status.then(() => ended = true);
    await until("the kubelet answers", async () => {
      if (ended) throw new NotRunnable(`${binary} ended: ${Deno.readTextFileSync(log).slice(-500)}`);
      return await fetch(`${url}/healthz`).then(async (r) => (await r.text()) === "ok", () => false);
    });
  };
  const stop = async (): Promise<void> => {
    if (child === undefined) return;
    child.kill("SIGTERM");
    await child.status;
    child = undefined;
  };
  const dispose = async (): Promise<void> => {
    await stop();
    cri.close();
    await runtime[Symbol.asyncDispose]();
    for (const mount of cgroupMounts()) await removeTree(mount + runtime.cgroupRoot);
  };
  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  const fileOf = (name: string): string => join(places.manifests, `${name}.json`);
  // A static pod's name ends with its node's.
  const shown = (name: string): string => `${name}-${NODE}`;
  const running = async () => {
    const suffix = `-${NODE}`.length;
    return new Map([...runningContainers(await pods())].map(([name, ids]) => [name.slice(0, -suffix), ids]));
  };
  return {
    name: "kubelet",
    restarts: true,
    resident: { pid: () => child!.pid, stop, start },
    async add(all) {
      for (const { name, spec } of all) {
        const temporary = join(runtime.directory, `.${name}`);
        await Deno.writeTextFile(temporary, JSON.stringify(spec));
        await Deno.rename(temporary, fileOf(name));
      }
    },
    async remove(all) {
      for (const { name } of all) await Deno.remove(fileOf(name));
    },
    // It has no watch; each question costs it work, so that asking more often would slow it down.
    whenRunning: async ({ name }) =>
      void await whenTrue("kubelet: the pod runs", async () => (await running()).has(name), 10),
    running,
    async knows(all) {
      const names = new Set((await pods()).map((p) => p.metadata?.name));
      if (all.some(({ name }) => names.has(shown(name)))) return true;
      const left = await cri.podNames();
      return all.some(({ name }) => left.has(shown(name)));
    },
    containers: ({ name }) => cri.containers(shown(name)),
    kill: ({ name }) => cri.kill(shown(name)),
    [Symbol.asyncDispose]: dispose,
  };
}

/** A cgroup's directory goes only when those below it are gone. */
async function removeTree(directory: string): Promise<void> {
  const entries = await Array.fromAsync(Deno.readDir(directory)).catch(() => []);
  for (const e of entries) if (e.isDirectory) await removeTree(join(directory, e.name));
  await Deno.remove(directory).catch(() => {});
}
