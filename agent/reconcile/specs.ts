/**
 * What one round of one pod works with, and what the runtime is told of its containers: the wish, the environment
 * and the volumes put together. Not for: the sandbox (sandbox.ts), applying it (apply.ts).
 */
import type { Container, Pod } from "../model/gen/v1.ts";
import type { ContainerSpec } from "../model/container.ts";
import type { PodDns } from "../model/dns.ts";
import type { Devices, Networks, Placement } from "../plugin_ports.ts";
import type { Cgroups, Host, Prober, PublishedVolume, Runtime, Storage } from "../ports.ts";
import type { DesiredPod, Objects } from "../model/wish.ts";
import type { ObservedPod } from "../model/observed.ts";
import type { BackOffConfig } from "../model/restart.ts";
import type { Memory, Step } from "../model/plan.ts";
import { asContainer, ephemeralOf } from "../model/ephemeral.ts";
import { mergeEdits } from "../model/edits.ts";
import { AgentError } from "../model/errors.ts";
import { containerHash } from "../model/hash.ts";
import type { EnvFiles } from "../model/env_file.ts";
import { expandCommand, resolveEnv } from "../model/env.ts";
import { type ContainerLimitFacts, linuxResources } from "../model/linux_resources.ts";
import { asksRecursiveReadOnly } from "../model/volume_mounts.ts";
import type { PreStops } from "./hooks.ts";
import type { ImageOptions, RecordEvent } from "./images.ts";
import type { UserNamespaces } from "./user_namespaces.ts";
import { containerLogPath } from "./logs.ts";
import { sandboxSpec } from "./sandbox.ts";

/** What stays the same for all pods of this node. */
export interface NodeFacts extends ContainerLimitFacts {
  nodeName: string;
  clusterDomain: string;
  hostIPs: readonly string[];
  runtimeName: string;
  podLogsDir: string;
  containerLogsDir: string;
  backOff: BackOffConfig;
  /** What the node gives to pods, in base units (cores, bytes). */
  allocatable: Readonly<Record<string, number>>;
  /** Absent while the runtime has not told. */
  supplementalGroupsPolicy?: boolean;
}

export interface ApplyOptions {
  host: Host;
  prober: Prober;
  runtime: Runtime;
  storage: Storage;
  cgroups: Cgroups;
  networks: Networks;
  images: ImageOptions;
  userNamespaces: UserNamespaces;
  /** Absent: there are none. */
  devices?: Devices;
  /** Absent: containers run anywhere. */
  placement?: Placement;
  /** Whom the pods' ends are reported to; absent: nobody. */
  reports?: { told(uid: string, signal: AbortSignal): Promise<void> };
  node: NodeFacts;
  /** The pod's DNS configuration from its policy and the node's resolv.conf. */
  dns(pod: Pod): Promise<PodDns>;
}

/** One pod at one moment; `published` is filled by publishVolumes and read by runContainer, `preStops` by stops. */
export interface PodRound {
  uid: string;
  /** Absent while the pod is being removed. */
  desired: DesiredPod | undefined;
  objects: Objects;
  observed: ObservedPod;
  memory: Memory;
  published: Map<string, PublishedVolume>;
  preStops: PreStops;
  record: RecordEvent;
}

export function wishOf(
  round: PodRound,
  name: string,
): { pod: DesiredPod; container: Container; secrets: Objects["secrets"] } {
  const pod = round.desired;
  const spec = pod?.pod.spec;
  const ephemeral = (spec?.ephemeralContainers ?? []).map(asContainer);
  const all = [...(spec?.initContainers ?? []), ...(spec?.containers ?? []), ...ephemeral];
  const container = all.find((c) => c.name === name);
  if (pod === undefined || container === undefined) {
    throw new AgentError("Aborted", `container ${name} is not wanted`);
  }
  return { pod, container, secrets: round.objects.secrets };
}

/** Throws CreateContainerConfigError when it names something that does not exist; files only once they are read. */
export function environmentOf(
  o: ApplyOptions,
  round: PodRound,
  name: string,
  podIPs: readonly string[],
  files?: EnvFiles,
) {
  const { pod, container } = wishOf(round, name);
  const resolved = resolveEnv(pod.pod, container, round.objects, { ...o.node, podIPs }, files);
  if ("error" in resolved) throw new AgentError("CreateContainerConfigError", resolved.error);
  return resolved;
}

/** What the container may use, and the CPUs that it runs on. */
export const linuxOf = (o: ApplyOptions, { pod, uid }: DesiredPod, container: Container) =>
  linuxResources(pod, container, o.node, o.placement?.cpusOf(uid, container.name));

export async function containerSpec(
  o: ApplyOptions,
  round: PodRound,
  step: Extract<Step, { kind: "runContainer" }>,
  signal: AbortSignal,
  abandon: AbortSignal,
): Promise<ContainerSpec> {
  const { pod: desired, container } = wishOf(round, step.container);
  const { pod } = desired;
  const sandbox = round.observed.sandboxes.find((s) => s.id === step.sandboxId)!;
  const podIPs = pod.spec!.hostNetwork === true ? o.node.hostIPs : sandbox.ips;
  const files = await o.storage.envFiles(round.uid, container, round.published);
  const { env, warnings } = environmentOf(o, round, step.container, podIPs, files);
  for (const w of warnings) round.record("Warning", "InvalidEnvironmentVariableNames", w, container.name);
  const devices = await o.devices?.prepare(desired, container, AbortSignal.any([signal, abandon]));
  await o.placement?.saved();
  const [sandboxOf, edits] = await Promise.all([
    sandboxSpec(o, round, { ...sandbox, podStart: sandbox.podStart ?? sandbox.createdAt }),
    o.storage.containerEdits({
      pod: desired,
      container,
      attempt: step.attempt,
      published: round.published,
      env,
      podIPs,
      images: round.memory.images.get(step.container)?.volumes ?? new Map(),
      recursiveReadOnly: asksRecursiveReadOnly(container) &&
        (await o.runtime.status(signal)).recursiveReadOnlyHandlers.includes(sandbox.runtimeHandler),
    }, signal),
  ]);
  return {
    sandbox: sandboxOf,
    sandboxId: step.sandboxId,
    container,
    attempt: step.attempt,
    hash: containerHash(pod, container),
    backOff: step.backOff,
    run: step.run ?? 0,
    ...ephemeralOf(pod, container.name, round.observed),
    imageRef: step.imageRef,
    ...expandCommand(container, env),
    env,
    resources: container.resources ?? {},
    linux: linuxOf(o, desired, container),
    imageUser: round.memory.images.get(step.container)?.user ?? "",
    edits: devices === undefined ? edits : mergeEdits(edits, devices),
    logPath: containerLogPath(container.name, step.attempt),
  };
}
