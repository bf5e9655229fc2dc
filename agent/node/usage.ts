/**
 * Looks at what the node, its pods and their containers use, when somebody asks and not before. CPU needs two looks:
 * the one of the question before serves as the first, unless it is too old. Not for: what is told of it (model/).
 */
import { join } from "@std/path";
import type { Pod } from "../model/gen/v1.ts";
import type { Capacity } from "../model/stats_parts.ts";
import type { PodDisk } from "../model/stats_summary.ts";
import type {
  ContainerUsage,
  MeasuredUsage,
  NodeUsage,
  PodUsage,
  SystemReading,
  Usage,
} from "../model/usage.ts";
import type { Cgroups, DiskUnit, Host, Runtime, Storage } from "../ports.ts";

export interface UsageOptions {
  host: Host;
  runtime: Pick<Runtime, "stats">;
  cgroups: Pick<Cgroups, "usage"> & { system(): Promise<SystemReading[]> };
  storage: Pick<Storage, "emptyDirUsage">;
  pods(): readonly Pod[];
  podLogsDir: string;
  rootDir: string;
}

export interface UsageMeter {
  /** One look. */
  look(signal: AbortSignal): Promise<NodeUsage>;
  /** Two, at least a second apart, at the node's own cgroups, too. */
  measure(signal: AbortSignal): Promise<MeasuredUsage>;
  /** What pods have on disk, at most a minute old. */
  disks(signal: AbortSignal): Promise<ReadonlyMap<string, PodDisk>>;
  /** The same, counted in files and directories. */
  files(signal: AbortSignal): Promise<ReadonlyMap<string, PodDisk>>;
  capacity(): Promise<Capacity | undefined>;
}

/** Shorter, and one tick of the clock makes the number; longer, and it is no longer of now. */
const window = { least: 1000, most: 120_000 };
const diskAge = 60_000;

export function createUsageMeter(o: UsageOptions): UsageMeter {
  const { host } = o;
  let latest: NodeUsage | undefined;
  let measuring: Promise<MeasuredUsage> | undefined;

  /** What was measured less than a minute ago, or is being measured. */
  function kept(unit: DiskUnit): UsageMeter["disks"] {
    let known: { at: number; sizes: Promise<Map<string, PodDisk>> } | undefined;
    return (signal) => {
      if (known === undefined || host.now() - known.at > diskAge) {
        known = { at: host.now(), sizes: podDisks(o, o.pods(), unit, signal) };
        known.sizes.catch(() => known = undefined);
      }
      return known.sizes;
    };
  }

  async function look(signal: AbortSignal): Promise<NodeUsage> {
    const [node, containers, wholes] = await Promise.all([
      readNodeUsage(host),
      o.runtime.stats(signal),
      Promise.all(
        o.pods().map(async (pod): Promise<[string, Usage | undefined]> => {
          const uid = pod.metadata?.uid ?? "";
          return [uid, await o.cgroups.usage({ pod, uid })];
        }),
      ),
    ]);
    return { at: host.now(), node, pods: podsOf(containers, wholes) };
  }

  async function lookAtAll(signal: AbortSignal): Promise<NodeUsage> {
    const [usage, system] = await Promise.all([look(signal), o.cgroups.system()]);
    return { ...usage, system };
  }

  async function twice(signal: AbortSignal): Promise<MeasuredUsage> {
    const age = latest === undefined ? Infinity : host.now() - latest.at;
    const before = age >= window.least && age <= window.most ? latest! : await lookAtAll(signal);
    if (before !== latest) await host.sleep(window.least, signal);
    latest = await lookAtAll(signal);
    return { before, now: latest };
  }

  return {
    look,
    measure: (signal) => measuring ??= twice(signal).finally(() => measuring = undefined),
    disks: kept("bytes"),
    files: kept("inodes"),
    capacity: () => host.statfs(o.rootDir),
  };
}

function podsOf(
  containers: readonly ContainerUsage[],
  wholes: readonly [uid: string, usage: Usage | undefined][],
): PodUsage[] {
  return wholes.map(([uid, whole]) => ({
    uid,
    ...(whole === undefined ? {} : { whole }),
    containers: containers.filter((c) => c.uid === uid),
  })).filter((p) => p.whole !== undefined || p.containers.length > 0);
}

