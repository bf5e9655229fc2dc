/**
 * The labels and annotations on sandboxes and containers: the kubelet's own names (kubernetes pkg/kubelet/types and
 * pkg/kubelet/kuberuntime/labels.go), which crictl, log shippers and monitors read, and ours. Not for: anything else
 * of the CRI messages.
 */
import type { ContainerSpec, SandboxSpec } from "../../agent/model/container.ts";
import { podGivenText } from "../../agent/model/resize.ts";
import type {
  ContainerPort,
  EphemeralContainer,
  LifecycleHandler,
  ResourceRequirements,
  VolumeMountStatus,
} from "../../agent/model/gen/v1.ts";
import { type IdRange, idRangeText, parseIdRange } from "../../agent/model/user_namespace.ts";

export const POD_NAME = "io.kubernetes.pod.name";
export const POD_NAMESPACE = "io.kubernetes.pod.namespace";
export const POD_UID = "io.kubernetes.pod.uid";
export const CONTAINER_NAME = "io.kubernetes.container.name";
/** Label: only objects with our instance's name are listed or touched. */
export const INSTANCE = "agent/instance";

const CONFIG_SOURCE = "kubernetes.io/config.source";
const CONFIG_HASH = "kubernetes.io/config.hash";
const CONTAINER_HASH = "io.kubernetes.container.hash";
const RESTART_COUNT = "io.kubernetes.container.restartCount";
const TERMINATION_MESSAGE_PATH = "io.kubernetes.container.terminationMessagePath";
const TERMINATION_MESSAGE_POLICY = "io.kubernetes.container.terminationMessagePolicy";
const GRACE_PERIOD = "io.kubernetes.pod.terminationGracePeriod";
const PRE_STOP = "io.kubernetes.container.preStopHandler";
const PORTS = "io.kubernetes.container.ports";
const SANDBOX_HASH = "agent/sandbox-hash";
const POD_START = "agent/pod-start";
const USER_NAMESPACE = "agent/user-namespace";
const BACK_OFF = "agent/back-off";
const RUN = "agent/run";
/** Place among the init containers of one that is a sidecar. */
const SIDECAR = "agent/sidecar";
const RESOURCES = "agent/resources";
const CPUS = "agent/cpus";
const DEVICES = "agent/devices";
const VOLUME_MOUNTS = "agent/volume-mounts";
/** An ephemeral container as it was asked for: no manifest tells of it. */
const EPHEMERAL = "agent/ephemeral";
/** The image as the manifest says it: containerd before 1.7 does not keep user_specified_image. */
const IMAGE = "agent/image";

type Words = Record<string, string>;

function podIdentity(spec: SandboxSpec, instance: string): Words {
  return {
    [POD_NAME]: spec.pod.metadata?.name ?? "",
    [POD_NAMESPACE]: spec.pod.metadata?.namespace ?? "",
    [POD_UID]: spec.uid,
    [INSTANCE]: instance,
  };
}

export function sandboxLabels(spec: SandboxSpec, instance: string): Words {
  return { ...spec.pod.metadata?.labels, ...podIdentity(spec, instance) };
}

/** The pod's own annotations (a static pod's kubernetes.io/config.seen among them) and what we must read back. */
export function sandboxAnnotations(spec: SandboxSpec): Words {
  const { [USER_NAMESPACE]: _forged, ...annotations } = spec.pod.metadata?.annotations ?? {};
  return {
    [CONFIG_HASH]: spec.uid,
    ...annotations,
    [CONFIG_SOURCE]: spec.source,
    [SANDBOX_HASH]: spec.hash,
    ...(spec.userNamespace && { [USER_NAMESPACE]: idRangeText(spec.userNamespace) }),
    [POD_START]: String(spec.podStart),
    [RESOURCES]: podGivenText(spec.pod),
  };
}

export function containerLabels(spec: ContainerSpec, instance: string): Words {
  return { ...podIdentity(spec.sandbox, instance), [CONTAINER_NAME]: spec.container.name };
}

export function containerAnnotations(spec: ContainerSpec): Words {
  const { container } = spec;
  const preStop = container.lifecycle?.preStop;
  return {
    ...spec.edits.annotations,
    ...(spec.edits.volumeMounts && { [VOLUME_MOUNTS]: JSON.stringify(spec.edits.volumeMounts) }),
    [CONTAINER_HASH]: spec.hash,
    [RESTART_COUNT]: String(spec.attempt),
    [TERMINATION_MESSAGE_PATH]: container.terminationMessagePath ?? "/dev/termination-log",
    [TERMINATION_MESSAGE_POLICY]: container.terminationMessagePolicy ?? "File",
    [GRACE_PERIOD]: String(graceSecondsOf(spec.sandbox)),
    ...(preStop === undefined ? {} : { [PRE_STOP]: JSON.stringify(preStop) }),
    ...((container.ports?.length ?? 0) === 0 ? {} : { [PORTS]: JSON.stringify(container.ports) }),
    [BACK_OFF]: String(spec.backOff),
    ...sidecarPlace(spec),
    ...(spec.run === 0 ? {} : { [RUN]: String(spec.run) }),
    [RESOURCES]: JSON.stringify(spec.resources),
    ...(spec.linux.cpus === undefined ? {} : { [CPUS]: spec.linux.cpus }),
    ...devicesGiven(spec),
    [IMAGE]: container.image ?? "",
    ...(spec.ephemeral === undefined ? {} : { [EPHEMERAL]: JSON.stringify(spec.ephemeral) }),
  };
}

