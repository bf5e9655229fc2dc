/**
 * Who has which CPUs for itself, and which NUMA nodes containers are near to: decided per pod, kept in the kubelet's own
 * file. Not for: the decision (model/placement.ts), or moving what runs (reconcile/cpus.ts).
 */
import type { Metrics } from "../lib/metrics.ts";
import { formatCpuCheckpoint, parseCpuCheckpoint } from "../model/cpu_checkpoint.ts";
import { type CpuSet, formatCpuSet } from "../model/cpu_set.ts";
import { containersOf, type Grants, type Offers } from "../model/devices.ts";
import { errorText, type Problem } from "../model/errors.ts";
import { assignedTo, type Assignments, sharedCpus, wantedCpus } from "../model/exclusive_cpus.ts";
import { type Place, type PlacementNode, placePod } from "../model/placement.ts";
import type { DesiredPod } from "../model/wish.ts";
import type { Placement } from "../plugin_ports.ts";
import type { Host } from "../ports.ts";

export interface PlacementOptions {
  host: Host;
  node: PlacementNode;
  /** CPUs that are online. */
  all: CpuSet;
  /** ROOT/cpu_manager_state, where the kubelet has its file. */
  path: string;
  devices: { offers(): Offers; grants(): Grants };
  metrics: Metrics;
  report(problems: readonly Problem[]): void;
  logError(message: string, error: string): void;
}

export interface PlacementLedger extends Placement {
  /** Reads what was given. Before anything else. */
  load(): Promise<void>;
  assignments(): Assignments;
  /** Those that may be given away. */
  allocatable(): CpuSet;
  near(pod: DesiredPod, container: { name: string }): ReadonlySet<number> | undefined;
  /** Pods that were refused may be placed now. */
  retry(): void;
  /** Calls back with the uid of a pod that is to look again, and without one where all are. */
  subscribe(listener: (uid?: string) => void): void;
}

