/**
 * The sources' snapshots become one Desired; what can only be seen in all of them together is checked here: references
 * to objects that nobody describes, and host ports that two pods want. Pure. Not for: single files.
 */
import type { Problem } from "../model/errors.ts";
import type { ConfigMap, RuntimeClass, Secret } from "../model/gen/v1.ts";
import { withRuntimeClass } from "../model/runtime_class.ts";
import { type Desired, type DesiredPod, type Objects, type PodKey, podKey } from "../model/wish.ts";
import { missingReferences } from "./references.ts";

/** Everything that one source wants, at one instant. */
export interface Snapshot {
  source: "file" | "api";
  pods: ReadonlyMap<PodKey, DesiredPod>;
  configMaps: ReadonlyMap<string, ConfigMap>;
  secrets: ReadonlyMap<string, Secret>;
  runtimeClasses: ReadonlyMap<string, RuntimeClass>;
  problems: readonly Problem[];
}

/**
 * `snapshots` by the source's name, `expected` the names of all sources. Of objects with one key the manifest
 * directory's wins.
 */
export function mergeSnapshots(
  snapshots: ReadonlyMap<string, Snapshot>,
  expected: readonly string[],
): Desired {
  const ordered = [...snapshots.values()].sort((a, b) =>
    Number(a.source === "api") - Number(b.source === "api")
  );
  const pods = new Map<PodKey, DesiredPod>();
  const configMaps = new Map<string, ConfigMap>();
  const secrets = new Map<string, Secret>();
  const runtimeClasses = new Map<string, RuntimeClass>();
  const problems: Problem[] = [];
  for (const snapshot of ordered) {
    addAbsent(pods, snapshot.pods);
    addAbsent(configMaps, snapshot.configMaps);
    addAbsent(secrets, snapshot.secrets);
    addAbsent(runtimeClasses, snapshot.runtimeClasses);
    problems.push(...snapshot.problems);
  }
  const objects: Objects = { configMaps, secrets, runtimeClasses };
  const local = [...pods.values()].filter((p) => p.source === "file");
  for (const desired of local) pods.set(podKey(desired.pod), withClass(desired, runtimeClasses));
  for (const desired of local) problems.push(...missingReferences(desired, objects));
  problems.push(...hostPortClashes(local));
  return { pods, objects, problems, complete: expected.every((name) => snapshots.has(name)) };
}

function addAbsent<T>(to: Map<string, T>, from: ReadonlyMap<string, T>): void {
  for (const [key, value] of from) if (!to.has(key)) to.set(key, value);
}

/** A control plane has added it to its own pods. */
function withClass(desired: DesiredPod, classes: Objects["runtimeClasses"]): DesiredPod {
  const pod = withRuntimeClass(desired.pod, classes);
  return pod === desired.pod ? desired : { ...desired, pod };
}

interface Claim {
  key: PodKey;
  origin: string;
  hostIP: string;
}

const everywhere = new Set(["", "0.0.0.0", "::"]);
const overlap = (a: string, b: string) => everywhere.has(a) || everywhere.has(b) || a === b;

/** Both pods stay desired: which of them runs already is not known here. */
function hostPortClashes(pods: readonly DesiredPod[]): Problem[] {
  const claims = new Map<string, Claim[]>();
  const problems: Problem[] = [];
  for (const { pod, origin } of pods) {
    const key = `${pod.metadata?.namespace}/${pod.metadata?.name}`;
    for (const [i, container] of (pod.spec?.containers ?? []).entries()) {
      for (const [j, port] of (container.ports ?? []).entries()) {
        if (!port.hostPort) continue;
        const wanted = `${port.hostPort}/${port.protocol ?? "TCP"}`;
        const taken = claims.get(wanted) ?? [];
        const hostIP = port.hostIP ?? "";
        const other = taken.find((c) => c.key !== key && overlap(c.hostIP, hostIP));
        if (other !== undefined) {
          const field = `spec.containers[${i}].ports[${j}].hostPort`;
          const message =
            `Pod ${other.key} (${other.origin}) wants the host port ${wanted}, too: only one can have it`;
          problems.push({ severity: "warning", file: origin, object: `Pod ${key}`, field, message });
        }
        claims.set(wanted, [...taken, { key, origin, hostIP }]);
      }
    }
  }
  return problems;
}
