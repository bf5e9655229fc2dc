/**
 * What must hold at every step of a pod's life, whatever has happened before: who may start, who may be stopped, and which
 * hooks run. Each rule looks at the simulated world just before the step takes effect. Not for: where a life ends up.
 */
import type { Container, Pod } from "../../agent/model/gen/v1.ts";
import type { ObservedContainer } from "../../agent/model/observed.ts";
import type { Step } from "../../agent/model/plan.ts";
import { containerHash } from "../../agent/model/hash.ts";
import { preStopOf } from "../../agent/model/hook.ts";
import { holds } from "../../agent/model/end.ts";
import { newestOf } from "../../agent/model/need.ts";
import { networksOf } from "../../agent/model/networks.ts";
import { isSidecar } from "../../agent/model/restart.ts";
import { volumesHash } from "../../agent/model/volumes_hash.ts";
import { emptyObjects, type Simulation } from "./simulated_pod.ts";

type Of<K extends Step["kind"]> = Extract<Step, { kind: K }>;

export function checkStep(s: Simulation, pod: Pod | undefined, step: Step): string[] {
  switch (step.kind) {
    case "runSandbox":
      return [...checkEnd(s, pod!), ...checkSandbox(s)];
    case "runContainer":
      return [
        ...checkEnd(s, pod!),
        ...checkPlace(s, step),
        ...checkNetworks(s, pod!, step),
        ...checkPredecessors(s, pod!, step),
        ...checkHolds(s, pod!, step),
        ...(s.memory.volumesHash === volumesHash(pod!, emptyObjects) ? [] : ["started before its volumes"]),
      ];
    case "stopContainer":
      return [...checkTurn(s, pod, step), ...checkPreStop(s, pod, step)];
    case "preStop":
      return s.begun.has(step.containerId) ? [`${step.container}: its preStop hook runs twice`] : [];
    case "postStart":
      return s.greeted.has(step.containerId) ? [`${step.container}: its postStart hook runs again`] : [];
    case "stopSandbox": {
      const box = s.pod.sandboxes.find((b) => b.id === step.sandboxId);
      const tries = s.memory.failures.get(`detachNetworks:${step.sandboxId}`)?.count ?? 0;
      return box?.networks !== undefined && tries < 3 ? ["a sandbox ends before its networks are left"] : [];
    }
    case "sweepVolumes":
      return s.pod.containers.filter((c) => c.state === "running" && c.hash !== wantedHash(pod!, c.name))
        .map(({ name }) => `volumes swept while ${name} may use them`);
    case "clearVolumes":
      return s.pod.containers.some((c) => c.state === "running")
        ? ["volumes cleared below a running container"]
        : [];
    case "removeContainer":
      return find(s, step.containerId)?.state === "running" ? ["running container removed"] : [];
    default:
      return [];
  }
}

function wantedHash(pod: Pod, name: string): string | undefined {
  const spec = [...pod.spec!.initContainers ?? [], ...pod.spec!.containers].find((c) => c.name === name);
  return spec && containerHash(pod, spec);
}

const find = (s: Simulation, id: string) => s.pod.containers.find((c) => c.id === id);

const checkEnd = ({ notes }: Simulation, pod: Pod): string[] =>
  notes.end !== undefined && holds(notes.end, pod) ? ["something starts in a pod that was ended"] : [];

function checkSandbox({ pod }: Simulation): string[] {
  return [
    ...(pod.containers.some((c) => c.state === "running") ? ["new sandbox beside running containers"] : []),
    ...(pod.sandboxes.some((b) => b.ready) ? ["two ready sandboxes"] : []),
  ];
}

function checkPlace(s: Simulation, { container, sandboxId, attempt }: Of<"runContainer">): string[] {
  const same = s.pod.containers.filter((c) => c.name === container);
  return [
    ...(s.pod.sandboxes.find((b) => b.id === sandboxId)?.ready === true
      ? []
      : [`${container} without a sandbox`]),
    ...(same.some((c) => c.state === "running") ? [`${container} started twice`] : []),
    ...(same.some((c) => c.attempt >= attempt) ? [`attempt ${attempt} of ${container} used again`] : []),
  ];
}

