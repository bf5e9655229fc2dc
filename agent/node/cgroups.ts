/**
 * The cgroups of pods on the node, cgroup v1 and v2: the Cgroups port. With the systemd driver the runtime and systemd
 * own them, and only their names are told. What they are called and may use is decided in model/qos.ts. Not for:
 * containers' own cgroups (the runtime's), statistics.
 */
import { dirname, join } from "@std/path";
import { once } from "../lib/once.ts";
import { AgentError, errorText } from "../model/errors.ts";
import { type CgroupLimits, cpuPeriod, cpuWeight, kubepodsCgroup, sharesOfWeight } from "../model/qos.ts";
import { podCgroup, podCgroupLimits, type QosClass, qosClass } from "../model/qos.ts";
import type { Cgroups, Host } from "../ports.ts";

export interface CgroupOptions {
  host: Host;
  /** The cgroup below which `kubepods` lies; each agent on a machine needs its own. */
  root: string;
  driver: "cgroupfs" | "systemd";
  /** Limits of all pods together (node allocatable); absent leaves them open. */
  limits?: CgroupLimits;
}

export interface PodCgroups extends Cgroups {
  /** Uids that have a cgroup below our root. */
  known(): Promise<string[]>;
  /** Removes our cgroups that are empty, up to and with the root; for when no pod is left. */
  removeRoot(): Promise<void>;
}

/** Mount points. In a hybrid set-up v2 is mounted beside v1 and limits nothing. */
interface Hierarchies {
  all: string[];
  cpu: string | undefined;
  memory: string | undefined;
  unified: string | undefined;
}

const classes: readonly QosClass[] = ["Guaranteed", "Burstable", "BestEffort"];
const removalPause = 20;
const removalTries = 100;

export function createCgroups(options: CgroupOptions): PodCgroups {
  return options.driver === "systemd" ? systemdCgroups(options.root) : cgroupfsCgroups(options);
}

/** systemd makes a slice with the first scope in it and collects it with the last. */
const systemdCgroups = (root: string): PodCgroups => ({
  ensure: (desired) =>
    Promise.resolve(podCgroup(root, qosClass(desired.pod), checked(desired.uid), "systemd")),
  remove: () => Promise.resolve(),
  known: () => Promise.resolve([]),
  removeRoot: () => Promise.resolve(),
});

function cgroupfsCgroups({ host, root, limits }: CgroupOptions): PodCgroups {
  /** What this process wrote, by path: the same again is not written. */
  const written = new Map<string, string>();
  let weighing: Promise<void> = Promise.resolve();
  const kubepods = kubepodsCgroup(root);
  const hierarchies = once(() => findHierarchies(host));
  const shares = once(async () => readShares(host, await hierarchies(), `${kubepods}/burstable`));
  const pathOf = (qos: QosClass, uid: string) => podCgroup(root, qos, checked(uid), "cgroupfs");

  async function write(path: string, cgroup: CgroupLimits): Promise<void> {
    const text = JSON.stringify(cgroup);
    const h = await hierarchies();
    const places = h.unified === undefined ? [h.cpu, h.memory] : [h.unified];
    const present = await Promise.all(places.map((place) => place && host.stat(join(place, path))));
    if (written.get(path) === text && present.every((stat) => stat !== undefined)) return;
    if (h.unified !== undefined) await writeUnified(host, h.unified, path, cgroup);
    else await writeV1(host, h, path, cgroup);
    written.set(path, text);
  }

  /** Burstable pods together weigh what they ask for together; what other runs of the agent left is on the node. */
  function weigh(uid: string, own: number | undefined): Promise<void> {
    const turn = weighing.then(() => reweigh(uid, own));
    // One after the other, so that the last sum is the one that stays; a failure is its caller's.
    weighing = turn.catch(() => {});
    return turn;
  }

  async function reweigh(uid: string, own: number | undefined): Promise<void> {
    const known = await shares();
    if (known.get(uid) === own) return;
    if (own === undefined) known.delete(uid);
    else known.set(uid, own);
    const sum = [...known.values()].reduce((total, each) => total + each, 0);
    await write(`${kubepods}/burstable`, { cpuShares: Math.min(262_144, Math.max(2, sum)) });
  }

  async function ensure(pod: Parameters<Cgroups["ensure"]>[0]): Promise<string> {
    const qos = qosClass(pod.pod);
    const path = pathOf(qos, pod.uid);
    const own = podCgroupLimits(pod.pod);
    try {
      await write(kubepods, limits ?? { cpuShares: 1024 });
      if (qos === "BestEffort") await write(`${kubepods}/besteffort`, { cpuShares: 2 });
      if (qos === "Burstable") await weigh(pod.uid, own.cpuShares);
      await write(path, own);
    } catch (error) {
      throw new AgentError("CreatePodSandboxError", `cannot set up cgroup ${path}: ${errorText(error)}`, {
        cause: error,
      });
    }
    return path;
  }

  async function remove(uid: string): Promise<void> {
    const { all } = await hierarchies();
    const paths = classes.map((qos) => pathOf(qos, uid));
    await Promise.all(paths.flatMap((path) => all.map((mount) => removeTree(host, join(mount, path)))));
    for (const path of paths) written.delete(path);
    await weigh(uid, undefined);
  }

  async function known(): Promise<string[]> {
    const { all } = await hierarchies();
    const parents = [kubepods, `${kubepods}/burstable`, `${kubepods}/besteffort`];
    const lists = await Promise.all(all.flatMap((mount) => parents.map((p) => host.list(join(mount, p)))));
    const uids = lists.flatMap((names) => names ?? []).filter((name) => name.startsWith("pod"));
    return [...new Set(uids.map((name) => name.slice("pod".length)))].sort();
  }

  async function removeRoot(): Promise<void> {
    const { all } = await hierarchies();
    const top = dirname(kubepods) === "/" ? kubepods : dirname(kubepods);
    await Promise.all(all.map((mount) => removeEmpty(host, join(mount, top))));
    written.clear();
  }

  return { ensure, remove, known, removeRoot };
}

