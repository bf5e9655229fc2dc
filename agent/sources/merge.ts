/**
 * The sources' snapshots become one Desired; what can only be seen in all of them together is checked here: references
 * to objects that nobody describes, and host ports that two pods want. Pure. Not for: single files.
 */
import type { Problem } from "../model/errors.ts";
import { exclude, type HostPort, hostPortsOf } from "../model/host_ports.ts";
import { objectFields } from "../model/objects.ts";
import { withHandler, withRuntimeClass } from "../model/runtime_class.ts";
import {
  type Desired,
  type DesiredPod,
  isTerminating,
  type Objects,
  type PodKey,
  podKey,
  type Snapshot,
} from "../model/wish.ts";
import { missingReferences } from "./references.ts";

/**
 * `snapshots` by the source's name, `expected` the names of all sources. Of pods with one key the manifest directory's
 * wins.
 */
export function mergeSnapshots(
  snapshots: ReadonlyMap<string, Snapshot>,
  expected: readonly string[],
): Desired {
  const ordered = [...snapshots.values()].sort((a, b) =>
    Number(a.source === "api") - Number(b.source === "api")
  );
  const pods = new Map<PodKey, DesiredPod>();
  const origins = new Map<string, string>();
  const problems: Problem[] = [];
  for (const snapshot of ordered) {
    addAbsent(pods, snapshot.pods);
    addAbsent(origins, snapshot.origins ?? new Map());
    problems.push(...snapshot.problems);
  }
  for (const displaced of displacedPods(pods, ordered)) {
    // It never runs here; that it ends has to be told all the same.
    if (isTerminating(displaced)) pods.set(`${podKey(displaced.pod)} ${displaced.uid}`, displaced);
    else problems.push(displacement(displaced, pods.get(podKey(displaced.pod))!));
  }
  const objects = mergeObjects(ordered.filter((s) => s.source === "file"));
  const clusterObjects = ordered.find((s) => s.source === "api");
  for (const [key, desired] of pods) {
    const classes = (desired.source === "file" ? objects : clusterObjects)?.runtimeClasses;
    pods.set(key, withClass(desired, classes ?? new Map()));
  }
  const local = [...pods.values()].filter((p) => p.source === "file");
  for (const desired of local) problems.push(...missingReferences(desired, objects));
  problems.push(...hostPortClashes(local));
  const spoken = new Set(ordered.filter(hasSpoken).map((s) => s.source));
  const complete = expected.every((name) => snapshots.has(name)) && ordered.every(hasSpoken);
  return { pods, objects, ...(clusterObjects && { clusterObjects }), origins, problems, spoken, complete };
}

/** A directory that cannot be read is as it was; of a cluster that is out of reach nobody knows what it wants now. */
const hasSpoken = ({ source, readable }: Snapshot): boolean => source === "file" || readable !== false;

/** Pods of the API server whose names pods of the manifest directory have. */
const displacedPods = (pods: ReadonlyMap<PodKey, DesiredPod>, snapshots: readonly Snapshot[]): DesiredPod[] =>
  snapshots.filter(({ source }) => source === "api")
    .flatMap((s) => [...s.pods].filter(([key]) => pods.get(key)?.source === "file").map(([, pod]) => pod));

const displacement = ({ pod, uid }: DesiredPod, { origin }: DesiredPod): Problem => ({
  severity: "warning",
  file: origin,
  object: `Pod ${podKey(pod)}`,
  field: "metadata.name",
  message:
    `the API server has bound a pod of this name to this node, too (uid ${uid}): that one does not run`,
});

function mergeObjects(snapshots: readonly Objects[]): Objects {
  const merged = objectFields.map(([_kind, field]) => {
    const all = new Map<string, unknown>();
    for (const snapshot of snapshots) addAbsent(all, snapshot[field]);
    return [field, all];
  });
  return Object.fromEntries(merged) as Objects;
}

function addAbsent<T>(to: Map<string, T>, from: ReadonlyMap<string, T>): void {
  for (const [key, value] of from) if (!to.has(key)) to.set(key, value);
}

/** A control plane has added to its own pods what their classes add. */
function withClass(desired: DesiredPod, classes: Objects["runtimeClasses"]): DesiredPod {
  const add = desired.source === "file" ? withRuntimeClass : withHandler;
  const pod = add(desired.pod, classes);
  return pod === desired.pod ? desired : { ...desired, pod };
}

/** Both pods stay desired: which of them runs already is not known here. */
function hostPortClashes(pods: readonly DesiredPod[]): Problem[] {
  const claims: { desired: DesiredPod; port: HostPort }[] = [];
  const problems: Problem[] = [];
  for (const desired of pods) {
    for (const port of hostPortsOf(desired.pod)) {
      const other = claims.find((c) => c.desired !== desired && exclude(c.port, port));
      if (other !== undefined) {
        const { origin, pod } = other.desired;
        problems.push({
          severity: "warning",
          file: desired.origin,
          object: `Pod ${podKey(desired.pod)}`,
          field: port.field,
          message: `Pod ${
            podKey(pod)
          } (${origin}) wants the host port ${port.port}, too: only one can have it`,
        });
      }
      claims.push({ desired, port });
    }
  }
  return problems;
}
