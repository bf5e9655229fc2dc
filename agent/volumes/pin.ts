/**
 * Pins: bind mounts that hold on to one place in a volume while containers may rename and link as they like. A path is
 * first mounted, then the kernel is asked what the mount shows (the root field of /proc/self/mountinfo): whatever
 * symlink was followed on the way, a pin that does not show a part of the volume is taken away and refused. Only then
 * is it used. Not for: deciding what to pin (sub_path.ts).
 */
import { basename } from "@std/path";
import { AgentError } from "../model/errors.ts";
import type { Host } from "../ports.ts";
import { within } from "./paths.ts";

const MS_BIND = 4096;

/** A place: a file system and a path in it. */
interface Place {
  device: string;
  root: string;
}

interface Mount extends Place {
  path: string;
}

/**
 * Binds `source` to `target` (which exists) and returns when what lies there belongs to the volume at `volumePath`, a
 * path without symlinks. Otherwise nothing stays mounted and FailedMount is thrown.
 */
export async function pin(host: Host, source: string, target: string, volumePath: string): Promise<void> {
  try {
    await host.mount({ source, target, fsType: "", flags: MS_BIND });
  } catch (error) {
    // The message of the mount itself tells where the volume lies on the host.
    throw new AgentError("FailedMount", `${basename(source)} cannot be mounted`, { cause: error });
  }
  const mounts = parsePlaces(await host.readText("/proc/self/mountinfo") ?? "");
  const shown = mounts.findLast((m) => m.path === target);
  if (shown !== undefined && regions(mounts, volumePath).some((r) => contains(r, shown))) return;
  await unpin(host, target);
  throw new AgentError("FailedMount", `${basename(source)} does not lie inside the volume`);
}

/** Takes away whatever is mounted at `target`, however often. */
export async function unpin(host: Host, target: string): Promise<void> {
  const count = (await host.mounts()).filter((m) => m.path === target).length;
  for (let i = 0; i < count; i++) {
    try {
      await host.unmount(target);
    } catch {
      await host.unmount(target, { lazy: true });
    }
  }
}

const contains = (region: Place, place: Place): boolean =>
  region.device === place.device && within(place.root, region.root);

/** The places that a volume consists of: its own, and what is mounted below it. */
function regions(mounts: readonly Mount[], volumePath: string): Place[] {
  const holder = mounts.findLast((m) =>
    within(volumePath, m.path) &&
    !mounts.some((n) => n.path.length > m.path.length && within(volumePath, n.path))
  );
  const own = holder === undefined ? [] : [{
    device: holder.device,
    root: joinRoot(holder.root, volumePath.slice(holder.path === "/" ? 0 : holder.path.length)),
  }];
  return [...own, ...mounts.filter((m) => m.path !== volumePath && within(m.path, volumePath))];
}

const joinRoot = (root: string, rest: string): string =>
  root === "/" ? (rest === "" ? "/" : rest) : root + (rest === "/" ? "" : rest);

/** Mount point, device and root of each line of proc_pid_mountinfo(5). */
function parsePlaces(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [, , device, root, path] = line.split(" ");
    if (device === undefined || root === undefined || path === undefined) return [];
    return [{ device, root: unescape(root), path: unescape(path) }];
  });
}

const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
