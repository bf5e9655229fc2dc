/**
 * What creations left behind that were cut off: when containerd is killed in the middle of one, or its client is, a shim,
 * a cgroup, a network namespace, an address or packet filter rules can stay that belong to nothing that containerd knows.
 * Nobody would ever ask for them again. Not for: what containerd knows; that is ended through CRI.
 */
import { join } from "@std/path";
import { pause } from "../../agent/lib/pause.ts";
import { errorText } from "../../agent/model/errors.ts";
import { recordedIds } from "./calls.ts";
import { runProgram } from "./detect.ts";
import { emptyChains, idsInRules, planChainRemoval } from "./iptables.ts";
import { findShims } from "./processes.ts";
import { processesOf, type RunningProcess, signalProcess, waitForExit } from "../processes/proc.ts";
import { endShims, removeBundle, removeEmptyCgroups } from "./teardown.ts";

export interface OrphanOptions {
  socket: string;
  root: string;
  state: string;
  ctr: string | undefined;
  /** The cgroup below which `kubepods` lies. */
  cgroupRoot: string;
  /** Name of the default network, and the directory where its addresses are kept. */
  network: string;
  ipamDir: string;
}

/** Something that bears the id of the sandbox or container that it was made for. */
export interface Trace {
  id: string;
  path: string;
}

export interface Traces {
  shims: (RunningProcess & { id: string })[];
  cgroups: Trace[];
  /** Made before this containerd listened: what it is just making has no record yet. */
  addresses: Trace[];
  /** libcni's memory of networks that were joined; `namespace` is the path of one of `namespaces`. */
  results: (Trace & { namespace: string | undefined })[];
  /** Paths that no process is in, made before this containerd listened. */
  namespaces: string[];
  /** Ids that the packet filter names and that hold no address. */
  rules: string[];
}

/** Those traces whose id is on no record; of what has ended also the cgroups and, its address being gone, the rules. Pure. */
export function orphansOf(
  traces: Traces,
  records: ReadonlySet<string>,
  ended: ReadonlySet<string>,
): Traces {
  const lost = <T extends { id: string }>(list: readonly T[]) => list.filter(({ id }) => !records.has(id));
  const isOver = (id: string) => !records.has(id) || ended.has(id);
  const needed = new Set(traces.results.filter((r) => records.has(r.id)).map((r) => r.namespace));
  return {
    shims: lost(traces.shims),
    cgroups: traces.cgroups.filter(({ id }) => isOver(id)),
    addresses: lost(traces.addresses),
    results: lost(traces.results),
    namespaces: traces.namespaces.filter((path) => !needed.has(path)),
    rules: traces.rules.filter(isOver),
  };
}

const countOf = (traces: Traces): number => Object.values(traces).reduce((sum, list) => sum + list.length, 0);

const STRAY_MS = 2000;
/** When to look after a start or an adoption, in ms: what was cut off takes a while to be given up. */
const looks = [1000, 8000, 60_000];

/** Ends with the last look, or with the signal. */
export async function clearOrphans(
  o: OrphanOptions,
  log: (level: "info" | "warn", message: string, fields: Record<string, string | number>) => void,
  signal: AbortSignal,
): Promise<void> {
  let empty = new Set<string>();
  for (const ms of looks) {
    await pause(ms, signal);
    if (signal.aborted) return;
    try {
      empty = await removeEmptyChains(empty);
      const removed = await removeOrphans(o, signal);
      if (removed === undefined) continue;
      log("info", "removed what was left of creations that were cut off", { things: countOf(removed) });
    } catch (error) {
      if (!signal.aborted) log("warn", "cannot look for orphans", { error: errorText(error) });
    }
  }
}

/** What is made is recorded before it has a shim or a cgroup, so these are read first and the records after them. */
export async function removeOrphans(o: OrphanOptions, signal: AbortSignal): Promise<Traces | undefined> {
  const traces = await readTraces(o);
  const { all: listed, ended } = await recordedIds(o.socket, signal);
  const suspects = orphansOf(traces, listed, ended);
  if (countOf(suspects) === 0 || o.ctr === undefined) return undefined;
  // CRI lists only what is complete.
  const all = await runCtr(o, "containers", "list", "-q");
  if (all.code !== 0) return undefined;
  const records = new Set(all.stdout.split("\n").filter((id) => id !== ""));
  const orphans = orphansOf(traces, records, ended);
  if (countOf(orphans) === 0) return undefined;
  signal.throwIfAborted();
  await remove(o, orphans);
  return orphans;
}

const runCtr = (o: OrphanOptions, ...args: string[]) =>
  runProgram([o.ctr ?? "ctr", "--address", o.socket, "-n", "k8s.io", ...args]);

async function remove(o: OrphanOptions, orphans: Traces): Promise<void> {
  await endShims(orphans.shims);
  for (const { id } of orphans.shims) await removeBundle(o, id);
  // A task that CRI believes to have ended keeps its container from being removed.
  const ids = new Set(orphans.cgroups.map((c) => c.id));
  await Promise.all([...ids].map((id) => runCtr(o, "tasks", "delete", "--force", id)));
  await removeCgroups(o, orphans.cgroups.map((c) => c.path));
  for (const path of orphans.namespaces) {
    await runProgram(["umount", "-l", path]);
    await Deno.remove(path).catch(() => undefined);
  }
  const named = [...orphans.rules, ...orphans.addresses.map((a) => a.id)];
  if (named.length > 0) await removeRules(o.network, named);
  for (const { path } of [...orphans.addresses, ...orphans.results]) {
    await Deno.remove(path).catch(() => undefined);
  }
}

