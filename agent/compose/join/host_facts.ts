/** What `agent join` has to know of this host before it changes anything. Not for: what follows from it (cluster/join/preflight.ts). */
import { dirname } from "@std/path";
import { serverTime } from "../../cluster/client/unverified.ts";
import type { HostFacts } from "../../cluster/join/preflight.ts";
import type { Config } from "../../config/config.ts";
import type { Log } from "../../lib/log.ts";
import { errorText } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";
import { chooseRuntime } from "../runtime.ts";
import type { joinPlaces } from "./joined.ts";

export interface FactsWanted {
  config: Config;
  host: Host;
  log: Log;
  places: ReturnType<typeof joinPlaces>;
  /** `HOST:PORT` of the API server, where that is known. */
  endpoint: string | undefined;
  /** Those that the node will serve. */
  ports: readonly number[];
}

const answerMs = 5_000;

export async function readHostFacts(o: FactsWanted, signal: AbortSignal): Promise<HostFacts> {
  const { config, host, places, endpoint } = o;
  const joined = await host.stat(places.joined) !== undefined;
  const [clockSkew, runtimeProblem] = await Promise.all([
    endpoint === undefined ? undefined : skewOf(host, endpoint, signal),
    runtimeProblemOf(o, signal),
  ]);
  const left = [places.kubeconfig, places.bootstrapKubeconfig];
  const present = await Promise.all(left.map(async (path) => await host.stat(path) !== undefined));
  const kubelet = config.isPrivate ? undefined : await processNamed(host, "kubelet");
  return {
    root: Deno.uid() === 0,
    nodeName: config.nodeName,
    cgroupControllers: await controllers(host),
    swap: await swapSize(host),
    // A node with swap is a matter of its configuration; a kubelet's default would refuse it.
    failSwapOn: false,
    takenPorts: await takenPorts(o),
    ...(clockSkew === undefined ? {} : { clockSkew }),
    ...(runtimeProblem === undefined ? {} : { runtimeProblem }),
    freeDisk: await freeSpace(host, config.rootDir),
    ipForward: (await host.readText("/proc/sys/net/ipv4/ip_forward"))?.trim() === "1",
    leftFiles: joined ? [] : left.filter((_, i) => present[i]),
    ...(kubelet === undefined ? {} : { kubelet }),
  };
}

async function skewOf(host: Host, endpoint: string, signal: AbortSignal): Promise<number | undefined> {
  const theirs = await serverTime(`https://${endpoint}/version`, answerMs, signal);
  return theirs === undefined ? undefined : host.now() - theirs;
}

/** Of a runtime of the agent's own only that it can be started is looked at. */
async function runtimeProblemOf(o: FactsWanted, signal: AbortSignal): Promise<string | undefined> {
  try {
    const { cri, containerd } = await chooseRuntime(o, signal);
    try {
      if (containerd === undefined) {
        await cri.runtime.version(AbortSignal.any([signal, AbortSignal.timeout(answerMs)]));
      }
    } finally {
      cri.close();
    }
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    return errorText(error);
  }
}

/** Of cgroup v2 what its root offers; of v1 what is mounted. */
async function controllers(host: Host): Promise<string[]> {
  const mounts = await host.mounts();
  const v1 = mounts.filter((m) => m.fsType === "cgroup").flatMap((m) => m.options);
  const unified = mounts.find((m) => m.fsType === "cgroup2")?.path;
  const v2 = unified === undefined ? "" : await host.readText(`${unified}/cgroup.controllers`) ?? "";
  return [...new Set([...v2.trim().split(/\s+/), ...v1])];
}

/** Bytes. */
async function swapSize(host: Host): Promise<number> {
  const lines = (await host.readText("/proc/swaps") ?? "").trim().split("\n").slice(1);
  return lines.reduce((sum, line) => sum + 1024 * Number(line.trim().split(/\s+/)[2] ?? 0), 0);
}

/** Of the file system where a directory is, or will be. */
async function freeSpace(host: Host, directory: string): Promise<number> {
  for (let at = directory;; at = dirname(at)) {
    const space = await host.statfs(at).catch(() => undefined);
    if (space !== undefined) return space.available;
    if (at === "/") return 0;
  }
}

async function takenPorts({ host, config, ports }: FactsWanted): Promise<HostFacts["takenPorts"]> {
  const sockets = await listeners(host);
  const own = await answers(host, config.socket);
  const taken = await Promise.all(
    ports.filter((port) => sockets.has(port)).map(async (port) => {
      const owner = await ownerOf(host, sockets.get(port)!);
      return { port, ...(owner === undefined ? {} : { by: `${owner.name} (process ${owner.pid})` }), owner };
    }),
  );
  // An agent that runs already is the one that is to join.
  return taken.filter(({ owner }) => !(own && owner?.name === "agent")).map(({ owner: _, ...port }) => port);
}

/** Inodes of listening TCP sockets by their ports. */
async function listeners(host: Host): Promise<Map<number, string>> {
  const tables = await Promise.all(["/proc/net/tcp", "/proc/net/tcp6"].map((path) => host.readText(path)));
  const rows = tables.flatMap((text) => (text ?? "").trim().split("\n").slice(1)).map((row) =>
    row.trim().split(/\s+/)
  );
  const listening = "0A";
  return new Map(
    rows.filter((row) => row[3] === listening).map((
      row,
    ) => [parseInt(row[1]!.split(":").at(-1)!, 16), row[9]!]),
  );
}

async function ownerOf(host: Host, inode: string): Promise<{ pid: number; name: string } | undefined> {
  for (const pid of await processes(host)) {
    for (const fd of await host.list(`/proc/${pid}/fd`).catch(() => undefined) ?? []) {
      const target = await host.readlink(`/proc/${pid}/fd/${fd}`).catch(() => undefined);
      if (target === `socket:[${inode}]`) return { pid, name: await nameOf(host, pid) };
    }
  }
  return undefined;
}

const processes = async (host: Host): Promise<number[]> =>
  (await host.list("/proc") ?? []).filter((name) => /^\d+$/.test(name)).map(Number);

const nameOf = async (host: Host, pid: number): Promise<string> =>
  (await host.readText(`/proc/${pid}/comm`).catch(() => undefined))?.trim() ?? "";

async function processNamed(host: Host, wanted: string): Promise<number | undefined> {
  for (const pid of await processes(host)) if (await nameOf(host, pid) === wanted) return pid;
  return undefined;
}

/** Whether an agent answers at its socket. */
export async function answers(host: Host, socket: string): Promise<boolean> {
  if ((await host.stat(socket))?.kind !== "socket") return false;
  try {
    (await Deno.connect({ transport: "unix", path: socket })).close();
    return true;
  } catch {
    return false;
  }
}
