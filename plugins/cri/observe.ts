/**
 * The runtime's lists and statuses in our words. Pure. Not for: the calls and what they cost (observer.ts).
 */
import type { ObservedContainer, ObservedPod, ObservedSandbox } from "../../agent/model/observed.ts";
import {
  type Container,
  ContainerState,
  type ContainerStatus,
  type PodSandbox,
  PodSandboxState,
  type PodSandboxStatus,
} from "../rpc/gen/cri.ts";
import {
  parseContainerNotes,
  POD_NAME,
  POD_NAMESPACE,
  POD_UID,
  podStartOf,
  sandboxHashOf,
  sandboxResourcesOf,
  sourceOf,
  userNamespaceOf,
} from "./labels.ts";

/** Nanoseconds since the epoch → milliseconds; 0 (and the -62135596800 s of Go's zero time) is absent. */
export function toMs(ns: bigint): number | undefined {
  return ns > 0n ? Number(ns / 1_000_000n) : undefined;
}

/** Pod IPs, the primary one first; empty with host network. */
export function toIps(status: PodSandboxStatus): string[] {
  const network = status.network;
  if (network === undefined || network.ip === "") return [];
  return [network.ip, ...network.additionalIps.map((a) => a.ip)];
}

export function toObservedSandbox(sandbox: PodSandbox, ips: string[]): ObservedSandbox {
  const userNamespace = userNamespaceOf(sandbox.annotations);
  const podStart = podStartOf(sandbox.annotations);
  const resources = sandboxResourcesOf(sandbox.annotations);
  return {
    id: sandbox.id,
    attempt: sandbox.metadata?.attempt ?? 0,
    ready: sandbox.state === PodSandboxState.SANDBOX_READY,
    createdAt: toMs(sandbox.createdAt) ?? 0,
    ...(podStart === undefined ? {} : { podStart }),
    ips,
    hash: sandboxHashOf(sandbox.annotations),
    runtimeHandler: sandbox.runtimeHandler,
    ...(resources === undefined ? {} : { resources }),
    ...(userNamespace && { userNamespace }),
  };
}

const STATES: Record<ContainerState, ObservedContainer["state"]> = {
  [ContainerState.CONTAINER_CREATED]: "created",
  [ContainerState.CONTAINER_RUNNING]: "running",
  [ContainerState.CONTAINER_EXITED]: "exited",
  [ContainerState.CONTAINER_UNKNOWN]: "unknown",
};

/** Exit codes above this are 128 + the signal that ended the process, as shells and runtimes say it. */
const SIGNAL_BASE = 128;

export function toObservedContainer(container: Container, status: ContainerStatus): ObservedContainer {
  const notes = parseContainerNotes(container.annotations);
  const image = notes.image || status.image?.userSpecifiedImage || status.image?.image;
  const startedAt = toMs(status.startedAt);
  return {
    id: container.id,
    name: container.metadata?.name ?? "",
    sandboxId: container.podSandboxId,
    attempt: container.metadata?.attempt ?? 0,
    state: STATES[status.state] ?? "unknown",
    createdAt: toMs(container.createdAt) ?? 0,
    ...(startedAt === undefined ? {} : { startedAt }),
    ...exitOf(status),
    image: image ?? container.image?.image ?? "",
    imageRef: status.imageRef || container.imageRef,
    hash: notes.hash,
    backOff: notes.backOff,
    graceSeconds: notes.graceSeconds,
    ...(notes.preStop === undefined ? {} : { preStop: notes.preStop }),
    ...(notes.ports === undefined ? {} : { ports: notes.ports }),
    ...(notes.sidecar === undefined ? {} : { sidecar: notes.sidecar }),
    ...(notes.ephemeral === undefined ? {} : { ephemeral: notes.ephemeral }),
    ...(notes.run === 0 ? {} : { run: notes.run }),
    ...(notes.resources === undefined ? {} : { resources: notes.resources }),
    ...(notes.cpus === undefined ? {} : { cpus: notes.cpus }),
    ...(notes.devices === undefined ? {} : { devices: notes.devices }),
    ...(notes.volumeMounts === undefined ? {} : { volumeMounts: notes.volumeMounts }),
    ...userOf(status),
    logPath: status.logPath,
  };
}

/** containerd before 2.0 does not tell. */
function userOf({ user }: ContainerStatus): Pick<ObservedContainer, "user"> {
  if (user?.linux === undefined) return {};
  const { uid, gid, supplementalGroups } = user.linux;
  return {
    user: { uid: Number(uid), gid: Number(gid), supplementalGroups: supplementalGroups.map(Number) },
  };
}

type Exit = Pick<ObservedContainer, "finishedAt" | "exitCode" | "signal" | "reason" | "message">;

function exitOf(status: ContainerStatus): Exit {
  const exit: Exit = {};
  if (status.reason !== "") exit.reason = status.reason;
  if (status.message !== "") exit.message = status.message;
  if (status.state !== ContainerState.CONTAINER_EXITED) return exit;
  const finishedAt = toMs(status.finishedAt);
  if (finishedAt !== undefined) exit.finishedAt = finishedAt;
  exit.exitCode = status.exitCode;
  if (status.exitCode > SIGNAL_BASE && status.exitCode <= SIGNAL_BASE + 64) {
    exit.signal = status.exitCode - SIGNAL_BASE;
  }
  return exit;
}

/** Groups by pod uid, in the order that ObservedPod promises. */
export function toObservedPods(
  sandboxes: { sandbox: PodSandbox; ips: string[] }[],
  containers: { container: Container; status: ContainerStatus }[],
): ObservedPod[] {
  const pods = new Map<string, ObservedPod>();
  const podOf = (labels: Record<string, string>): ObservedPod => {
    const uid = labels[POD_UID] ?? "";
    const known = pods.get(uid);
    if (known !== undefined) return known;
    const pod: ObservedPod = {
      uid,
      namespace: labels[POD_NAMESPACE] ?? "",
      name: labels[POD_NAME] ?? "",
      sandboxes: [],
      containers: [],
      hasDirectory: false,
    };
    pods.set(uid, pod);
    return pod;
  };
  for (const { sandbox, ips } of sandboxes) {
    const pod = podOf(sandbox.labels);
    pod.sandboxes.push(toObservedSandbox(sandbox, ips));
    const source = sourceOf(sandbox.annotations);
    if (source !== undefined) pod.source = source;
  }
  for (const { container, status } of containers) {
    podOf(container.labels).containers.push(toObservedContainer(container, status));
  }
  for (const pod of pods.values()) {
    pod.sandboxes.sort((a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt);
    pod.containers.sort((a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt);
  }
  return [...pods.values()];
}
