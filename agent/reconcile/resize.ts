/**
 * Changes resources of what runs: the pod's cgroup makes room before a container grows, and shrinks only after the
 * containers have. Not for: deciding that something is to change (model/resize.ts).
 */
import { AgentError, errorText } from "../model/errors.ts";
import type { Container } from "../model/gen/v1.ts";
import type { StepResult } from "../model/memory.ts";
import type { Step } from "../model/plan.ts";
import { podMemoryLimit } from "../model/pod_cgroup.ts";
import { podGivenText, resizeText } from "../model/resize.ts";
import type { DesiredPod } from "../model/wish.ts";
import { type ApplyOptions, linuxOf, type PodRound } from "./specs.ts";
import { podResourcesNote } from "./observe.ts";

type Resize = Extract<Step, { kind: "updateResources" }>;

interface Part {
  container: Container;
  id: string;
}

export async function updateResources(
  o: ApplyOptions,
  round: PodRound,
  step: Resize,
  signal: AbortSignal,
): Promise<StepResult> {
  const desired = round.desired;
  if (desired === undefined) throw new AgentError("Aborted", "the pod is not wanted");
  const { pod } = desired;
  const all = [...pod.spec?.initContainers ?? [], ...pod.spec?.containers ?? []];
  const parts = step.containers.flatMap(({ name, id }): Part[] =>
    all.filter((c) => c.name === name).map((container) => ({ container, id }))
  );
  try {
    await refuseBelowUsage(o, desired, parts, signal);
    round.record("Normal", "ResizeStarted", `Pod resize started: ${resizeText(pod)}`);
    const given = await give(o, desired, parts, step.sandboxId, signal);
    round.record("Normal", "ResizeCompleted", `Pod resize completed: ${resizeText(pod)}`);
    return { kind: "resources", given };
  } catch (error) {
    round.record("Warning", "ResizeError", `Pod resize error: ${resizeText(pod, errorText(error))}`);
    throw error;
  }
}

async function give(
  o: ApplyOptions,
  desired: DesiredPod,
  parts: readonly Part[],
  sandboxId: string,
  signal: AbortSignal,
): Promise<[id: string, text: string][]> {
  const { pod, uid } = desired;
  const keep = async (text: (container: Container) => string) => {
    for (const { container, id } of parts) {
      await o.storage.keepResources(uid, container.name, { id, text: text(container) });
    }
  };
  const textOf = (container: Container) => JSON.stringify(container.resources ?? {});
  await keep(() => "");
  await o.cgroups.makeRoom(desired);
  for (const { container, id } of parts) {
    await o.runtime.updateContainerResources(id, linuxOf(o, desired, container), signal);
  }
  await o.cgroups.ensure(desired);
  await keep(textOf);
  const text = podGivenText(pod);
  await o.storage.keepNote(uid, podResourcesNote, JSON.stringify({ id: sandboxId, text }));
  return [[sandboxId, text], ...parts.map(({ container, id }): [string, string] => [id, textOf(container)])];
}

/** The kernel would take the memory by force: nothing changes until there is less of it in use. */
async function refuseBelowUsage(
  o: ApplyOptions,
  desired: DesiredPod,
  parts: readonly Part[],
  signal: AbortSignal,
): Promise<void> {
  const below: string[] = [];
  const check = (what: string, limit: number | undefined, used: number | undefined) => {
    if (limit === undefined || used === undefined || used <= limit) return;
    below.push(`attempting to set ${what} memory limit (${limit}) below current usage (${used})`);
  };
  const limit = podMemoryLimit(desired.pod);
  if (limit !== undefined) check("pod", limit, (await o.cgroups.usage(desired))?.memory);
  const limited = parts.map(({ container, id }) => {
    const { memoryLimit } = linuxOf(o, desired, container);
    return { name: container.name, id, memoryLimit };
  }).filter(({ memoryLimit }) => memoryLimit !== undefined);
  const stats = limited.length === 0 ? [] : await o.runtime.stats(signal);
  for (const { name, id, memoryLimit } of limited) {
    check(`container "${name}"`, memoryLimit, stats.find((s) => s.id === id)?.memory);
  }
  if (below.length === 0) return;
  const list = below.length === 1 ? below[0] : `[${below.join(", ")}]`;
  throw new AgentError("Unknown", `cannot decrease memory limits: ${list}`);
}