/** A uid becomes part of a path. */
function checked(uid: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(uid)) return uid;
  throw new AgentError("CreatePodSandboxError", `pod uid ${JSON.stringify(uid)} cannot name a cgroup`, {
    retry: false,
  });
}

async function findHierarchies(host: Host): Promise<Hierarchies> {
  const mounts = await host.mounts();
  const v1 = mounts.filter((m) => m.fsType === "cgroup");
  const v2 = mounts.filter((m) => m.fsType === "cgroup2").map((m) => m.path);
  const holding = (controller: string) => v1.find((m) => m.options.includes(controller))?.path;
  const [cpu, memory] = [holding("cpu"), holding("memory")];
  return {
    all: [...new Set([...v1.map((m) => m.path), ...v2])],
    cpu,
    memory,
    unified: cpu === undefined && memory === undefined ? v2[0] : undefined,
  };
}

async function writeV1(host: Host, h: Hierarchies, path: string, limits: CgroupLimits): Promise<void> {
  const set = async (mount: string | undefined, files: [string, number][]) => {
    if (mount === undefined) return;
    await host.mkdir(join(mount, path), 0o755);
    for (const [file, value] of files) await host.writeFile(join(mount, path, file), `${value}`);
  };
  await Promise.all([
    // The period before the quota, which is checked against it.
    set(h.cpu, [
      ["cpu.shares", limits.cpuShares],
      ["cpu.cfs_period_us", limits.cpuPeriod ?? cpuPeriod],
      ["cpu.cfs_quota_us", limits.cpuQuota ?? -1],
    ]),
    set(h.memory, [["memory.limit_in_bytes", limits.memory ?? -1]]),
  ]);
}

async function writeUnified(host: Host, mount: string, path: string, limits: CgroupLimits): Promise<void> {
  let directory = mount;
  for (const name of path.split("/").filter((part) => part !== "")) {
    await passControllersOn(host, directory);
    directory = join(directory, name);
    await host.mkdir(directory, 0o755);
  }
  await host.writeFile(join(directory, "cpu.weight"), `${cpuWeight(limits.cpuShares)}`);
  await host.writeFile(
    join(directory, "cpu.max"),
    `${limits.cpuQuota ?? "max"} ${limits.cpuPeriod ?? cpuPeriod}`,
  );
  await host.writeFile(join(directory, "memory.max"), `${limits.memory ?? "max"}`);
}

const wantedControllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"];

/** In v2 a cgroup has the controllers that its parent passes on. */
async function passControllersOn(host: Host, directory: string): Promise<void> {
  const words = async (file: string) =>
    (await host.readText(join(directory, file)) ?? "").trim().split(/\s+/);
  const [available, passed] = await Promise.all([
    words("cgroup.controllers"),
    words("cgroup.subtree_control"),
  ]);
  for (const controller of wantedControllers) {
    if (!available.includes(controller) || passed.includes(controller)) continue;
    try {
      await host.writeFile(join(directory, "cgroup.subtree_control"), `+${controller}`);
    } catch (error) {
      if (controller === "cpu" || controller === "memory") throw error;
    }
  }
}

/** Shares of the pods that have a cgroup there already. */
async function readShares(host: Host, h: Hierarchies, parent: string): Promise<Map<string, number>> {
  const shares = new Map<string, number>();
  const mount = h.unified ?? h.cpu;
  if (mount === undefined) return shares;
  const directory = join(mount, parent);
  for (const name of await host.list(directory) ?? []) {
    if (!name.startsWith("pod")) continue;
    const file = h.unified === undefined ? "cpu.shares" : "cpu.weight";
    const value = Number((await host.readText(join(directory, name, file)))?.trim() ?? NaN);
    if (Number.isNaN(value)) continue;
    shares.set(name.slice("pod".length), h.unified === undefined ? value : sharesOfWeight(value));
  }
  return shares;
}

/** Bottom-up; a cgroup stays busy for a moment after its last process ended, and strays in it are killed. */
async function removeTree(host: Host, directory: string): Promise<void> {
  for (const name of await host.list(directory) ?? []) {
    const path = join(directory, name);
    if ((await host.lstat(path))?.kind === "directory") await removeTree(host, path);
  }
  for (let tries = 1;; tries++) {
    try {
      return await host.remove(directory);
    } catch (error) {
      if (tries === removalTries) {
        throw new AgentError("FailedKillPod", `cannot remove cgroup ${directory}: ${errorText(error)}`);
      }
      if (tries === removalTries / 2) await killAll(host, directory);
      await host.sleep(removalPause, AbortSignal.timeout(60_000));
    }
  }
}

/** Bottom-up; what has processes stays, with all above it. */
async function removeEmpty(host: Host, directory: string): Promise<void> {
  for (const name of await host.list(directory) ?? []) {
    const path = join(directory, name);
    if ((await host.lstat(path))?.kind === "directory") await removeEmpty(host, path);
  }
  await host.remove(directory).catch(() => {});
}

async function killAll(host: Host, directory: string): Promise<void> {
  const pids = (await host.readText(join(directory, "cgroup.procs")) ?? "").split("\n").filter((pid) =>
    /^\d+$/.test(pid)
  );
  if (pids.length === 0) return;
  await host.exec(["/bin/sh", "-c", 'kill -9 "$@"', "kill", ...pids], {}, AbortSignal.timeout(5_000));
}
