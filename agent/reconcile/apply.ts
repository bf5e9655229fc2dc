/**
 * Does what a plan says: one switch from step to port calls, one outcome per step. Not for: deciding anything.
 */
import { laneOf, type Step } from "../model/plan.ts";
import { nothing, type StepOutcome, type StepResult } from "../model/memory.ts";
import { AgentError, errorText } from "../model/errors.ts";
import { updateCpus } from "./cpus.ts";
import { updateResources } from "./resize.ts";
import type { IdRange } from "../model/user_namespace.ts";
import { volumesHash } from "../model/volumes_hash.ts";
import { ensureImage } from "./images.ts";
import { beginPreStop, type HookPlace, postStartNote, runPostStart, stopContainer } from "./hooks.ts";
import { linkLog, podLogDirectory, removeContainerLogs, removePodLogs } from "./logs.ts";
import { type ApplyOptions, containerSpec, environmentOf, type PodRound, wishOf } from "./specs.ts";
import { attachNetworks } from "./networks.ts";
import { checkFeatures, sandboxSpec, wantedHandler } from "./sandbox.ts";

export type { ApplyOptions, NodeFacts, PodRound } from "./specs.ts";

/** Steps of one lane in order, all else at once. `abandon` cancels what may wait long: pulls and graceful stops. */
export async function applySteps(
  o: ApplyOptions,
  round: PodRound,
  steps: readonly Step[],
  abandon: AbortSignal,
): Promise<StepOutcome[]> {
  const lanes = new Map<string | Step, Step[]>();
  for (const step of steps) {
    const lane = laneOf(step) ?? step;
    lanes.set(lane, [...(lanes.get(lane) ?? []), step]);
  }
  const results = await Promise.all([...lanes.values()].map(async (lane) => {
    const outcomes: StepOutcome[] = [];
    for (const step of lane) outcomes.push(await applyStep(o, round, step, abandon));
    return outcomes;
  }));
  return results.flat();
}

async function applyStep(
  o: ApplyOptions,
  round: PodRound,
  step: Step,
  abandon: AbortSignal,
): Promise<StepOutcome> {
  const begun = o.host.monotonic();
  const took = () => ({ step, tookMs: o.host.monotonic() - begun });
  try {
    const result = await effectOf(o, round, step, abandon);
    return { ...took(), ok: true, result };
  } catch (error) {
    if (abandon.aborted) {
      return { ...took(), ok: false, reason: "Aborted", message: "a newer wish took over" };
    }
    const reason = error instanceof AgentError ? error.reason : "Unknown";
    recordFailure(round, step, reason, errorText(error));
    return { ...took(), ok: false, reason, message: errorText(error) };
  }
}

const never = (step: never): never => {
  throw new Error(`unknown step ${JSON.stringify(step)}`);
};

async function effectOf(
  o: ApplyOptions,
  round: PodRound,
  step: Step,
  abandon: AbortSignal,
): Promise<StepResult> {
  const short = AbortSignal.timeout(180_000);
  switch (step.kind) {
    case "publishVolumes":
      return await publishVolumes(o, round, short);
    case "sweepVolumes": {
      const mounted = round.observed.containers.filter((c) => c.state === "running")
        .flatMap((c) => c.volumeMounts ?? []);
      await o.storage.sweep(round.desired!, mounted, short);
      return nothing;
    }
    case "runSandbox":
      return await runSandbox(o, round, step, short);
    case "attachNetworks":
      await attachNetworks(o, round, step.sandboxId, short);
      return nothing;
    case "detachNetworks":
      await o.networks.detach(step.sandboxId, short);
      return nothing;
    case "stopSandbox":
      await o.runtime.stopPodSandbox(step.sandboxId, short);
      return nothing;
    case "removeSandbox":
      return await removeSandbox(o, round, step, short);
    case "ensureImage": {
      const request = { ...wishOf(round, step.container), attempt: step.attempt, record: round.record };
      environmentOf(o, round, step.container, []); // what it names must be there before anything else is tried
      return { kind: "image", image: await ensureImage(o.images, request, abandon) };
    }
    case "runContainer":
      return await runContainer(o, round, step, short, abandon);
    case "stopContainer":
      tellStop(round, step);
      return await stopContainer(o, hookPlace(o, round, step.containerId), step, abandon);
    case "preStop":
      tellStop(round, step);
      beginPreStop(o, hookPlace(o, round, step.containerId), step, step.hook, abandon);
      return nothing;
    case "postStart":
      return await runPostStart(o, hookPlace(o, round, step.containerId), step, abandon);
    case "removeContainer":
      return await removeContainer(o, round, step.containerId, short);
    case "updateResources":
      return await updateResources(o, round, step, short);
    case "updateCpus":
      return await updateCpus(o, round, step, short);
    case "keepEnd":
      await o.storage.claim(round.uid);
      await o.storage.keepNote(round.uid, "end", step.end && JSON.stringify(step.end));
      if (step.end !== undefined && step.told !== true) {
        round.record("Warning", step.end.reason, step.end.message);
      }
      return nothing;
    case "reportEnd":
      await o.reports?.told(round.uid, abandon);
      return nothing;
    case "clearVolumes":
      await o.storage.clear(round.uid, short);
      return nothing;
    case "removePod":
      await removePodLogs(o.host, o.node, round.uid);
      await o.cgroups.remove(round.uid);
      // Last: without its directory nobody would know that there is something left of the pod.
      await o.storage.remove(round.uid, short);
      return nothing;
    default:
      return never(step);
  }
}