type DiskOptions = Pick<UsageOptions, "host" | "storage" | "podLogsDir">;

/** Logs by container, emptyDirs by volume, by uid of the pod. */
export async function podDisks(
  o: DiskOptions,
  pods: readonly Pod[],
  unit: DiskUnit,
  signal: AbortSignal,
): Promise<Map<string, PodDisk>> {
  const volumes = new Map(pods.map((pod) => [pod.metadata?.uid ?? "", emptyDirsOf(pod)] as const));
  const measured = [...volumes].filter(([, names]) => names.length > 0);
  const usage = await emptyDirSizes(o, new Map(measured), unit, signal);
  const logs = await Promise.all(pods.map((pod) => logSizes(o, pod, unit)));
  return new Map([...volumes.keys()].map((uid, i) => {
    return [uid, { emptyDirs: usage.get(uid) ?? new Map(), logs: logs[i] ?? new Map() }];
  }));
}

/** All at once; where that fails, one by one, so that a pod with too many files hides no other. */
async function emptyDirSizes(
  { storage }: DiskOptions,
  volumes: ReadonlyMap<string, readonly string[]>,
  unit: DiskUnit,
  signal: AbortSignal,
): Promise<Map<string, Map<string, number>>> {
  try {
    return volumes.size === 0 ? new Map() : await storage.emptyDirUsage(volumes, unit, signal);
  } catch (error) {
    if (signal.aborted || volumes.size === 1) throw error;
    const each = await Promise.allSettled(
      [...volumes].map((one) => storage.emptyDirUsage(new Map([one]), unit, signal)),
    );
    return new Map(each.flatMap((s) => s.status === "fulfilled" ? [...s.value] : []));
  }
}

const emptyDirsOf = (pod: Pod): string[] =>
  (pod.spec?.volumes ?? []).filter((v) => v.emptyDir !== undefined).map((v) => v.name);

async function logSizes(o: DiskOptions, pod: Pod, unit: DiskUnit): Promise<Map<string, number>> {
  const { name, namespace, uid } = pod.metadata ?? {};
  const directory = join(o.podLogsDir, `${namespace}_${name}_${uid}`);
  const all = [...pod.spec?.initContainers ?? [], ...pod.spec?.containers ?? []].map((c) => c.name);
  const sizes = await Promise.all(
    all.map((container) => sizeOfFiles(o.host, join(directory, container), unit)),
  );
  return new Map(all.map((container, i) => [container, sizes[i] ?? 0]));
}

async function sizeOfFiles(host: Host, directory: string, unit: DiskUnit): Promise<number> {
  const names = await host.list(directory) ?? [];
  const stats = await Promise.all(names.map((name) => host.lstat(join(directory, name))));
  const files = stats.filter((stat) => stat?.kind === "file");
  return unit === "inodes"
    ? files.length
    : files.reduce((sum, file) => sum + (file!.allocated ?? file!.size), 0);
}

/** /proc counts in hundredths of a second (USER_HZ). */
const nanosecondsPerTick = 1e7;

/** As the kubelet computes the root cgroup's on cgroup v2, which has no memory files of its own. */
export async function readNodeUsage(host: Pick<Host, "readText" | "now">): Promise<Usage> {
  const [stat, meminfo] = await Promise.all([host.readText("/proc/stat"), host.readText("/proc/meminfo")]);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] =
    /^cpu +(.*)$/m.exec(stat ?? "")?.[1]?.split(/\s+/).map(Number) ?? [];
  const bytes = (key: string) =>
    1024 *
    Number(new RegExp(`^${key.replace(/[()]/g, "\\$&")}: +(\\d+) kB$`, "m").exec(meminfo ?? "")?.[1] ?? 0);
  const memory = bytes("MemTotal") - bytes("MemFree");
  return {
    at: host.now(),
    cpu: (user + nice + system + irq + softirq) * nanosecondsPerTick,
    memory,
    workingSet: Math.max(0, memory - bytes("Inactive(file)")),
    rss: bytes("AnonPages"),
    swap: bytes("SwapTotal") - bytes("SwapFree"),
  };
}
