/**
 * The sources' snapshots become one Desired; what can only be seen in all of them together is checked here: references
 * to objects that nobody describes, and host ports that two pods want. Pure. Not for: single files.
 */
import type { Problem } from "../model/errors.ts";
import type { ConfigMap, RuntimeClass, Secret } from "../model/gen/v1.ts";
import { exclude, type HostPort, hostPortsOf } from "../model/host_ports.ts";
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
