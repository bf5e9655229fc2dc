/**
 * The cgroups of pods on the node, cgroup v1 and v2, made by the agent itself or by systemd: the Cgroups port. What they
 * are called and may use is decided in model/pod_cgroup.ts. Not for: containers' own cgroups (the runtime's).
 */
import { dirname, join } from "@std/path";
import { once } from "../lib/once.ts";
import { boundedShares } from "../model/cpu.ts";
import { AgentError, errorText } from "../model/errors.ts";
import {
  type CgroupDriver,
  type CgroupLimits,
  classCgroup,
  podCgroup,
  podCgroupLimits,
  type PodLimitPolicy,
  roomForBoth,
} from "../model/pod_cgroup.ts";
import { type QosClass, qosClass } from "../model/qos.ts";
import type { Cgroups, Host } from "../ports.ts";
import type { PodReading } from "../model/cgroup_reading.ts";
import type { SystemReading, Usage } from "../model/usage.ts";
import { ownCgroup, readCgroup, readPodCgroups } from "./cgroup_readings.ts";
import { findHierarchies, type Hierarchies, limitPlaces, readLimits, removeEmpty } from "./cgroup_files.ts";
import { readUsage, removeTree, writeLimits } from "./cgroup_files.ts";
import { createSlices } from "./systemd_slices.ts";

export interface CgroupOptions {
  host: Host;
  /** The cgroup below which `kubepods` lies; each agent on a machine needs its own. */
  root: string;
  driver: CgroupDriver;
  policy: PodLimitPolicy;
  /** Whether a container of the pod has CPUs of its own: no limit of CPU holds for the pod. Absent: none has. */
  hasOwnCpus?(uid: string): boolean;
  /** Limits of all pods together (node allocatable); absent leaves them open. */
  limits?: CgroupLimits;
}

export interface PodCgroups extends Cgroups {
  /** Uids that have a cgroup below our root. */
  known(): Promise<string[]>;
  /** In detail, with its containers'. */
  read(pod: Parameters<Cgroups["usage"]>[0]): Promise<PodReading | undefined>;
  /** What all pods use together. */
  usageOfAll(): Promise<Usage | undefined>;
  /** Those that are no pod's. @param runtimes where one of these is, it is the container runtime's */
  system(runtimes: readonly string[]): Promise<SystemReading[]>;
  /** Removes our cgroups that are empty, up to and with the root; for when no pod is left. */
  removeRoot(): Promise<void>;
}

/** Who makes cgroups. Paths are those of the cgroup file system, from its root. */
export interface CgroupMaker {
  /** Makes the cgroup where it is missing, and gives it these limits. */
  write(path: string, limits: CgroupLimits): Promise<void>;
  /** With all below it. Nothing happens when it does not exist. */
  remove(path: string): Promise<void>;
  /** As far as it is empty. */
  removeEmpty(path: string): Promise<void>;
  /** The uid of the pod whose cgroup has this name. */
  uidIn(name: string): string | undefined;
}

const classes: readonly QosClass[] = ["Guaranteed", "Burstable", "BestEffort"];

const createDirectories = (host: Host, hierarchies: () => Promise<Hierarchies>): CgroupMaker => ({
  write: async (path, limits) => await writeLimits(host, await hierarchies(), path, limits),
  async remove(path) {
    const { all } = await hierarchies();
    await Promise.all(all.map((mount) => removeTree(host, join(mount, path))));
  },
  async removeEmpty(path) {
    const { all } = await hierarchies();
    await Promise.all(all.map((mount) => removeEmpty(host, join(mount, path))));
  },
  uidIn: (name) => /^pod(.+)$/.exec(name)?.[1],
});

