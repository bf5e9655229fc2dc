/**
 * emptyDir volumes, on disk or in memory, and the bare directories that other kinds are written into. Not for: files in
 * them.
 *
 * Source: kubernetes pkg/volume/emptydir/empty_dir.go.
 */
import { dirname } from "@std/path";
import type { EmptyDirVolumeSource, Pod } from "../model/gen/v1.ts";
import { AgentError } from "../model/errors.ts";
import { isHugePageMedium, volumePageSize } from "../model/huge_pages.ts";
import { podMemoryLimit } from "../model/pod_cgroup.ts";
import { parseQuantity } from "../model/quantity.ts";
import type { Host } from "../ports.ts";

const MS_NOSUID = 2;
const MS_NODEV = 4;

export interface Directory {
  path: string;
  /** Exists once the directory is complete: from then on its mode and owner belong to the pod. */
  ready: string | undefined;
  fsGroup: number | undefined;
  /** Permission that the group gets: volumes that containers only read take less. */
  groupMode: number;
  /** Absent: on disk. */
  memory?: MemoryMedium;
}

export type MemoryMedium =
  | {
    fsType: "tmpfs";
    /** Bytes; 0 leaves it to the kernel (half the memory). */
    size: number;
    /** Nothing in it may become a device or gain rights: for content that the agent writes. */
    inert: boolean;
  }
  | {
    fsType: "hugetlbfs";
    /** Bytes of a page. */
    pageSize: number;
  };

const hugePagesPath = "/sys/kernel/mm/hugepages";

/** Creates directories; remembers whether the kernel can keep a tmpfs out of swap (since 6.4). */
export function createDirectories(host: Host) {
  let noswap = true;
  async function mountTmpfs(target: string, size: number, inert: boolean): Promise<void> {
    const flags = inert ? MS_NOSUID | MS_NODEV : 0;
    const base = size > 0 ? [`size=${size}`] : [];
    const mount = (options: string[]) =>
      host.mount({ source: "tmpfs", target, fsType: "tmpfs", flags, options: options.join(",") });
    if (!noswap) return await mount(base);
    try {
      await mount([...base, "noswap"]);
    } catch {
      await mount(base);
      noswap = false;
    }
  }

  /** The kernel says only "invalid argument" of a size that it does not know. */
  async function mountHugePages(target: string, pageSize: number): Promise<void> {
    const sizes = (await host.list(hugePagesPath) ?? []).map((name) => /^hugepages-(\d+)kB$/.exec(name)?.[1]);
    if (!sizes.includes(`${pageSize / 1024}`)) {
      const known = sizes.filter((size) => size !== undefined).map((size) => `${size}Ki`).join(", ") ||
        "none";
      throw new AgentError(
        "FailedMount",
        `this node has no huge pages of ${pageSize / 1024}Ki: its sizes are ${known}`,
      );
    }
    await host.mount({
      source: "nodev",
      target,
      fsType: "hugetlbfs",
      options: `pagesize=${pageSize / 1024}K`,
    });
  }

  const mountMemory = (target: string, memory: MemoryMedium): Promise<void> =>
    memory.fsType === "tmpfs"
      ? mountTmpfs(target, memory.size, memory.inert)
      : mountHugePages(target, memory.pageSize);

  /** `mounted` are the mount points that exist. Idempotent. */
  return async function publishDirectory(
    d: Directory,
    mounted: Pick<ReadonlySet<string>, "has">,
  ): Promise<void> {
    const isMounted = mounted.has(d.path);
    const found = await host.lstat(d.path);
    const whole = found !== undefined && (d.memory === undefined || isMounted);
    if (whole && d.ready !== undefined && await host.lstat(d.ready) !== undefined) return;
    if (found === undefined) await host.mkdir(dirname(d.path), 0o750);
    // A crash may have come between a directory and its mode.
    if (!isMounted && ((found?.mode ?? 0) & 0o777) !== 0o777) await host.mkdir(d.path, 0o777);
    if (d.memory !== undefined && !isMounted) await mountMemory(d.path, d.memory);
    if (d.fsGroup !== undefined) await giveToGroup(d.path, d.fsGroup, d.groupMode | 0o2000);
    if (d.ready === undefined) return;
    await host.mkdir(dirname(d.ready), 0o750);
    await host.writeFile(d.ready, "", 0o640);
  };

  /** chown clears setgid, so it comes first. */
  async function giveToGroup(path: string, group: number, mode: number): Promise<void> {
    const found = await host.lstat(path);
    if (found === undefined || (found.gid === group && (found.mode & mode) === mode)) return;
    await host.chown(path, -1, group);
    await host.chmod(path, found.mode | mode);
  }
}

/** What an emptyDir asks for: `undefined` is the disk. */
export function emptyDirMemory(
  source: EmptyDirVolumeSource,
  pod: Pod,
  allocatableMemory: number,
): MemoryMedium | undefined {
  const medium = source.medium ?? "";
  if (medium === "") return undefined;
  if (isHugePageMedium(medium)) {
    const page = volumePageSize(medium, pod);
    if ("error" in page) throw new AgentError("FailedMount", page.error, { retry: false });
    return { fsType: "hugetlbfs", pageSize: page.bytes };
  }
  if (medium !== "Memory") {
    throw new AgentError("FailedMount", `unknown storage medium "${medium}"`, { retry: false });
  }
  return { fsType: "tmpfs", size: tmpfsSize(pod, source.sizeLimit, allocatableMemory), inert: false };
}

/** The least of what the node has, what the pod may use and what the volume may. */
export function tmpfsSize(pod: Pod, sizeLimit: string | undefined, allocatableMemory: number): number {
  const limits = [allocatableMemory, podMemoryLimit(pod) ?? 0, parseQuantity(sizeLimit ?? "0") ?? 0];
  const positive = limits.filter((limit) => limit > 0);
  return positive.length === 0 ? 0 : Math.floor(Math.min(...positive));
}
