/**
 * Resources of a pod that runs change in place: what its containers were given, what they ask for now, whether the node
 * has that, and how each container takes it. Pure. Not for: doing it (reconcile/resize.ts).
 *
 * Source: KEP-1287; kubernetes pkg/kubelet/allocation and pkg/kubelet/kuberuntime (computePodResizeAction).
 */
import { toMilli } from "./downward.ts";
import type { Container, Pod, ResourceRequirements } from "./gen/v1.ts";
import type { ObservedContainer, ObservedPod, ObservedSandbox } from "./observed.ts";
import type { Memory } from "./plan.ts";
import { type Amounts, podResources } from "./qos.ts";
import { parseQuantity } from "./quantity.ts";
import { isSidecar } from "./restart.ts";

/** What resources something that runs was last given in place. */
export interface GivenResources {
  /** Of the container, or of the sandbox, in the runtime. */
  id: string;
  /** As JSON; "" while they are being changed. */
  text: string;
}

export function parseGiven(text: string | undefined): GivenResources | undefined {
  const { id, text: given } = parsed<Partial<GivenResources>>(text ?? "{}") ?? {};
  return typeof id === "string" && typeof given === "string" ? { id, text: given } : undefined;
}

/** What changes in place; all else is of the container's definition, or of no concern to the runtime. */
const resizable = ["cpu", "memory"] as const;
type Resizable = typeof resizable[number];

type Given = Pick<Memory, "resources">;

/** What a container was last given; `undefined` while nobody can tell, because a change of it was cut off. */
export function givenTo(c: ObservedContainer, { resources }: Given): ResourceRequirements | undefined {
  const text = resources.get(c.id);
  return text === undefined ? c.resources ?? {} : parsed<ResourceRequirements>(text);
}

function parsed<T extends object>(text: string): T | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value as T : undefined;
  } catch {
    return undefined;
  }
}

const differs = (a: ResourceRequirements, b: ResourceRequirements, name: Resizable): boolean =>
  (["limits", "requests"] as const).some((list) => amountOf(a[list]?.[name]) !== amountOf(b[list]?.[name]));

const amountOf = (text: string | undefined): number => parseQuantity(text ?? "0") ?? 0;

/** How a running container comes to what it asks for. Init containers that end are not worth it. */
export function resizeOf(
  container: Container,
  isInit: boolean,
  c: ObservedContainer,
  memory: Given,
): "none" | "inPlace" | "restart" {
  if (isInit && !isSidecar(container)) return "none";
  const given = givenTo(c, memory);
  if (given === undefined) return "inPlace";
  const changed = resizable.filter((name) => differs(given, container.resources ?? {}, name));
  const restarts = container.resizePolicy?.some((p) =>
    p.restartPolicy === "RestartContainer" && changed.some((name) => name === p.resourceName)
  );
  return restarts ? "restart" : changed.length > 0 ? "inPlace" : "none";
}

/** What of its status a running container really has: what it was given of what changes in place. */
export function actualResources(
  container: Container,
  c: ObservedContainer,
  memory: Given,
): ResourceRequirements {
  const wanted = container.resources ?? {};
  const given = givenTo(c, memory) ?? c.resources ?? {};
  const result: ResourceRequirements = { ...wanted };
  for (const list of ["limits", "requests"] as const) {
    const amounts = Object.entries({ ...wanted[list], ...given[list] }).filter(([name]) =>
      (resizable as readonly string[]).includes(name)
        ? given[list]?.[name] !== undefined
        : wanted[list]?.[name]
    );
    if (amounts.length > 0) result[list] = Object.fromEntries(amounts);
    else delete result[list];
  }
  return result;
}

/** What the pod's own cgroup goes by. */
interface PodGiven {
  /** Of the pod as a whole. */
  own: ResourceRequirements;
  requests: Amounts;
  limits: Amounts;
}

/** As it is kept with the sandbox. */
export const podGivenText = (pod: Pod): string =>
  JSON.stringify({ own: pod.spec?.resources ?? {}, ...podResources(pod) } satisfies PodGiven);

const podTextOf = (sandbox: ObservedSandbox, { resources }: Given): string | undefined =>
  resources.get(sandbox.id) ?? sandbox.resources;

/** Whether the pod's cgroup does not have the limits that its containers and the pod itself ask for now. */
export function isPodOutdated(pod: Pod, sandbox: ObservedSandbox, memory: Given): boolean {
  const text = podTextOf(sandbox, memory);
  return text !== undefined && text !== podGivenText(pod);
}