export function createCgroups(o: CgroupOptions): PodCgroups {
  const { host, root, driver, limits } = o;
  /** What this agent wrote, by path: the same again is not written. */
  const written = new Map<string, string>();
  let weighing: Promise<void> = Promise.resolve();
  const hierarchies = once(() => findHierarchies(host));
  const maker = driver === "systemd" ? createSlices(host, hierarchies) : createDirectories(host, hierarchies);
  const parentOf = (qos: QosClass) => classCgroup(root, qos, driver);
  const pathOf = (qos: QosClass, uid: string) => podCgroup(root, qos, checked(uid), driver);
  const kubepods = parentOf("Guaranteed");
  const limitsOf = ({ pod, uid }: Parameters<Cgroups["ensure"]>[0]) => {
    const { cpu } = o.policy;
    return podCgroupLimits(
      pod,
      o.hasOwnCpus?.(uid) === true ? { ...o.policy, cpu: { ...cpu, enforced: false } } : o.policy,
    );
  };
  const shares = once(() => readShares(host, hierarchies, parentOf("Burstable"), maker.uidIn));

  async function write(path: string, cgroup: CgroupLimits): Promise<void> {
    const text = JSON.stringify(cgroup);
    const places = limitPlaces(await hierarchies());
    const present = await Promise.all(places.map((place) => host.stat(join(place, path))));
    if (written.get(path) === text && present.every((stat) => stat !== undefined)) return;
    written.delete(path);
    await maker.write(path, cgroup);
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
    // The least share stands for a pod that asks for none.
    const sum = [...known.values()].reduce((total, each) => total + (each > 2 ? each : 0), 0);
    await write(parentOf("Burstable"), { cpuShares: boundedShares(sum) });
  }

  async function ensure(desired: Parameters<Cgroups["ensure"]>[0]): Promise<string> {
    const { pod, uid } = desired;
    const qos = qosClass(pod);
    const path = pathOf(qos, uid);
    const own = limitsOf(desired);
    try {
      await write(kubepods, limits ?? { cpuShares: 1024 });
      if (qos === "BestEffort") await write(parentOf(qos), { cpuShares: 2 });
      if (qos === "Burstable") await weigh(uid, own.cpuShares);
      await write(path, own);
    } catch (error) {
      throw new AgentError("CreatePodSandboxError", `cannot set up cgroup ${path}: ${errorText(error)}`, {
        cause: error,
      });
    }
    return path;
  }

  async function makeRoom(desired: Parameters<Cgroups["makeRoom"]>[0]): Promise<void> {
    const { pod, uid } = desired;
    const path = pathOf(qosClass(pod), uid);
    const now = await readLimits(host, await hierarchies(), path);
    if (now !== undefined) await write(path, roomForBoth(now, limitsOf(desired)));
  }

  const usage: PodCgroups["usage"] = async ({ pod, uid }) =>
    await readUsage(host, await hierarchies(), pathOf(qosClass(pod), uid));

  const usageOfAll = async () => await readUsage(host, await hierarchies(), kubepods);

  const read: PodCgroups["read"] = async ({ pod, uid }) =>
    await readPodCgroups(host, await hierarchies(), uid, pathOf(qosClass(pod), uid));

  const own = once(() => ownCgroup(host));

  async function system(runtimes: readonly string[]): Promise<SystemReading[]> {
    const h = await hierarchies();
    const one = async (name: SystemReading["name"], paths: readonly string[]): Promise<SystemReading[]> => {
      for (const path of paths) {
        const reading = await readCgroup(host, h, path);
        const made = await host.stat(join(h.unified ?? h.cpuacct ?? h.cpu ?? "", path));
        if (reading !== undefined) return [{ name, reading, ...(made && { startedAt: made.mtimeMs }) }];
      }
      return [];
    };
    const agent = await own();
    return (await Promise.all([
      one("kubelet", agent === undefined ? [] : [agent]),
      one("runtime", runtimes),
      one("pods", [kubepods]),
    ])).flat();
  }

  async function remove(uid: string): Promise<void> {
    const paths = classes.map((qos) => pathOf(qos, uid));
    await Promise.all(paths.map((path) => maker.remove(path)));
    for (const path of paths) written.delete(path);
    await weigh(uid, undefined);
  }

  async function known(): Promise<string[]> {
    const { all } = await hierarchies();
    const lists = await Promise.all(
      all.flatMap((mount) => classes.map((qos) => host.list(join(mount, parentOf(qos))))),
    );
    return [...new Set(lists.flatMap((names) => names ?? []).flatMap((name) => maker.uidIn(name) ?? []))]
      .sort();
  }

  async function removeRoot(): Promise<void> {
    await maker.removeEmpty(dirname(kubepods) === "/" ? kubepods : dirname(kubepods));
    written.clear();
  }

  return { ensure, makeRoom, usage, usageOfAll, read, system, remove, known, removeRoot };
}

/** A uid becomes part of a path. */
function checked(uid: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(uid)) return uid;
  throw new AgentError("CreatePodSandboxError", `pod uid ${JSON.stringify(uid)} cannot name a cgroup`, {
    retry: false,
  });
}

/** Shares of the pods that have a cgroup there already. */
async function readShares(
  host: Host,
  hierarchies: () => Promise<Hierarchies>,
  parent: string,
  uidIn: CgroupMaker["uidIn"],
): Promise<Map<string, number>> {
  const shares = new Map<string, number>();
  const h = await hierarchies();
  const [mount] = limitPlaces(h);
  if (mount === undefined) return shares;
  for (const name of await host.list(join(mount, parent)) ?? []) {
    const uid = uidIn(name);
    const limits = uid === undefined ? undefined : await readLimits(host, h, join(parent, name));
    if (uid !== undefined && limits !== undefined) shares.set(uid, limits.cpuShares);
  }
  return shares;
}
