/**
 * What is asked of a CSI driver for one volume of a pod: from the pod's volume or a PersistentVolume to values. Pure.
 * Source: kubernetes pkg/volume/csi (csi_mounter.go, csi_attacher.go, csi_client.go). Not for: calling drivers.
 */
import type {
  CSIDriver,
  CSIVolumeSource,
  PersistentVolume,
  Pod,
  SecretReference,
  SELinuxOptions,
  TokenRequest,
} from "./gen/v1.ts";
import { AgentError } from "./errors.ts";
import { parseQuantity } from "./quantity.ts";

/** One volume as its pod, or its PersistentVolume, wants it. */
export interface CsiWish {
  driver: string;
  handle: string;
  /** Part of the paths: of the pod's volume where it is inline, else of the PersistentVolume. */
  specName: string;
  /** Of the pod itself, gone with it; else of a PersistentVolume. */
  ephemeral: boolean;
  block: boolean;
  fsType: string;
  mountOptions: readonly string[];
  attributes: Readonly<Record<string, string>>;
  accessModes: readonly string[];
  /** For the pod; `attachReadonly`: for the node, as the PersistentVolume has it. */
  readonly: boolean;
  attachReadonly: boolean;
  /** Bytes; 0 is unknown. */
  capacity: number;
  /** It got that while no pod had it: its driver may have to see to what is on it. */
  grownUnused: boolean;
  secrets: Partial<Record<SecretUse, SecretReference>>;
}

/** Annotation of a PersistentVolume that has grown while no pod had it. */
export const grownUnused = "agent/grown-unused";

export type SecretUse =
  | "provisioner"
  | "controllerPublish"
  | "nodeStage"
  | "nodePublish"
  | "controllerExpand"
  | "nodeExpand";

/** How messages call a reference to a Secret. */
export const secretFields: Record<SecretUse, string> = {
  provisioner: "provisioner secret",
  controllerPublish: "ControllerPublishSecretRef",
  nodeStage: "NodeStageSecretRef",
  nodePublish: "NodePublishSecretRef",
  controllerExpand: "ControllerExpandSecretRef",
  nodeExpand: "NodeExpandSecretRef",
};

/** `handle` is made of the pod's uid and the volume's name. */
export function inlineWish(name: string, source: CSIVolumeSource, pod: Pod, handle: string): CsiWish {
  const secret = source.nodePublishSecretRef?.name;
  return {
    driver: source.driver,
    handle,
    specName: name,
    ephemeral: true,
    block: false,
    fsType: source.fsType ?? "",
    mountOptions: [],
    attributes: source.volumeAttributes ?? {},
    accessModes: ["ReadWriteOnce"],
    readonly: source.readOnly === true,
    attachReadonly: false,
    capacity: 0,
    grownUnused: false,
    secrets: secret ? { nodePublish: { name: secret, namespace: pod.metadata?.namespace ?? "default" } } : {},
  };
}

/** @param readonly of the pod's volume; undefined: the PersistentVolume is of another kind */
export function persistentWish(volume: PersistentVolume, readonly: boolean): CsiWish | undefined {
  const { csi, accessModes, capacity, mountOptions, volumeMode } = volume.spec ?? {};
  if (csi === undefined) return undefined;
  const refs = {
    controllerPublish: csi.controllerPublishSecretRef,
    nodeStage: csi.nodeStageSecretRef,
    nodePublish: csi.nodePublishSecretRef,
    nodeExpand: csi.nodeExpandSecretRef,
  };
  return {
    driver: csi.driver,
    handle: csi.volumeHandle,
    specName: volume.metadata?.name ?? "",
    ephemeral: false,
    block: volumeMode === "Block",
    fsType: csi.fsType ?? "",
    mountOptions: mountOptions ?? [],
    attributes: csi.volumeAttributes ?? {},
    accessModes: accessModes ?? [],
    readonly,
    attachReadonly: csi.readOnly === true,
    capacity: parseQuantity(capacity?.["storage"] ?? "0") ?? 0,
    grownUnused: volume.metadata?.annotations?.[grownUnused] === "true",
    secrets: Object.fromEntries(Object.entries(refs).filter(([, ref]) => ref !== undefined)),
  };
}

const failed = (message: string) => new AgentError("FailedMount", message, { retry: false });

