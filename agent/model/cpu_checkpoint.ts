/**
 * The file in which a kubelet keeps which CPUs containers have for themselves (ROOT/cpu_manager_state), so that one and
 * the other can follow each other on a node. Pure. Not for: whether what it says fits this machine.
 *
 * Source: kubernetes pkg/kubelet/cm/cpumanager/state/checkpoint.go (v2) and pkg/kubelet/checkpointmanager/checksum: FNV-1a
 * of the struct as go-spew prints it.
 */
import { type CpuSet, formatCpuSet, parseCpuSet } from "./cpu_set.ts";
import type { Assignments } from "./exclusive_cpus.ts";

export interface CpuCheckpoint {
  policy: string;
  shared: CpuSet;
  assignments: Assignments;
}

interface Written {
  policyName: string;
  defaultCpuSet: string;
  entries?: Record<string, Record<string, string>>;
}

export function formatCpuCheckpoint({ policy, shared, assignments }: CpuCheckpoint): string {
  const entries = Object.fromEntries(
    [...assignments].filter(([, own]) => own.size > 0).map(([uid, own]) => [
      uid,
      Object.fromEntries([...own].map(([name, cpus]) => [name, formatCpuSet(cpus)])),
    ]),
  );
  const written: Written = {
    policyName: policy,
    defaultCpuSet: formatCpuSet(shared),
    ...(Object.keys(entries).length === 0 ? {} : { entries }),
  };
  return JSON.stringify({ ...written, checksum: checksumOf(written) });
}

/** Throws, saying what was expected, when it is none or was damaged. */
export function parseCpuCheckpoint(text: string): CpuCheckpoint {
  const value: unknown = JSON.parse(text);
  if (!isMapping(value)) throw new TypeError("expected an object");
  // Go reads the names of fields in any case.
  const fields = new Map(Object.entries(value).map(([name, v]) => [name.toLowerCase(), v]));
  const policyName = fields.get("policyname");
  const defaultCpuSet = fields.get("defaultcpuset");
  const entries = fields.get("entries") ?? {};
  const checksum = fields.get("checksum");
  if (typeof policyName !== "string") throw new TypeError("policyName: expected a text");
  const shared = readSet(defaultCpuSet, "defaultCpuSet");
  const assignments = readEntries(entries);
  const written = { policyName, defaultCpuSet, entries } as Written;
  // 0 is how files older than checksums are read.
  if (checksum !== 0 && checksum !== checksumOf(written)) throw new TypeError("its checksum is wrong");
  return { policy: policyName, shared, assignments };
}

function readEntries(entries: unknown): Assignments {
  if (!isMapping(entries)) throw new TypeError("entries: expected a mapping of pod uids");
  return new Map(
    Object.entries(entries).map(([uid, containers]) => {
      if (!isMapping(containers)) throw new TypeError(`entries.${uid}: expected a mapping of containers`);
      const own = Object.entries(containers).map(([name, cpus]): [string, CpuSet] => [
        name,
        readSet(cpus, `entries.${uid}.${name}`),
      ]);
      return [uid, new Map(own)];
    }),
  );
}

function readSet(value: unknown, field: string): CpuSet {
  const cpus = typeof value === "string" ? parseCpuSet(value) : undefined;
  if (cpus === undefined) throw new TypeError(`${field}: expected CPUs such as 0-3,8`);
  return cpus;
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function checksumOf({ policyName, defaultCpuSet, entries = {} }: Written): number {
  const printed = (map: Record<string, string>) => `map[${pairs(map, (text) => text)}]`;
  return fnv1a(
    `(*state.CPUManagerCheckpoint){PolicyName:(string)${policyName} DefaultCPUSet:(string)${defaultCpuSet} ` +
      `Entries:(map[string]map[string]string)map[${pairs(entries, printed)}] Checksum:(checksum.Checksum)0}`,
  );
}

const pairs = <T>(map: Record<string, T>, print: (value: T) => string): string =>
  Object.keys(map).sort().map((key) => `${key}:${print(map[key]!)}`).join(" ");

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
