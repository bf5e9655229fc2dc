/**
 * A Node's status as this node has it, in the kubelet's words, and what of it is worth a request. Pure. Not for: the rest of
 * the Node (node_object.ts), or measuring.
 *
 * Source: kubernetes pkg/kubelet/nodestatus (setters.go), pkg/kubelet/kubelet_node_status.go (nodeStatusHasChanged).
 */
import type { NodeCondition, NodeRuntimeHandler, NodeStatus, NodeSystemInfo } from "./gen/v1.ts";
import { canonical } from "./hash.ts";
import { type HeldImageNames, nodeImages } from "./node_images.ts";
import type { Pressure } from "./eviction_thresholds.ts";
import { parseQuantity } from "./quantity.ts";

/** What this node knows of itself. */
export interface NodeView {
  hostname: string;
  /** Primary first. */
  addresses: readonly string[];
  capacity: Readonly<Record<string, string>>;
  allocatable: Readonly<Record<string, string>>;
  /** "" where it is ready, else what is in the way. */
  notReady: string;
  pressures: ReadonlySet<Pressure>;
  nodeInfo: NodeSystemInfo;
  images: readonly HeldImageNames[];
  /** -1 is all. */
  maxImages: number;
  runtimeHandlers: readonly NodeRuntimeHandler[];
  supplementalGroupsPolicy: boolean;
  /** 0: none is served. */
  kubeletPort: number;
  volumesInUse: readonly string[];
}

/**
 * Without these schedulers and the API server keep from the node what needs them. Source:
 * k8s.io/component-helpers/nodedeclaredfeatures.
 */
const declaredFeatures = [
  "InPlacePodLevelResourcesVerticalScaling",
  "RestartAllContainersOnContainerExits",
];

/** `before` is what the API server has; what is others' stays. `now` in RFC 3339. */
export function nodeStatus(view: NodeView, before: NodeStatus, now: string): NodeStatus {
  const foreign = foreignResources(view, before);
  return {
    addresses: [
      ...view.addresses.map((address) => ({ type: "InternalIP", address })),
      { type: "Hostname", address: view.hostname },
    ],
    capacity: { ...foreign, ...view.capacity },
    allocatable: { ...foreign, ...view.allocatable },
    conditions: conditionsOf(view, before.conditions ?? [], now),
    nodeInfo: view.nodeInfo,
    images: nodeImages(view.images, view.maxImages),
    daemonEndpoints: { kubeletEndpoint: { Port: view.kubeletPort } },
    runtimeHandlers: [...view.runtimeHandlers],
    features: { supplementalGroupsPolicy: view.supplementalGroupsPolicy },
    declaredFeatures,
    volumesInUse: [...view.volumesInUse].sort(),
  };
}

/** Whether it is none of Kubernetes' own: anybody may give it to a Node, by a patch of its capacity. */
export const isExtended = (resource: string): boolean =>
  resource.includes("/") && !resource.split("/")[0]!.endsWith("kubernetes.io/");

/** Resources that somebody gave the Node by patching it: all of them may be had. */
function foreignResources(view: NodeView, before: NodeStatus): Record<string, string> {
  return Object.fromEntries(
    Object.entries(before.capacity ?? {}).filter(([name]) =>
      isExtended(name) && !Object.hasOwn(view.capacity, name)
    ),
  );
}

type Words = readonly [
  type: Pressure,
  whenTrue: readonly [string, string],
  whenFalse: readonly [string, string],
];

const pressureWords: readonly Words[] = [
  [
    "MemoryPressure",
    ["KubeletHasInsufficientMemory", "kubelet has insufficient memory available"],
    ["KubeletHasSufficientMemory", "kubelet has sufficient memory available"],
  ],
  [
    "DiskPressure",
    ["KubeletHasDiskPressure", "kubelet has disk pressure"],
    ["KubeletHasNoDiskPressure", "kubelet has no disk pressure"],
  ],
  [
    "PIDPressure",
    ["KubeletHasInsufficientPID", "kubelet has insufficient PID available"],
    ["KubeletHasSufficientPID", "kubelet has sufficient PID available"],
  ],
];

