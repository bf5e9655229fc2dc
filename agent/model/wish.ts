/**
 * Wishes: what should become of one pod, and the difference between two sets of pods. Not for: how to get there
 * (plan.ts).
 */
import type {
  ConfigMap,
  CSIDriver,
  NetworkAttachmentDefinition,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  RuntimeClass,
  Secret,
  StorageClass,
} from "./gen/v1.ts";
import type { Problem } from "./errors.ts";
import type { Service } from "./service_env.ts";

/** `namespace/name`. */
export type PodKey = string;

export const podKey = (pod: { metadata?: { namespace?: string; name?: string } }): PodKey =>
  `${pod.metadata?.namespace ?? "default"}/${pod.metadata?.name ?? ""}`;

/** Local objects that pods may use, by `namespace/name` where nothing else is said. */
export interface Objects {
  configMaps: ReadonlyMap<string, ConfigMap>;
  secrets: ReadonlyMap<string, Secret>;
  persistentVolumeClaims: ReadonlyMap<string, PersistentVolumeClaim>;
  networkAttachments: ReadonlyMap<string, NetworkAttachmentDefinition>;
  /** By name, as all below. */
  runtimeClasses: ReadonlyMap<string, RuntimeClass>;
  storageClasses: ReadonlyMap<string, StorageClass>;
  csiDrivers: ReadonlyMap<string, CSIDriver>;
  persistentVolumes: ReadonlyMap<string, PersistentVolume>;
  /** By `namespace/name`; of an API server alone, as what follows. */
  services?: ReadonlyMap<string, Service>;
  /** Why nobody can say whether an object is there, by `Kind namespace/name`. */
  unread?: ReadonlyMap<string, string>;
}

export const noObjects: Objects = {
  configMaps: new Map(),
  secrets: new Map(),
  persistentVolumeClaims: new Map(),
  networkAttachments: new Map(),
  runtimeClasses: new Map(),
  storageClasses: new Map(),
  csiDrivers: new Map(),
  persistentVolumes: new Map(),
};

/** `file` for the manifest directory, `api` for a control plane (annotation kubernetes.io/config.source). */
export type PodSource = "file" | "api";

/** One pod that should run, with where it came from. Defaults, uid and namespace are filled in. */
export interface DesiredPod {
  pod: Pod;
  uid: string;
  source: PodSource;
  /** The file, or other place, that describes it. */
  origin: string;
}

/** Everything that one source wants, at one instant. */
export interface Snapshot extends Objects {
  source: PodSource;
  pods: ReadonlyMap<PodKey, DesiredPod>;
  origins?: ReadonlyMap<string, string>;
  problems: readonly Problem[];
  /** False: it shows what was known before; what is missing may only be out of reach. */
  readable?: boolean;
}

/** Everything that should be, at one instant. */
export interface Desired {
  pods: ReadonlyMap<PodKey, DesiredPod>;
  /** Of the manifest directory, for its pods. */
  objects: Objects;
  /** Of the API server, for its pods; absent on a node of no cluster. */
  clusterObjects?: Objects;
  /** The file that describes an object, by `Kind namespace/name`; absent for those that come from elsewhere. */
  origins?: ReadonlyMap<string, string>;
  problems: readonly Problem[];
  /** Those that have said what they want now: their pods that are not among these are removed. */
  spoken?: ReadonlySet<PodSource>;
  /** Every source has spoken: what is of no known source is removed, too. */
  complete: boolean;
}

/** As the kubelet marks its pods. */
export const SOURCE = "kubernetes.io/config.source";

export const sourceOf = (pod: Pod): string | undefined => pod.metadata?.annotations?.[SOURCE];

/** What the pod may use: local pods local objects, pods of the API server its objects. */
export const objectsFor = (desired: Desired, { source }: DesiredPod): Objects =>
  source === "api" ? desired.clusterObjects ?? noObjects : desired.objects;

/** Whether the API server wants the pod to end: it stays wanted there until its end is reported. */
export const isTerminating = ({ pod }: DesiredPod): boolean => pod.metadata?.deletionTimestamp !== undefined;

export type Wish =
  | { kind: "present"; pod: DesiredPod; objects: Objects }
  | {
    kind: "absent";
    uid: string;
    key: PodKey;
    /** Stands instead of the pod's own. */
    graceSeconds?: number;
    /** The API server waits to be told how it ended. */
    awaited?: true;
    /** What the pod was last, where somebody still knows. */
    pod?: Pod;
  };

/** A pod that a worker exists for. */
export interface KnownPod {
  key: PodKey;
  uid: string;
  /** Absent where nothing tells. */
  source?: PodSource;
}

/**
 * The wishes that lead from the known pods to the desired ones. A known pod whose key is desired with another uid is
 * first wished absent: the worker of the new one waits for it. A pod that terminates is wished absent whether it is known
 * or not, for its end is to be reported.
 */
export function diffPods(desired: Desired, known: readonly KnownPod[]): Map<string, Wish> {
  const wishes = new Map<string, Wish>();
  const uids = new Set<string>();
  for (const pod of desired.pods.values()) {
    uids.add(pod.uid);
    wishes.set(
      pod.uid,
      isTerminating(pod) ? ending(pod) : { kind: "present", pod, objects: objectsFor(desired, pod) },
    );
  }
  for (const { key, uid, source } of known) {
    const certain = desired.complete || (source !== undefined && desired.spoken?.has(source) === true);
    if (certain && !uids.has(uid)) wishes.set(uid, { kind: "absent", uid, key });
  }
  return wishes;
}

function ending({ uid, pod }: DesiredPod): Wish {
  const graceSeconds = pod.metadata?.deletionGracePeriodSeconds;
  return {
    kind: "absent",
    uid,
    key: podKey(pod),
    pod,
    awaited: true,
    // As under the kubelet, whoever is in a hurry grants a second.
    ...(graceSeconds === undefined ? {} : { graceSeconds: Math.max(1, graceSeconds) }),
  };
}