/** The first container of a sandbox finds all its interfaces. */
function checkNetworks(s: Simulation, pod: Pod, { container, sandboxId }: Of<"runContainer">): string[] {
  const { networks = [] } = s.pod.sandboxes.find((b) => b.id === sandboxId) ?? {};
  if (s.pod.containers.some((c) => c.sandboxId === sandboxId)) return [];
  return networksOf(pod).filter(({ ifname }) => !networks.some((n) => n.ifname === ifname))
    .map(({ ifname }) => `${container} started without ${ifname}`);
}

/** Until a regular container has been there, each waits for the init containers and sidecars before it, of its own run. */
function checkPredecessors(s: Simulation, pod: Pod, step: Of<"runContainer">): string[] {
  const { initContainers = [], containers } = pod.spec!;
  const run = step.run ?? 0;
  const here = (name: string) => {
    const c = newestOf(s.seen, name);
    return c?.sandboxId === step.sandboxId && (c.run ?? 0) === run ? c : undefined;
  };
  if (containers.some((c) => here(c.name) !== undefined)) return [];
  const at = initContainers.findIndex((c) => c.name === step.container);
  const ahead = at < 0 ? initContainers : initContainers.slice(0, at);
  const done = (spec: Container, c: ObservedContainer | undefined) =>
    isSidecar(spec)
      ? c?.state === "running" && s.probes.get(c.id)?.started !== false &&
        s.notes.postStart.get(spec.name) !== c.id
      : c?.state === "exited" && c.exitCode === 0;
  return ahead.filter((spec) => !done(spec, here(spec.name))).map((spec) =>
    `${step.container} did not wait for ${spec.name}`
  );
}

/** A postStart hook that is to run holds what comes after its container, unless that is to be replaced anyway. */
function checkHolds(s: Simulation, pod: Pod, step: Of<"runContainer">): string[] {
  const specs = [...pod.spec!.initContainers ?? [], ...pod.spec!.containers];
  const before = specs.slice(0, specs.findIndex((c) => c.name === step.container));
  const pending = before.filter((spec) => {
    const c = newestOf(s.pod, spec.name);
    const stays = c?.state === "running" && spec.lifecycle?.postStart !== undefined &&
      c.hash === containerHash(pod, spec) &&
      s.probes.get(c.id)?.failed === undefined && !s.memory.asked.restart.has(c.id);
    return stays && s.notes.postStart.get(spec.name) === c.id &&
      s.memory.postStart.get(c.id)?.kind !== "failed";
  });
  return pending.map(({ name }) => `${step.container} did not wait for the postStart hook of ${name}`);
}

const rank = (c: ObservedContainer) => c.sidecar ?? Infinity;
const isAlive = (c: ObservedContainer) => c.state === "running" || c.state === "unknown";

/**
 * Of a pod that ends, regular containers stop first, then the sidecars, the last one first, while there is grace. Those
 * that an edit has left over have no place in that order.
 */
function checkTurn(s: Simulation, pod: Pod | undefined, step: Of<"stopContainer">): string[] {
  if (step.ofPod !== true || step.graceSeconds === 0) return [];
  const specs = [...pod?.spec?.initContainers ?? [], ...pod?.spec?.containers ?? []];
  const placed = (c: ObservedContainer) => pod === undefined || specs.some((spec) => spec.name === c.name);
  const own = find(s, step.containerId)!;
  const early = placed(own) && s.pod.containers.some((c) => placed(c) && isAlive(c) && rank(c) > rank(own));
  return early ? [`${step.container} was stopped before its turn`] : [];
}

function checkPreStop(s: Simulation, pod: Pod | undefined, step: Of<"stopContainer">): string[] {
  const c = find(s, step.containerId)!;
  const due = step.graceSeconds > 0 && c.state === "running" && preStopOf(pod, c) !== undefined;
  const runs = step.preStop !== undefined;
  if (runs && s.begun.has(c.id)) return [`${c.name}: its preStop hook runs twice`];
  return due && !runs && !s.begun.has(c.id) ? [`${c.name} was stopped without its preStop hook`] : [];
}
