/**
 * Where the containers of one pod are to run: CPUs of their own and NUMA nodes, chosen together with the devices that they
 * will get. Pure. Not for: giving the devices (devices.ts), keeping or applying it (node/placement.ts).
 *
 * Source: kubernetes pkg/kubelet/cm/topologymanager (scopes) and pkg/kubelet/cm/devicemanager/topology_hints.go.
 */
import type { CpuSet } from "./cpu_set.ts";
import type { Numa } from "./cpu_topology.ts";
import {
  byNuma,
  chooseDevices,
  containersOf,
  type Device,
  deviceRequests,
  type Grants,
  idsOf,
  isDeviceResource,
  type Offers,
  reusable,
  selectionOf,
  usedOf,
} from "./devices.ts";
import type { PodEnd } from "./end.ts";
import { type Assignments, cpuHints, type CpuNode, giveCpus, podCpuHints } from "./exclusive_cpus.ts";
import type { Container, Pod } from "./gen/v1.ts";
import { combine, limitsOf } from "./qos.ts";
import {
  align,
  countedHints,
  type Hints,
  maskOf,
  type NodeMask,
  nodesOf,
  type TopologyPolicy,
} from "./topology.ts";

export interface PlacementNode {
  policy: TopologyPolicy;
  numa: Numa;
  /** Absent: all containers share all CPUs. */
  cpus?: CpuNode;
}

/** What is given away. */
export interface Standing {
  assignments: Assignments;
  grants: Grants;
  offers: Offers;
}

/** Of one container. */
export interface Place {
  /** Of its own; absent: it shares. */
  cpus?: CpuSet;
  /** NUMA nodes, by number, that its devices should be near to; absent: any. */
  nodes?: ReadonlySet<number>;
}

const topologyError: PodEnd = {
  reason: "TopologyAffinityError",
  message: "Resources cannot be allocated with Topology locality",
};

/** For all containers of the pod, or the reason why one of them cannot be placed. What they have, they keep. */
export function placePod(
  node: PlacementNode,
  before: Standing,
  pod: Pod,
  uid: string,
): Map<string, Place> | PodEnd {
  const own = new Map(before.assignments.get(uid));
  const grants = new Map([...before.grants.get(uid) ?? []].map(([name, of]) => [name, new Map(of)]));
  const now: Standing = {
    assignments: new Map([...before.assignments, [uid, own]]),
    grants: new Map([...before.grants, [uid, grants]]),
    offers: before.offers,
  };
  const asOne = node.policy.scope === "pod"
    ? align(podHints(node, now, pod, uid), node.policy, node.numa)
    : undefined;
  if (asOne?.admitted === false) return topologyError;
  const places = new Map<string, Place>();
  for (const container of containersOf(pod)) {
    const alignment = asOne ??
      align(containerHints(node, now, pod, uid, container), node.policy, node.numa);
    if (!alignment.admitted) return topologyError;
    const { nodes } = alignment;
    const cpus = node.cpus && giveCpus(node.cpus, now.assignments, { pod, uid, container, nodes });
    if (cpus !== undefined && "reason" in cpus) return cpus;
    own.delete(container.name);
    if (cpus !== undefined) own.set(container.name, cpus);
    const near = nodes === undefined ? undefined : new Set(nodesOf(node.numa, nodes));
    grants.set(container.name, expectDevices(now, pod, uid, container, near));
    places.set(container.name, { ...(cpus && { cpus }), ...(near && { nodes: near }) });
  }
  return places;
}

/** The devices that the container will get, should nobody else come first. */
function expectDevices(
  { grants, offers }: Standing,
  pod: Pod,
  uid: string,
  container: Container,
  near: ReadonlySet<number> | undefined,
) {
  const mine = grants.get(uid)!;
  const expected = new Map(mine.get(container.name));
  for (const [resource, size] of deviceRequests(container)) {
    const offer = offers.get(resource);
    if (offer === undefined) continue;
    const has = expected.get(resource);
    const selection = selectionOf({
      offer,
      size,
      own: has === undefined ? [] : idsOf(has),
      reuse: reusable(pod, mine, container.name, resource),
      used: usedOf(grants, resource),
      near,
    });
    expected.set(resource, { devices: byNuma(chooseDevices(selection), offer) });
  }
  return expected;
}

function containerHints(
  { numa, cpus }: PlacementNode,
  now: Standing,
  pod: Pod,
  uid: string,
  container: Container,
): Hints[] {
  const mine = now.grants.get(uid)!;
  const devices = deviceRequests(container).map(([resource, size]) => {
    const has = mine.get(container.name)?.get(resource);
    const own = new Set(has === undefined ? [] : idsOf(has));
    const reuse = own.size > 0 ? own : reusable(pod, mine, container.name, resource);
    return deviceHints(numa, now, resource, size, own.size === size ? own : undefined, reuse);
  });
  return [cpus && cpuHints(cpus, now.assignments, pod, uid, container), ...devices];
}

function podHints({ numa, cpus }: PlacementNode, now: Standing, pod: Pod, uid: string): Hints[] {
  const wanted = Object.entries(combine(pod, limitsOf)).filter(([name, n]) =>
    isDeviceResource(name) && n > 0
  );
  const devices = wanted.map(([resource, size]) => {
    const given = [...now.grants.get(uid)!.values()].flatMap((of) => of.get(resource) ?? []);
    const own = new Set(given.flatMap(idsOf));
    return deviceHints(numa, now, resource, size, own.size === size ? own : undefined, own);
  });
  return [cpus && podCpuHints(cpus, now.assignments, pod, uid), ...devices];
}

/** `had`: it has as many as it asks for, and these are its devices. `reuse`: what must be among them, else. */
function deviceHints(
  numa: Numa,
  { grants, offers }: Standing,
  resource: string,
  wanted: number,
  had: ReadonlySet<string> | undefined,
  reuse: ReadonlySet<string>,
): Hints {
  const all = (offers.get(resource)?.devices ?? []).filter((d) => maskOf(numa, d.numaNodes) !== 0);
  if (all.length === 0) return undefined;
  const used = usedOf(grants, resource);
  const free = all.filter((d) => had === undefined ? d.healthy && !used.has(d.id) : had.has(d.id));
  const must = had === undefined ? all.filter((d) => reuse.has(d.id)) : [];
  const within = (devices: readonly Device[], mask: NodeMask) =>
    devices.filter((d) => (maskOf(numa, d.numaNodes) & mask) !== 0).length;
  return countedHints(
    numa,
    wanted,
    (mask) => within(all, mask),
    (mask) => within(must, mask) < must.length ? undefined : must.length + within(free, mask),
  );
}
