/**
 * What ended containers have left to say: their message, or the end of their log where the policy is
 * FallbackToLogsOnError. Not for: the limits (model/termination.ts) or where messages lie (the Storage port).
 */
import { join, normalize } from "@std/path";
import { readEnd } from "../lib/file_end.ts";
import { errorText } from "../model/errors.ts";
import type { Pod } from "../model/gen/v1.ts";
import type { ObservedContainer, ObservedPod } from "../model/observed.ts";
import { fallsBack, lastLines, logEnd } from "../model/termination.ts";
import type { Host, Storage } from "../ports.ts";
import type { LogPaths } from "./logs.ts";

export interface LastWordsOptions {
  host: Pick<Host, "lstat" | "openFile">;
  storage: Pick<Storage, "terminationMessage">;
  logs: Pick<LogPaths, "podLogsDir">;
}

/** By container id; of those that are known already nothing is read again. */
export async function readLastWords(
  o: LastWordsOptions,
  pod: Pod | undefined,
  observed: ObservedPod,
  known: ReadonlyMap<string, string>,
): Promise<Map<string, string>> {
  const words = new Map<string, string>();
  for (const c of observed.containers) {
    if (c.state === "exited") words.set(c.id, known.get(c.id) ?? await wordsOf(o, pod, observed.uid, c));
  }
  return words;
}

async function wordsOf(
  o: LastWordsOptions,
  pod: Pod | undefined,
  uid: string,
  c: ObservedContainer,
): Promise<string> {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod?.spec ?? {};
  const all = [...initContainers, ...containers, ...ephemeralContainers];
  const container = all.find(({ name }) => name === c.name);
  try {
    const own = await o.storage.terminationMessage(uid, c.name, c.attempt) ?? "";
    return own === "" && fallsBack(container, c.exitCode) ? await endOfLog(o, c.logPath) : own;
  } catch (error) {
    return `Error on reading termination message: ${errorText(error)}`;
  }
}

/** The path is the runtime's word: nothing outside the pods' logs is read for it. */
async function endOfLog(o: LastWordsOptions, path: string): Promise<string> {
  if (!normalize(path).startsWith(join(o.logs.podLogsDir, "/"))) return "";
  const end = await readEnd(o.host, path, logEnd);
  return end === undefined ? "" : lastLines(end.bytes);
}
