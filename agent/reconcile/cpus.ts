/**
 * Moves what runs to other CPUs: the pool that containers share shrinks and grows with what others get of their own. Not
 * for: deciding who runs where (model/exclusive_cpus.ts).
 */
import type { StepResult } from "../model/memory.ts";
import type { Step } from "../model/plan.ts";
import { movedNote } from "./observe.ts";
import { type ApplyOptions, linuxOf, type PodRound, wishOf } from "./specs.ts";

type Move = Extract<Step, { kind: "updateCpus" }>;

/** A limit of CPU goes or comes with CPUs of its own, so the pod's cgroup makes room first. */
export async function updateCpus(
  o: ApplyOptions,
  round: PodRound,
  step: Move,
  signal: AbortSignal,
): Promise<StepResult> {
  const { pod } = wishOf(round, step.containers[0]!.name);
  await o.placement?.saved();
  await keepMoved(o, round, step);
  await o.cgroups.makeRoom(pod);
  for (const { name, id, cpus } of step.containers) {
    const { container } = wishOf(round, name);
    await o.runtime.updateContainerResources(id, { ...linuxOf(o, pod, container), cpus }, signal);
  }
  await o.cgroups.ensure(pod);
  return { kind: "cpus", given: step.containers };
}

/** Before they are, so that after a crash they are moved again: no runtime tells where a container runs. */
async function keepMoved(o: ApplyOptions, { uid, observed, memory }: PodRound, { containers }: Move) {
  const isMoved = (id: string) => memory.cpus.has(id) || containers.some((c) => c.id === id);
  const ids = observed.containers.map((c) => c.id).filter(isMoved);
  if (ids.some((id) => !memory.cpus.has(id))) await o.storage.keepNote(uid, movedNote, ids.sort().join(" "));
}
