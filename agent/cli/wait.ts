/** Waiting until pods, or other objects, are as wished, and telling how it goes. Not for: making them so. */
import type { Problem } from "../model/errors.ts";
import { formatProblem } from "../model/errors.ts";
import type { Pod } from "../model/gen/v1.ts";
import { containerHash, podHash, sandboxHash } from "../model/hash.ts";
import { podKey } from "../model/wish.ts";
import type { ApiClient } from "./client.ts";
import { CommandError, type Flag, type ParsedArgs } from "./command.ts";
import type { Io } from "./io.ts";
import { nameOf } from "./output.ts";
import { humanDuration } from "./render/duration.ts";
import { podStatusText, readyText } from "./render/pods.ts";
import { createProgress } from "./render/progress.ts";

/** `waiting` with what is to be seen; `done`; or `failed` with why it never will be. */
export type Waiting = { state: "waiting" | "done" | "failed"; text: string };

const hashOf = (pod: Pod | undefined): string | undefined =>
  pod?.metadata?.annotations?.["kubernetes.io/config.hash"];

/** Ids of the containers that cannot stay when `before` becomes `wished`, by the rules the agent goes by. */
export function doomedContainers(before: Pod | undefined, wished: Pod): Set<string> {
  const doomed = new Set<string>();
  if (before === undefined) return doomed;
  const all = sandboxHash(before) !== sandboxHash(wished);
  for (const { name, containerID } of before.status?.containerStatuses ?? []) {
    const [old, next] = [before, wished].map((pod) => pod.spec?.containers.find((c) => c.name === name));
    const stays = !all && old !== undefined && next !== undefined &&
      containerHash(before, old) === containerHash(wished, next);
    if (!stays && containerID) doomed.add(containerID);
  }
  return doomed;
}

/**
 * Whether the pod that was applied is up: the agent has seen this version of it, and what ran for another version (of
 * the pod as it was `before`) runs no more.
 */
export function appliedPod(wished: Pod, before: Pod | undefined): Judge {
  const doomed = doomedContainers(before, wished);
  return (seen) => {
    if (seen === undefined || hashOf(seen) !== podHash(wished)) {
      return { state: "waiting", text: "not seen by the agent yet" };
    }
    const text = `${podStatusText(seen)} ${readyText(seen)}`;
    const { phase, conditions, containerStatuses = [] } = seen.status ?? {};
    if (containerStatuses.some(({ containerID }) => doomed.has(containerID ?? ""))) {
      return { state: "waiting", text: `being replaced, ${text}` };
    }
    if (phase === "Succeeded") return { state: "done", text };
    if (phase === "Failed") return { state: "failed", text };
    const ready = conditions?.some((c) => c.type === "Ready" && c.status === "True") ?? false;
    return { state: ready ? "done" : "waiting", text };
  };
}

export const deletedObject: Judge = (seen) =>
  seen === undefined ? { state: "done", text: "gone" } : { state: "waiting", text: podStatusText(seen) };

/** Of commands that can wait. */
export const waitFlags = (until: string): Flag[] => [
  { name: "wait", kind: "boolean", summary: until },
  { name: "timeout", kind: "duration", placeholder: "2m", summary: "how long --wait waits (default 2m)" },
];

export const waitMs = (args: ParsedArgs): number => args.duration("timeout") ?? 120_000;

/** What the agent shows. Other kinds have a part of what a pod has: metadata, and of the status a phase or conditions. */
export type Judge = (seen: Pod | undefined) => Waiting;

export interface WaitFor {
  /** By `namespace/name`; of kinds without namespaces, too. */
  objects: ReadonlyMap<string, Judge>;
  /** Absent: pods. */
  of?: { path: string; kind: string };
  timeoutMs: number;
}

interface Line {
  type: string;
  object: Pod;
}

const shortKey = (key: string) => key.replace(/^default\//, "");

/** True when all are done. Shows each change on standard error. */
export async function waitFor(
  { objects, of = { path: "/pods", kind: "Pod" }, timeoutMs }: WaitFor,
  client: ApiClient,
  io: Io,
): Promise<boolean> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([io.signal, timeout]);
  const progress = createProgress(io);
  const seen = new Map<string, Pod>();
  const startedAt = io.now();
  const judge = () => [...objects].map(([key, test]) => ({ key, ...test(seen.get(key)) }));
  try {
    const path = `${of.path}?watch=true&sendInitialEvents=true`;
    let complete = false;
    for await (const { type, object } of client.lines<Line>(path, undefined, signal)) {
      // Before the mark, that a pod was not told of does not mean that it is gone.
      if (type === "BOOKMARK") complete = true;
      else if (type === "DELETED") seen.delete(podKey(object));
      else seen.set(podKey(object), object);
      if (!complete) continue;
      const all = judge();
      await progress(all.map(({ key, text }) => `${nameOf(of.kind, shortKey(key))}: ${text}`));
      if (all.every(({ state }) => state !== "waiting")) return all.every(({ state }) => state === "done");
    }
  } catch (error) {
    if (!timeout.aborted) throw error;
  }
  if (io.signal.aborted) throw new CommandError("interrupted");
  if (!timeout.aborted) throw new CommandError("the agent stopped while it was waited for");
  await explain(new Set([...objects.keys()].map(shortKey)), of.kind, client, io);
  const left = judge().filter(({ state }) => state === "waiting")
    .map(({ key, text }) => [`${key} (${text})`, ...waitingMessages(seen.get(key))].join(": "));
  throw new CommandError(`not there after ${humanDuration(io.now() - startedAt)}: ${left.join(", ")}`);
}

/** What the containers that do not run say of it. */
function waitingMessages(seen: Pod | undefined): string[] {
  const statuses = [...seen?.status?.initContainerStatuses ?? [], ...seen?.status?.containerStatuses ?? []];
  return [...new Set(statuses.flatMap(({ state }) => state?.waiting?.message ?? []))];
}

/** The problems that the agent sees in what was waited for. */
async function explain(keys: Set<string>, kind: string, client: ApiClient, io: Io): Promise<void> {
  const { items } = await client.get<{ items: Problem[] }>("/problems", io.signal);
  for (const problem of items) {
    const [ofKind, key = ""] = (problem.object ?? "").split(" ");
    if (ofKind === kind && keys.has(shortKey(key))) await io.err(formatProblem(problem) + "\n");
  }
}
