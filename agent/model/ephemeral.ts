/**
 * Ephemeral containers: added to a pod that runs, to debug it; never started twice, gone with the pod's sandbox. What is
 * known of them after a crash stands in an annotation of the container itself: the manifest never knows. Pure.
 * Source: core/v1 EphemeralContainer, the kubelet's computePodActions. Not for: what one may say (validate_ephemeral.ts).
 */
import type { Container, EphemeralContainer, Pod } from "./gen/v1.ts";
import { endOnRecord, isOfApi, recordOf } from "./api_pod.ts";
import { AgentError } from "./errors.ts";
import { type Need, newestOf } from "./need.ts";
import type { ObservedContainer, ObservedPod } from "./observed.ts";
import type { Memory } from "./plan.ts";
import type { DesiredPod } from "./wish.ts";

/** One as the rest of the model sees a container. */
export const asContainer = ({ targetContainerName: _, ...container }: EphemeralContainer): Container =>
  container;

const ephemerals = (o: ObservedPod): ObservedContainer[] =>
  o.containers.filter((c) => c.ephemeral !== undefined).sort((a, b) => a.createdAt - b.createdAt);

/**
 * The pod with its ephemeral containers: those that its API server knows, those that are there, in the order of their
 * creation, and those asked for.
 */
export function withEphemeral(desired: DesiredPod, o: ObservedPod, { asked }: Memory): DesiredPod {
  const { pod } = desired;
  const known = isOfApi(pod) ? pod.spec?.ephemeralContainers ?? [] : [];
  const here = ephemerals(o).map((c) => c.ephemeral!);
  const present = [...known, ...here.filter((h) => !known.some((k) => k.name === h.name))];
  const coming = asked.ephemeral.filter((a) => !present.some((p) => p.name === a.name));
  if (here.length + coming.length === 0) return desired;
  return {
    ...desired,
    pod: { ...pod, spec: { ...pod.spec!, ephemeralContainers: [...present, ...coming] } },
  };
}

/** To be started as soon as it can be. */
export const askEphemeral = (memory: Memory, container: EphemeralContainer): Memory => ({
  ...memory,
  asked: {
    ...memory.asked,
    ephemeral: [...memory.asked.ephemeral.filter((e) => e.name !== container.name), container],
  },
});

/** One that has been started is not asked for any more: it shall not come again with the next sandbox. */
export function forgetStarted(memory: Memory, o: ObservedPod): Memory {
  const open = memory.asked.ephemeral.filter(({ name }) => {
    const c = newestOf(o, name);
    return c === undefined || c.state === "created";
  });
  if (open.length === memory.asked.ephemeral.length) return memory;
  return { ...memory, asked: { ...memory.asked, ephemeral: open } };
}

/** Started once; one that a crash left between creation and start, without its pipes, makes room for a new one. */
export function ephemeralNeeds(pod: Pod, o: ObservedPod): { container: Container; need: Need }[] {
  return (pod.spec?.ephemeralContainers ?? []).map((ephemeral) => {
    const c = newestOf(o, ephemeral.name);
    const need: Need = c === undefined
      ? endOnRecord(recordOf(pod, ephemeral.name)) === undefined
        ? { kind: "start", attempt: 0, backOff: 0, at: 0, run: 0 }
        : { kind: "nothing" }
      : c.state === "created"
      ? { kind: "discard", observed: c }
      : { kind: "nothing" };
    return { container: asContainer(ephemeral), need };
  });
}

/**
 * What a container spec says of an ephemeral container. Throws CreateContainerConfigError while the container whose
 * processes it is to see does not run.
 */
export function ephemeralOf(
  pod: Pod,
  name: string,
  o: ObservedPod,
): { ephemeral?: EphemeralContainer; targetId?: string } {
  const ephemeral = pod.spec?.ephemeralContainers?.find((e) => e.name === name);
  if (ephemeral === undefined) return {};
  const target = ephemeral.targetContainerName;
  if (!target) return { ephemeral };
  const c = newestOf(o, target);
  if (c?.state === "running") return { ephemeral, targetId: c.id };
  throw new AgentError(
    "CreateContainerConfigError",
    `unable to find target container ${target}: it does not run`,
  );
}