function hookPlace(o: ApplyOptions, round: PodRound, id: string): HookPlace {
  const { sandboxes, containers } = round.observed;
  const sandbox = sandboxes.find((s) => s.id === containers.find((c) => c.id === id)?.sandboxId);
  const podIP = sandbox?.ips[0] ?? o.node.hostIPs[0];
  return { uid: round.uid, podIP, record: round.record, preStops: round.preStops };
}

/** Once: with its hook, where it has one. After a failed probe in the kubelet's words, of what becomes of the container. */
function tellStop(round: PodRound, step: Extract<Step, { kind: "stopContainer" | "preStop" }>): void {
  const { container, containerId, why } = step;
  if (round.memory.preStopped.has(containerId)) return;
  const probe = step.kind === "stopContainer" ? step.probe : undefined;
  const text = probe === undefined
    ? `Stopping container ${container}: ${why}`
    : `Container ${container} failed ${probe.kind} probe${probe.restarts ? ", will be restarted" : ""}`;
  round.record("Normal", "Killing", text, container);
}

const failureReasons: Partial<Record<Step["kind"], string>> = {
  publishVolumes: "FailedMount",
  runSandbox: "FailedCreatePodSandBox",
  attachNetworks: "FailedCreatePodSandBox",
  detachNetworks: "FailedKillPod",
  runContainer: "Failed",
  stopSandbox: "FailedKillPod",
  removePod: "FailedRemovePod",
};

function recordFailure(round: PodRound, step: Step, reason: string, message: string) {
  const eventReason = failureReasons[step.kind];
  if (eventReason === undefined) return;
  const container = "container" in step ? step.container : undefined;
  round.record(
    "Warning",
    eventReason,
    container === undefined ? message : `Error: ${reason}: ${message}`,
    container,
  );
}

async function publishVolumes(o: ApplyOptions, round: PodRound, signal: AbortSignal): Promise<StepResult> {
  const pod = round.desired!;
  const published = await o.storage.publish(pod, round.objects, signal);
  round.published.clear();
  for (const [name, volume] of published) round.published.set(name, volume);
  return {
    kind: "volumes",
    hash: volumesHash(pod.pod, round.objects),
    stale: await o.storage.isStale(pod),
  };
}

async function runSandbox(
  o: ApplyOptions,
  round: PodRound,
  { attempt, since }: Extract<Step, { kind: "runSandbox" }>,
  signal: AbortSignal,
): Promise<StepResult> {
  const directory = podLogDirectory(o.node.podLogsDir, round.desired!.pod);
  const handler = wantedHandler(round);
  await checkFeatures(o, round.desired!.pod, handler, signal);
  await o.storage.claim(round.uid);
  const make = async (userNamespace?: IdRange) => {
    const of = { attempt, podStart: since, runtimeHandler: handler, ...(userNamespace && { userNamespace }) };
    const [spec] = await Promise.all([sandboxSpec(o, round, of), o.host.mkdir(directory, 0o755)]);
    await o.runtime.runPodSandbox(spec, signal);
  };
  const own = round.desired!.pod.spec?.hostUsers === false;
  await (own ? o.userNamespaces.withRange(round.uid, make, signal) : make());
  return nothing;
}

async function removeSandbox(
  o: ApplyOptions,
  round: PodRound,
  step: Extract<Step, { kind: "removeSandbox" }>,
  signal: AbortSignal,
): Promise<StepResult> {
  for (const id of step.containerIds) await removeContainer(o, round, id, signal, step.logs);
  await o.runtime.removePodSandbox(step.sandboxId, signal);
  return nothing;
}

async function removeContainer(
  o: ApplyOptions,
  round: PodRound,
  id: string,
  signal: AbortSignal,
  logs = true,
): Promise<StepResult> {
  const c = round.observed.containers.find((c) => c.id === id);
  // First, while a crash still leaves the container that tells of them.
  if (c !== undefined) await removeContainerLogs(o.host, o.node, round.observed, c, logs);
  await o.runtime.removeContainer(id, signal);
  return nothing;
}

async function runContainer(
  o: ApplyOptions,
  round: PodRound,
  step: Extract<Step, { kind: "runContainer" }>,
  signal: AbortSignal,
  abandon: AbortSignal,
): Promise<StepResult> {
  const spec = await containerSpec(o, round, step, signal, abandon);
  const id = await o.runtime.createContainer(spec, signal);
  round.record("Normal", "Created", `Created container ${step.container}`, step.container);
  const hooked = spec.container.lifecycle?.postStart !== undefined;
  if (hooked) await o.storage.keepNote(round.uid, postStartNote(step.container), id);
  await startContainer(o, round, { name: step.container, id, attempt: step.attempt }, signal);
  return { kind: "postStart", containerId: id, hook: hooked ? { kind: "pending" } : undefined };
}

async function startContainer(
  o: ApplyOptions,
  round: PodRound,
  c: { name: string; id: string; attempt: number },
  signal: AbortSignal,
) {
  // Before the start, so that no crash leaves a running container without its link; a link is not worth a failed start.
  await linkLog(o.host, o.node, wishOf(round, c.name).pod.pod, c).catch((error) =>
    round.record("Warning", "FailedLogLink", `No link to the log: ${errorText(error)}`, c.name)
  );
  await o.runtime.startContainer(c.id, signal);
  round.record("Normal", "Started", `Started container ${c.name}`, c.name);
}