/** Throws where the driver's object says that it does not do such volumes. */
export function checkLifecycle(wish: CsiWish, driver: CSIDriver | undefined): void {
  const mode = wish.ephemeral ? "Ephemeral" : "Persistent";
  if (driver === undefined) {
    if (!wish.ephemeral) return;
    throw failed(`volume mode "${mode}" not supported by driver ${wish.driver} (no CSIDriver object)`);
  }
  const modes = driver.spec.volumeLifecycleModes ?? ["Persistent"];
  if (!modes.includes(mode)) {
    throw failed(
      `volume mode "${mode}" not supported by driver ${wish.driver} (only supports ${JSON.stringify(modes)})`,
    );
  }
}

/** What the driver wants to know who the pod is by. Throws where nobody signs tokens for the pod. */
export function tokensWanted(driver: CSIDriver | undefined, signed: boolean): readonly TokenRequest[] {
  const wanted = driver?.spec.tokenRequests ?? [];
  if (wanted.length === 0 || signed) return wanted;
  throw failed(
    `driver ${driver?.metadata?.name} wants service account tokens (spec.tokenRequests of its CSIDriver object), ` +
      "which only pods of a control plane have",
  );
}

/** Where a driver finds the tokens, in the volume's context or among its secrets. */
export const tokensKey = "csi.storage.k8s.io/serviceAccount.tokens";

/** Whether the driver is to be asked to publish the volume to the node before it is used. */
export const attaches = (driver: CSIDriver | undefined, publishes: boolean): boolean =>
  publishes && driver?.spec.attachRequired !== false;

/** The first of the volume's modes counts, as for the kubelet. */
export function csiAccessMode(
  { accessModes }: Pick<CsiWish, "accessModes">,
  singleNodeMultiWriter: boolean,
) {
  switch (accessModes[0] ?? "ReadWriteOnce") {
    case "ReadOnlyMany":
      return "MULTI_NODE_READER_ONLY";
    case "ReadWriteMany":
      return "MULTI_NODE_MULTI_WRITER";
    case "ReadWriteOncePod":
      return singleNodeMultiWriter ? "SINGLE_NODE_SINGLE_WRITER" : "SINGLE_NODE_WRITER";
    default:
      return singleNodeMultiWriter ? "SINGLE_NODE_MULTI_WRITER" : "SINGLE_NODE_WRITER";
  }
}

/** Whether files of the volume are given to the pod's fsGroup by us. */
export function givesToGroup(wish: CsiWish, driver: CSIDriver | undefined): boolean {
  if (wish.readonly || wish.block) return false;
  switch (driver?.spec.fsGroupPolicy ?? "ReadWriteOnceWithFSType") {
    case "None":
      return false;
    case "File":
      return true;
    default:
      return wish.fsType !== "" &&
        wish.accessModes.some((mode) => mode === "ReadWriteOnce" || mode === "ReadWriteOncePod");
  }
}

/** Attributes of the volume with what the driver wants to know of the pod. */
export function volumeContext(
  wish: CsiWish,
  pod: Pod,
  uid: string,
  driver: CSIDriver | undefined,
): Record<string, string> {
  if (driver?.spec.podInfoOnMount !== true) return { ...wish.attributes };
  const prefix = "csi.storage.k8s.io/";
  return {
    ...wish.attributes,
    [`${prefix}pod.name`]: pod.metadata?.name ?? "",
    [`${prefix}pod.namespace`]: pod.metadata?.namespace ?? "default",
    [`${prefix}pod.uid`]: uid,
    [`${prefix}serviceAccount.name`]: pod.spec?.serviceAccountName ?? "",
    [`${prefix}ephemeral`]: `${wish.ephemeral}`,
  };
}

/** Mount options, with the pod's SELinux label where the driver mounts with one and the pod is alone. */
export function mountFlags(
  wish: CsiWish,
  driver: CSIDriver | undefined,
  label: SELinuxOptions | undefined,
): readonly string[] {
  const alone = wish.accessModes.length === 1 && wish.accessModes[0] === "ReadWriteOncePod";
  if (driver?.spec.seLinuxMount !== true || !alone || !label?.level) return wish.mountOptions;
  const { user = "system_u", role = "object_r", type = "container_file_t", level } = label;
  return [...wish.mountOptions, `context="${user}:${role}:${type}:${level}"`];
}