export function createPlacement(o: PlacementOptions): PlacementLedger {
  const { cpus } = o.node;
  const assignments = new Map<string, ReadonlyMap<string, CpuSet>>();
  const places = new Map<string, ReadonlyMap<string, Place>>();
  const refused = new Set<string>();
  const counted = createCounts(o.metrics);
  let listener: (uid?: string) => void = () => {};
  let written: string | undefined;
  let saving: Promise<void> = Promise.resolve();

  const shared = () => cpus === undefined ? o.all : sharedCpus(cpus, assignments);

  const text = () => {
    const empty = { policy: "none", shared: new Set<number>(), assignments: new Map() };
    return formatCpuCheckpoint(
      cpus === undefined ? empty : { policy: "static", shared: shared(), assignments },
    );
  };

  const write = async () => {
    const now = text();
    if (now === written) return;
    written = undefined;
    await o.host.writeFileAtomic(o.path, now, 0o600);
    written = now;
  };

  const save = (): Promise<void> => {
    const next = saving.catch(() => {}).then(write);
    saving = next;
    next.catch((error) => o.logError("cannot keep which CPUs are given", errorText(error)));
    return next;
  };

  const retry = () => {
    for (const uid of [...refused]) listener(uid);
  };

  /** Everybody else moves when the pool that they share changes. */
  const put = (uid: string, own: ReadonlyMap<string, CpuSet>) => {
    const before = formatCpuSet(shared());
    if (own.size === 0) assignments.delete(uid);
    else assignments.set(uid, own);
    counted.set(assignedTo(assignments).size, shared().size);
    void save().catch(() => {});
    if (formatCpuSet(shared()) !== before) listener();
  };

  const isPlaced = ({ pod, uid }: DesiredPod) => {
    const all = containersOf(pod);
    const own = assignments.get(uid);
    const extra = [...own?.keys() ?? []].some((name) => !all.some((c) => c.name === name));
    return !extra && all.every((c) =>
      places.get(uid)?.has(c.name) === true &&
      (cpus === undefined || (own?.get(c.name)?.size ?? 0) === wantedCpus(pod, c))
    );
  };

  const take = (uid: string) => {
    const had = places.delete(uid);
    if (assignments.has(uid)) put(uid, new Map());
    if (had) retry();
  };

  return {
    async load() {
      const content = await o.host.readText(o.path);
      if (content === undefined) return;
      written = content;
      try {
        const problems = cpus === undefined ? [] : restore(parseCpuCheckpoint(content).assignments);
        if (problems.length > 0) {
          o.report([{ severity: "warning", file: o.path, message: problems.join("; ") }]);
        }
      } catch (error) {
        await o.host.rename(o.path, `${o.path}.unreadable`);
        const message = `it is not used and was moved to ${o.path}.unreadable: ${errorText(error)}`;
        o.report([{ severity: "warning", file: o.path, message }]);
      }
      await save();
    },
    assignments: () => assignments,
    allocatable: () => cpus === undefined ? new Set() : o.all.difference(cpus.reserved),
    near: (pod, container) => places.get(pod.uid)?.get(container.name)?.nodes,
    retry,
    subscribe: (next) => void (listener = next),
    place(desired) {
      const { pod, uid } = desired;
      if (isPlaced(desired)) return undefined;
      const standing = { assignments, grants: o.devices.grants(), offers: o.devices.offers() };
      const found = placePod(o.node, standing, pod, uid);
      if ("reason" in found) {
        if (!refused.has(uid)) counted.refused(found);
        refused.add(uid);
        return { reason: found.reason, message: `Pod was rejected: ${found.message}` };
      }
      refused.delete(uid);
      places.set(uid, found);
      const own = new Map([...found].flatMap(([name, place]) => place.cpus ? [[name, place.cpus]] : []));
      counted.placed(own.size);
      if (own.size > 0 || assignments.has(uid)) put(uid, own);
      return undefined;
    },
    facts(uid) {
      const own = [...assignments.get(uid) ?? []];
      return {
        all: formatCpuSet(o.all),
        shared: formatCpuSet(shared()),
        own: new Map(own.map(([name, set]) => [name, formatCpuSet(set)])),
      };
    },
    cpusOf(uid, container) {
      if (cpus === undefined) return undefined;
      const own = assignments.get(uid)?.get(container);
      return { cpus: formatCpuSet(own ?? shared()), own: own !== undefined };
    },
    saved: () => saving.catch(() => save()),
    release: take,
    sweep(known) {
      for (const uid of new Set([...assignments.keys(), ...places.keys()])) if (!known.has(uid)) take(uid);
      for (const uid of [...refused]) if (!known.has(uid)) refused.delete(uid);
    },
  };

  /** What of a file fits the machine as it is; the rest is given anew, and what runs moves. */
  function restore(found: Assignments): string[] {
    const problems: string[] = [];
    for (const [uid, own] of found) {
      const sum = assignedTo(new Map([[uid, own]]));
      const wrong = !sum.isSubsetOf(o.all)
        ? "are not online"
        : !sum.isDisjointFrom(cpus!.reserved)
        ? "are reserved"
        : !sum.isDisjointFrom(assignedTo(assignments))
        ? "are another pod's, too"
        : undefined;
      if (wrong === undefined) assignments.set(uid, own);
      else problems.push(`CPUs ${formatCpuSet(sum)} of pod ${uid} ${wrong}: it gets others`);
    }
    counted.set(assignedTo(assignments).size, shared().size);
    return problems;
  }
}

/** Under the kubelet's names. */
function createCounts(metrics: Metrics) {
  const count = (name: string, help: string) => metrics.counter(`kubelet_${name}`, help);
  const requests = count(
    "topology_manager_admission_requests_total",
    "Pods for which NUMA nodes were chosen.",
  );
  const errors = count(
    "topology_manager_admission_errors_total",
    "Pods refused for want of common NUMA nodes.",
  );
  const pinned = count(
    "cpu_manager_pinning_requests_total",
    "Containers that were to get CPUs of their own.",
  );
  const unpinned = count("cpu_manager_pinning_errors_total", "Pods refused for want of CPUs of their own.");
  const shared = metrics.gauge(
    "kubelet_cpu_manager_shared_pool_size_millicores",
    "CPUs that containers share.",
  );
  const own = metrics.gauge(
    "kubelet_cpu_manager_exclusive_cpu_allocation_count",
    "CPUs of single containers.",
  );
  return {
    placed(containers: number) {
      requests.inc();
      if (containers > 0) pinned.inc({}, containers);
    },
    refused({ reason }: { reason: string }) {
      requests.inc();
      (reason === "TopologyAffinityError" ? errors : unpinned).inc();
    },
    set(given: number, pool: number) {
      own.set(given);
      shared.set(pool * 1000);
    },
  };
}
