/**
 * nfs volumes, mounted by mount(8) with the helper of the NFS client. Not for: servers, and not for volumes that a
 * control plane hands out.
 *
 * Source: kubernetes pkg/volume/nfs/nfs.go.
 */
import type { NFSVolumeSource } from "../model/gen/v1.ts";
import { AgentError } from "../model/errors.ts";
import type { Host, MountPoint } from "../ports.ts";
import { mountByProgram, type ProgramMount } from "./mount_program.ts";

/** mount(8) looks for its helpers here. */
const helpers = ["/sbin/mount.nfs", "/usr/sbin/mount.nfs"];
/** A server that does not answer costs a mount(8) that waits, not the pod's worker. */
const limitMs = 60_000;

/**
 * `mounted` is what lies at the path: it is not touched, since its server may not answer. Another export is mounted on top:
 * containers that run keep theirs.
 */
export async function publishNfs(
  host: Host,
  source: NFSVolumeSource,
  path: string,
  mounted: MountPoint | undefined,
  signal: AbortSignal,
): Promise<void> {
  const wanted = nfsMount(source, path);
  if (mounted !== undefined && isSame(mounted, wanted)) return;
  if (!(await Promise.all(helpers.map((helper) => host.stat(helper)))).some((found) => found !== undefined)) {
    throw new AgentError(
      "FailedMount",
      "nfs volumes need the program mount.nfs, which is not installed: " +
        "install the package nfs-common (Debian, Ubuntu) or nfs-utils (other distributions)",
    );
  }
  if (mounted === undefined) await host.mkdir(path, 0o750);
  await mountByProgram(host, wanted, limitMs, signal);
}

const isSame = (mounted: MountPoint, wanted: ProgramMount): boolean =>
  mounted.source.replace(/\/+$/, "") === wanted.source.replace(/\/+$/, "") &&
  mounted.options.includes("ro") === wanted.options.includes("ro");

/** IPv6 addresses stand in brackets before the path. */
export function nfsMount({ server, path, readOnly }: NFSVolumeSource, target: string): ProgramMount {
  const address = server.includes(":") && !server.startsWith("[") ? `[${server}]` : server;
  return { type: "nfs", source: `${address}:${path}`, target, options: readOnly === true ? ["ro"] : [] };
}
