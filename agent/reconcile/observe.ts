/**
 * Reads the world for one pod: what the runtime reports, what lies on the node's disk. Not for: judging
 * it, or what containers have said (last_words.ts).
 */
import { join } from "@std/path";
import { parseGiven } from "../model/resize.ts";
import type { Networks } from "../plugin_ports.ts";
import type { Host, Runtime, Storage } from "../ports.ts";
import { emptyObservation, type ObservedPod } from "../model/observed.ts";
import { parseEnd } from "../model/end.ts";
import type { Memory } from "../model/plan.ts";
import type { PodSource } from "../model/wish.ts";
import { postStartNote } from "./hooks.ts";
import { hasPodLogs, type LogPaths } from "./logs.ts";

export interface ObserveOptions {
  host: Host;
  runtime: Runtime;
  storage: Storage;
  networks: Pick<Networks, "attached">;
  logs: LogPaths;
  rootDir: string;
}

export interface PodIdentity {
  uid: string;
  namespace: string;
  name: string;
  /** Who wanted it, where that is known. */
  source?: PodSource;
}

/** `leaving`: the pod is to be removed, so what is left on disk counts too. */
export async function observePod(
  o: ObserveOptions,
  id: PodIdentity,
  leaving: boolean,
  signal: AbortSignal,
): Promise<ObservedPod> {
  const [seen] = await o.runtime.observe(id.uid, signal);
  const found = seen ?? emptyObservation(id.uid, id.namespace, id.name);
  const sandboxes = found.sandboxes.map(async (sandbox) => {
    const networks = await o.networks.attached(sandbox.id);
    return networks.length === 0 ? sandbox : { ...sandbox, networks };
  });
  const observed = { ...found, sandboxes: await Promise.all(sandboxes) };
  if (!leaving) return observed;
  const directory = await o.host.lstat(join(o.rootDir, "pods", id.uid));
  return { ...observed, hasDirectory: directory !== undefined || await hasPodLogs(o.host, o.logs, id.uid) };
}

/** Name of the note on what the pod as a whole was given in place. */
export const podResourcesNote = "resources";

/** Name of the note on containers, by id, that no longer run on the CPUs on which they were created. */
export const movedNote = "cpus";

/** Name of the note on what probes have said. */
export const probesNote = "probes";

/** What an earlier run of the agent knew of the pod and the runtime cannot tell. */
export async function recall(
  storage: Storage,
  observed: ObservedPod,
): Promise<Pick<Memory, "resources" | "cpus" | "end" | "postStart"> & { probes: string | undefined }> {
  const running = observed.containers.filter((c) => c.state === "running");
  const [notes, ...given] = await Promise.all([
    storage.notes(observed.uid),
    ...running.map((c) => storage.keptResources(observed.uid, c.name)),
  ]);
  const resources = new Map(
    given.flatMap((k) => k !== undefined && running.some((c) => c.id === k.id) ? [[k.id, k.text]] : []),
  );
  const pod = parseGiven(notes.get(podResourcesNote));
  if (pod !== undefined) resources.set(pod.id, pod.text);
  const hooked = running.filter((c) => notes.get(postStartNote(c.name)) === c.id);
  const postStart = new Map(hooked.map((c) => [c.id, { kind: "pending" } as const]));
  const moved = new Set((notes.get(movedNote) ?? "").split(" "));
  const cpus = new Map(running.filter((c) => moved.has(c.id)).map((c) => [c.id, ""]));
  return { resources, cpus, end: parseEnd(notes.get("end")), postStart, probes: notes.get(probesNote) };
}