const devicesGiven = ({ edits: { granted = {} } }: ContainerSpec): Words =>
  Object.keys(granted).length === 0 ? {} : { [DEVICES]: JSON.stringify(granted) };

function sidecarPlace({ sandbox, container }: ContainerSpec): Words {
  const at = (sandbox.pod.spec?.initContainers ?? []).findIndex((c) => c.name === container.name);
  return at >= 0 && container.restartPolicy === "Always" ? { [SIDECAR]: String(at) } : {};
}

const DEFAULT_GRACE_SECONDS = 30;

function graceSecondsOf(spec: SandboxSpec): number {
  return spec.pod.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
}

export const sandboxResourcesOf = (annotations: Words): string | undefined => annotations[RESOURCES];
export const userNamespaceOf = (annotations: Words): IdRange | undefined =>
  parseIdRange(annotations[USER_NAMESPACE]);

export const sandboxHashOf = (annotations: Words): string => annotations[SANDBOX_HASH] ?? "";

/** Undefined where the sandbox does not say it. */
export function sourceOf({ [CONFIG_SOURCE]: source }: Words): "file" | "api" | undefined {
  return source === "file" || source === "api" ? source : undefined;
}

/** In ms; undefined where the sandbox does not say it. */
export const podStartOf = (annotations: Words): number | undefined =>
  parseNumber(annotations[POD_START], 0) || undefined;

/** What a container's annotations say; each absent or damaged value has its default. */
export interface ContainerNotes {
  hash: string;
  backOff: number;
  run: number;
  graceSeconds: number;
  /** "" when it bears none. */
  image: string;
  resources?: ResourceRequirements;
  cpus?: string;
  devices?: Record<string, string[]>;
  preStop?: LifecycleHandler;
  ports?: ContainerPort[];
  sidecar?: number;
  volumeMounts?: VolumeMountStatus[];
  ephemeral?: EphemeralContainer;
}

export function parseContainerNotes(annotations: Words): ContainerNotes {
  const resources = parseValue<ResourceRequirements>(annotations[RESOURCES], isMapping);
  const preStop = parseValue<LifecycleHandler>(annotations[PRE_STOP], isMapping);
  const ports = parseValue<ContainerPort[]>(annotations[PORTS], Array.isArray);
  const volumeMounts = parseValue<VolumeMountStatus[]>(annotations[VOLUME_MOUNTS], Array.isArray);
  const devices = parseValue<Record<string, string[]>>(annotations[DEVICES], isLists);
  const sidecar = parseNumber(annotations[SIDECAR], -1);
  const ephemeral = parseValue<EphemeralContainer>(annotations[EPHEMERAL], isMapping);
  return {
    hash: annotations[CONTAINER_HASH] ?? "",
    backOff: parseNumber(annotations[BACK_OFF], 0),
    run: parseNumber(annotations[RUN], 0),
    graceSeconds: parseNumber(annotations[GRACE_PERIOD], DEFAULT_GRACE_SECONDS),
    image: annotations[IMAGE] ?? "",
    ...(resources === undefined ? {} : { resources }),
    ...(annotations[CPUS] === undefined ? {} : { cpus: annotations[CPUS] }),
    ...(devices === undefined ? {} : { devices }),
    ...(preStop === undefined ? {} : { preStop }),
    ...(ports === undefined ? {} : { ports }),
    ...(sidecar < 0 ? {} : { sidecar }),
    ...(volumeMounts === undefined ? {} : { volumeMounts }),
    ...(ephemeral === undefined ? {} : { ephemeral }),
  };
}

function parseNumber(text: string | undefined, otherwise: number): number {
  const value = Number(text ?? "");
  return text !== undefined && text !== "" && Number.isFinite(value) && value >= 0 ? value : otherwise;
}

const isMapping = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);

const isLists = (value: unknown) =>
  isMapping(value) &&
  Object.values(value as object).every((l) => Array.isArray(l) && l.every((x) => typeof x === "string"));

/** JSON that this program wrote, unless it is damaged. */
function parseValue<T>(text: string | undefined, fits: (value: unknown) => boolean): T | undefined {
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text);
    return fits(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