/**
 * With what is still in them, such as a runc that waits for a shim that is gone. Below the root of all cgroups others
 * may have pods, too: there only empty ones go.
 */
async function removeCgroups(o: OrphanOptions, paths: readonly string[]): Promise<void> {
  const pids = o.cgroupRoot === "/"
    ? []
    : paths.flatMap((path) => (readText(`${path}/cgroup.procs`) ?? "").split("\n")).filter((pid) =>
      pid !== ""
    );
  const strays = processesOf(new Set(pids.map(Number)));
  strays.forEach((p) => signalProcess(p, "SIGKILL"));
  await Promise.all(strays.map((p) => waitForExit(p, STRAY_MS)));
  await removeEmptyCgroups(paths);
}

/** Of the chains that were empty before, those that still are; a chain is empty for a moment when it is made. */
async function removeEmptyChains(before: ReadonlySet<string>): Promise<Set<string>> {
  const rules = await runProgram(["iptables", "-t", "nat", "-S"]);
  const empty = new Set(emptyChains(rules.stdout));
  for (const chain of empty) {
    if (before.has(chain)) await runProgram(["iptables", "-t", "nat", "-X", chain]);
  }
  return empty;
}

async function removeRules(network: string, ids: readonly string[]): Promise<void> {
  for (const program of ["iptables", "ip6tables"]) {
    const rules = await runProgram([program, "-t", "nat", "-S"]);
    if (rules.code !== 0) continue;
    for (const args of planChainRemoval(rules.stdout, network, ids)) {
      await runProgram([program, "-t", "nat", ...args]);
    }
  }
}

async function readTraces(o: OrphanOptions): Promise<Traces> {
  const listening = timeOf(o.socket);
  const isOlder = (path: string) => timeOf(path) < listening;
  // Rules are made after an address was taken, and read before.
  const filter = await runProgram(["iptables", "-t", "nat", "-S"]);
  const addresses = readAddresses(o);
  const holders = new Set(addresses.map((a) => a.id));
  const inUse = namespacesInUse();
  return {
    shims: findShims(o.socket).filter((p) => !["start", "delete"].includes(p.argv.at(-1) ?? ""))
      .map((p) => ({ ...p, id: p.argv[p.argv.indexOf("-id") + 1] ?? "" })),
    cgroups: readCgroups(o.cgroupRoot),
    addresses: addresses.filter((a) => isOlder(a.path)),
    results: readResults(o.network).filter((r) => isOlder(r.path)),
    namespaces: pathsIn(`${o.state}/io.containerd.grpc.v1.cri/netns`)
      .filter((path) => isOlder(path) && !inUse.has(inodeOf(path))),
    rules: idsInRules(filter.stdout, o.network).filter((id) => !holders.has(id)),
  };
}

/** host-local: a file for each address, whose first line is the id. */
const readAddresses = (o: OrphanOptions): Trace[] =>
  pathsIn(join(o.ipamDir, o.network)).filter((path) => /\/[0-9a-f.:]+$/.test(path))
    .map((path) => ({ path, id: (readText(path) ?? "").split(/\s/)[0] ?? "" }))
    .filter(({ id }) => id !== "");

/** libcni: `NETWORK-ID-INTERFACE`, with the result of ADD. */
function readResults(network: string): Traces["results"] {
  return pathsIn("/var/lib/cni/results").flatMap((path) => {
    const id = path.slice(path.lastIndexOf("/") + 1).match(/^(.*)-([0-9a-f]{64})-[^-]+$/);
    if (id?.[1] !== network) return [];
    const namespace = /"sandbox":\s*"([^"]+)"/.exec(readText(path) ?? "")?.[1];
    return [{ path, id: id[2]!, namespace }];
  });
}

/** Of containers, in every hierarchy, cgroup v1 or v2: `kubepods[/CLASS]/podUID/ID`. */
function readCgroups(root: string): Trace[] {
  const tops = ["/sys/fs/cgroup", ...pathsIn("/sys/fs/cgroup")].map((top) => join(top, root, "kubepods"));
  return tops.flatMap((top) => [top, `${top}/burstable`, `${top}/besteffort`])
    .flatMap((parent) => pathsIn(parent).filter((path) => /\/pod[^/]+$/.test(path)))
    .flatMap((pod) => pathsIn(pod).filter((path) => /\/[0-9a-f]{64}$/.test(path)))
    .map((path) => ({ path, id: path.slice(path.lastIndexOf("/") + 1) }));
}

function namespacesInUse(): Set<number | undefined> {
  const processes = pathsIn("/proc").filter((path) => /\/[0-9]+$/.test(path));
  return new Set(processes.map((path) => inodeOf(`${path}/ns/net`)));
}

function pathsIn(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map((entry) => `${directory}/${entry.name}`);
  } catch {
    return [];
  }
}

function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

/** Of the file's last change; what has gone is of no time. */
function timeOf(path: string): number {
  try {
    return Deno.statSync(path).mtime?.getTime() ?? NaN;
  } catch {
    return NaN;
  }
}

function inodeOf(path: string): number | undefined {
  try {
    return Deno.statSync(path).ino ?? undefined;
  } catch {
    return undefined;
  }
}