/** What of its status the pod as a whole really has. */
export const actualPodResources = (pod: Pod, sandbox: ObservedSandbox, memory: Given): ResourceRequirements =>
  parsed<PodGiven>(podTextOf(sandbox, memory) ?? "")?.own ?? pod.spec?.resources ?? {};

/** The pod with the resources that it was given so far; `undefined` where that is what it asks for, or nothing runs. */
function asGiven(pod: Pod, o: ObservedPod, memory: Given): Pod | undefined {
  const [sandbox] = o.sandboxes;
  if (
    sandbox === undefined || !o.containers.some((c) => c.sandboxId === sandbox.id && c.state === "running")
  ) {
    return undefined;
  }
  let changed = false;
  const back = (isInit: boolean) => (container: Container): Container => {
    const [c] = o.containers.filter(({ name }) => name === container.name).sort((a, b) =>
      b.attempt - a.attempt
    );
    const given = c === undefined || c.sandboxId !== sandbox.id ? undefined : givenTo(c, memory);
    if (given === undefined || c === undefined || resizeOf(container, isInit, c, memory) === "none") {
      return container;
    }
    changed = true;
    return { ...container, resources: actualResources(container, c, memory) };
  };
  const spec = pod.spec!;
  const own = parsed<PodGiven>(podTextOf(sandbox, memory) ?? "")?.own;
  const podChanged = own !== undefined && resizable.some((name) => differs(own, spec.resources ?? {}, name));
  const given: Pod = {
    ...pod,
    spec: {
      ...spec,
      ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(back(true)) }),
      containers: spec.containers.map(back(false)),
      ...(podChanged ? { resources: own } : {}),
    },
  };
  return changed || podChanged ? given : undefined;
}

/** Of the node, for pods; in base units. */
export interface Room {
  allocatable: Amounts;
  /** Requests of the other pods together. */
  others: Amounts;
}

/** Why a change of resources waits: until the manifest asks for less, or until other pods leave room. */
export interface PendingResize {
  reason: "Infeasible" | "Deferred";
  message: string;
}

export interface Allocation {
  /** With the resources that it may have now. */
  pod: Pod;
  pending?: PendingResize;
}

/** Takes what the pod asks for, or, where the node does not have that, keeps what it was given: all or nothing. */
export function allocate(pod: Pod, o: ObservedPod, memory: Given, room: Room): Allocation {
  const given = asGiven(pod, o, memory);
  if (given === undefined) return { pod };
  const [wanted, before] = [podResources(pod).requests, podResources(given).requests];
  const pending = infeasible(wanted, room) ?? deferred(wanted, before, room);
  return pending === undefined ? { pod } : { pod: given, pending };
}

const units = (name: Resizable, amounts: Amounts): number =>
  name === "cpu" ? toMilli(amounts.cpu ?? 0) : Math.ceil(amounts.memory ?? 0);

function infeasible(wanted: Amounts, { allocatable }: Room): PendingResize | undefined {
  const name = (["memory", "cpu"] as const).find((n) => units(n, wanted) > units(n, allocatable));
  if (name === undefined) return undefined;
  const amounts = `requested: ${units(name, wanted)}, capacity: ${units(name, allocatable)}`;
  return { reason: "Infeasible", message: `Node didn't have enough capacity: ${name}, ${amounts}` };
}

/** What asks for no more than before is never in anybody's way. */
function deferred(
  wanted: Amounts,
  before: Amounts,
  { allocatable, others }: Room,
): PendingResize | undefined {
  const name = resizable.find((n) =>
    units(n, wanted) > units(n, before) && units(n, others) + units(n, wanted) > units(n, allocatable)
  );
  if (name === undefined) return undefined;
  const [requested, used, capacity] = [wanted, others, allocatable].map((amounts) => units(name, amounts));
  const amounts = `requested: ${requested}, used: ${used}, capacity: ${capacity}`;
  return { reason: "Deferred", message: `Node didn't have enough resource: ${name}, ${amounts}` };
}

/** As events tell of a change. */
export function resizeText(pod: Pod, error?: string): string {
  const containers = [...pod.spec?.initContainers ?? [], ...pod.spec?.containers ?? []]
    .filter((c) => Object.keys(c.resources ?? {}).length > 0)
    .map(({ name, resources }) => ({ name, resources }));
  const own = pod.spec?.resources;
  return JSON.stringify({
    containers,
    ...(own && { resources: own }),
    ...(error === undefined ? {} : { error }),
  });
}