function conditionsOf(view: NodeView, before: readonly NodeCondition[], now: string): NodeCondition[] {
  const ready = view.notReady === "";
  const all: [string, boolean, string, string][] = [
    ...pressureWords.map(([type, whenTrue, whenFalse]): [string, boolean, string, string] => {
      const has = view.pressures.has(type);
      return [type, has, ...(has ? whenTrue : whenFalse)];
    }),
    [
      "Ready",
      ready,
      ready ? "KubeletReady" : "KubeletNotReady",
      ready ? "kubelet is posting ready status" : view.notReady,
    ],
  ];
  return all.map(([type, on, reason, message]) => {
    const status = on ? "True" : "False";
    const old = before.find((c) => c.type === type);
    return {
      type,
      status,
      reason,
      message,
      lastHeartbeatTime: now,
      lastTransitionTime: old?.status === status ? old.lastTransitionTime ?? now : now,
    };
  });
}

// ---- what is worth a request ------------------------------------------------------------------------------------------

type Patch = Record<string, unknown>;

/** Mappings are merged by the API server, all else is replaced. */
const merged = ["capacity", "allocatable", "nodeInfo", "features", "daemonEndpoints"] as const;
const replaced = ["images", "runtimeHandlers", "declaredFeatures", "volumesInUse"] as const;

const isEqual = (a: unknown, b: unknown) => canonical(a) === canonical(b);

/**
 * A strategic merge patch of the status; `undefined`: nothing changed. With `heartbeat` the times of all conditions are
 * told, whatever else there is.
 */
export function statusPatch(before: NodeStatus, now: NodeStatus, heartbeat: boolean): Patch | undefined {
  const conditions = changedConditions(before.conditions ?? [], now.conditions ?? [], heartbeat);
  const patch: Patch = {
    ...Object.fromEntries(merged.flatMap((field) => {
      const difference = mappingPatch(before[field], now[field]);
      return difference === undefined ? [] : [[field, difference]];
    })),
    ...Object.fromEntries(
      replaced.filter((field) => !isEqual(before[field] ?? [], now[field] ?? []))
        .map((field) => [field, now[field]]),
    ),
    ...(isEqual(before.addresses ?? [], now.addresses ?? [])
      ? {}
      // Its key does not tell addresses apart: merged they would be lost (kubernetes/kubernetes#79391).
      : { addresses: [...now.addresses ?? [], { $patch: "replace" }] }),
    ...(conditions.length === 0 ? {} : { conditions }),
  };
  return Object.keys(patch).length === 0 ? undefined : { status: patch };
}

function changedConditions(
  before: readonly NodeCondition[],
  now: readonly NodeCondition[],
  heartbeat: boolean,
): NodeCondition[] {
  if (heartbeat) return [...now];
  const content = ({ lastHeartbeatTime: _time, ...rest }: NodeCondition) => rest;
  return now.filter((condition) => {
    const old = before.find((c) => c.type === condition.type);
    return old === undefined || !isEqual(content(old), content(condition));
  });
}

/** The API server writes quantities in a form of its own: 1000 becomes 1k. */
const isSame = (a: unknown, b: unknown): boolean =>
  isEqual(a, b) ||
  (typeof a === "string" && typeof b === "string" && parseQuantity(a) !== undefined &&
    parseQuantity(a) === parseQuantity(b));

function mappingPatch(before: object | undefined, now: object | undefined): Patch | undefined {
  const [old, wanted] = [before ?? {}, now ?? {}] as [Patch, Patch];
  const changed = Object.entries(wanted).filter(([key, value]) => !isSame(old[key] ?? "", value));
  const gone = Object.keys(old).filter((key) => !Object.hasOwn(wanted, key)).map((key) => [key, null]);
  const all = [...changed, ...gone];
  return all.length === 0 ? undefined : Object.fromEntries(all);
}
