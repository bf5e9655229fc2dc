/**
 * The CDI devices of a node by their fully qualified names, from the specs of several directories, and what several of
 * them change in a container together. Source: CDI's SPEC.md and pkg/cdi/cache.go. Not for: reading specs (cdi.ts).
 */
import type { CdiDevice, CdiEdits, CdiSpec } from "./cdi_schema.ts";
import type { Problem } from "./errors.ts";

/** One spec that can be used, and where it stands. */
export interface CdiFile {
  path: string;
  /** Of its directory: the higher one wins. */
  priority: number;
  spec: CdiSpec;
}

export interface CdiEntry {
  file: CdiFile;
  device: CdiDevice;
}

export interface CdiRegistry {
  /** By fully qualified name. */
  devices: ReadonlyMap<string, CdiEntry>;
  /** Names that two files of one directory describe: nobody gets them. The files, by name. */
  conflicts: ReadonlyMap<string, readonly [string, string]>;
}

export const emptyCdiRegistry: CdiRegistry = { devices: new Map(), conflicts: new Map() };

export const cdiName = (kind: string, device: string): string => `${kind}=${device}`;

/** A conflict in one directory is not healed by a directory above it: runtimes see it so, too. */
export function collectCdi(files: readonly CdiFile[]): CdiRegistry {
  const devices = new Map<string, CdiEntry>();
  const conflicts = new Map<string, readonly [string, string]>();
  const ordered = [...files].sort((a, b) => a.priority - b.priority || (a.path < b.path ? -1 : 1));
  for (const file of ordered) {
    for (const device of file.spec.devices) {
      const name = cdiName(file.spec.kind, device.name);
      const before = devices.get(name)?.file;
      if (before?.priority === file.priority) conflicts.set(name, [before.path, file.path]);
      else devices.set(name, { file, device });
    }
  }
  for (const name of conflicts.keys()) devices.delete(name);
  return { devices, conflicts };
}

export function conflictProblems(registry: CdiRegistry): Problem[] {
  return [...registry.conflicts].map(([name, [first, second]]) => ({
    severity: "error",
    file: second,
    object: name,
    message: `is described by ${first}, too: expected one of the two; nobody gets this device`,
  }));
}

/** The edits of all these devices: those of a whole spec once, before its first device's. Throws with what is missing. */
export function mergedCdiEdits(registry: CdiRegistry, names: readonly string[]): CdiEdits {
  const specs = new Set<CdiSpec>();
  const parts: CdiEdits[] = [];
  for (const name of new Set(names)) {
    const entry = registry.devices.get(name);
    if (entry === undefined) throw new Error(missing(registry, name));
    if (!specs.has(entry.file.spec)) parts.push(entry.file.spec.containerEdits ?? {});
    specs.add(entry.file.spec);
    parts.push(entry.device.containerEdits);
  }
  const all = <T>(list: (edits: CdiEdits) => T[] | undefined): T[] => parts.flatMap((p) => list(p) ?? []);
  const intelRdt = parts.findLast((p) => p.intelRdt !== undefined)?.intelRdt;
  return {
    env: all((p) => p.env),
    deviceNodes: all((p) => p.deviceNodes),
    mounts: all((p) => p.mounts),
    hooks: all((p) => p.hooks),
    additionalGids: all((p) => p.additionalGids),
    netDevices: all((p) => p.netDevices),
    ...(intelRdt !== undefined && { intelRdt }),
  };
}

function missing(registry: CdiRegistry, name: string): string {
  const conflict = registry.conflicts.get(name);
  if (conflict !== undefined) return `CDI device ${name} is described by both ${conflict.join(" and ")}`;
  return `CDI device ${name} is not described by any spec: expected one in /etc/cdi or /var/run/cdi`;
}
