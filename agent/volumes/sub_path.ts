/**
 * subPath: one place inside a volume as a mount of its own, safe from symlinks that containers plant in the volume, also
 * while they change it. Not for: whole volumes.
 *
 * The kubelet walks with openat(O_NOFOLLOW) and binds the descriptor (pkg/volume/util/subpath); here each step is a pin
 * (pin.ts). mkdir(2) never follows a symlink in its last part, and its parent is pinned; the mode is then set on a pin.
 */
import { dirname, join } from "@std/path";
import { AgentError } from "../model/errors.ts";
import type { Host } from "../ports.ts";
import { within } from "./paths.ts";
import { pin, unpin } from "./pin.ts";

export interface SubPath {
  /** The volume on the host. */
  volumePath: string;
  /** Relative to the volume. */
  subPath: string;
  /** Where to mount it: `…/volume-subpaths/VOLUME/CONTAINER/INDEX`. */
  target: string;
  /** Whether what is missing becomes a directory. */
  create: boolean;
  /** A directory that nobody else uses at the same time. */
  staging: string;
}

/** Throws a FailedMount that tells a container's owner nothing about the host. */
export async function bindSubPath(host: Host, s: SubPath, signal: AbortSignal): Promise<string> {
  const parts = partsOf(s.subPath);
  const volume = await host.realPath(s.volumePath);
  if (volume === undefined) throw new AgentError("FailedMount", `volume path ${s.volumePath} does not exist`);
  if (s.create) await makeDirectories(host, volume, parts, s.staging, signal);
  const found = await host.realPath(join(volume, ...parts));
  if (found === undefined && !s.create) throw refuse(`there is no \`${s.subPath}\` in it`);
  if (found === undefined || !within(found, volume)) throw outside(s.subPath);
  const stat = await host.lstat(found);
  await prepareTarget(host, s.target, stat?.kind === "directory");
  await pin(host, found, s.target, volume);
  return s.target;
}

/** Throws FailedMount for a path that is absolute or climbs. */
export function partsOf(subPath: string): string[] {
  const parts = subPath.split("/").filter((part) => part !== "" && part !== ".");
  if (subPath.startsWith("/")) throw refuse(`error SubPath \`${subPath}\` must not be an absolute path`);
  if (parts.includes("..")) {
    throw refuse(`unable to provision SubPath \`${subPath}\`: must not contain '..'`);
  }
  return parts;
}

const refuse = (message: string) => new AgentError("FailedMount", message, { retry: false });
const outside = (subPath: string) =>
  new AgentError("FailedMount", `subPath \`${subPath}\` does not lie inside the volume`);

/** A directory takes a directory; a file takes anything else. */
export async function prepareTarget(host: Host, target: string, directory: boolean): Promise<void> {
  await unpin(host, target);
  const present = await host.lstat(target);
  if (present !== undefined && (present.kind === "directory") === directory) return;
  await host.remove(target);
  await host.mkdir(dirname(target), 0o750);
  if (directory) await host.mkdir(target, 0o750);
  else await host.writeFile(target, "", 0o640);
}

/** Creates what is missing of a path below `volume`, each directory with the mode of the volume. */
async function makeDirectories(
  host: Host,
  volume: string,
  parts: readonly string[],
  staging: string,
  signal: AbortSignal,
): Promise<void> {
  const { existing, missing } = await findExisting(host, volume, parts);
  if (missing.length === 0) return;
  if (!within(existing, volume)) throw outside(parts.join("/"));
  const mode = (await host.stat(volume))?.mode ?? 0o755;
  await prepareTarget(host, staging, true);
  try {
    await pin(host, existing, staging, volume);
    let path = existing;
    for (const name of missing) {
      const { code } = await host.exec(["mkdir", "--", join(staging, name)], {}, signal);
      const kind = (await host.lstat(join(staging, name)))?.kind;
      // A sibling container may have been faster; anything but a directory there is refused.
      if (code !== 0 && kind !== "directory") throw outside(parts.join("/"));
      path = join(path, name);
      await unpin(host, staging);
      await pin(host, path, staging, volume);
      if (code === 0) await host.chmod(staging, mode);
    }
  } finally {
    await unpin(host, staging);
  }
}

/** The longest part of the path that exists, with symlinks resolved, and the rest. */
async function findExisting(
  host: Host,
  volume: string,
  parts: readonly string[],
): Promise<{ existing: string; missing: readonly string[] }> {
  for (let count = parts.length; count > 0; count--) {
    const existing = await host.realPath(join(volume, ...parts.slice(0, count)));
    if (existing !== undefined) return { existing, missing: parts.slice(count) };
  }
  return { existing: volume, missing: parts };
}
