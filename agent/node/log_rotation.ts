/**
 * Rotates the log files of running containers before they fill the disk: rename, let the runtime open a new one, keep so
 * many. Source: kubelet pkg/kubelet/logs/container_log_manager.go (names and limits). Not for: logs of pods that went
 * (reconcile/logs.ts), compressing.
 */
import { basename, dirname, join } from "@std/path";
import type { Host, Runtime } from "../ports.ts";
import type { ObservedContainer } from "../model/observed.ts";
import { errorText } from "../model/errors.ts";
import type { Log } from "../lib/log.ts";

export interface LogRotationOptions {
  host: Pick<Host, "stat" | "list" | "rename" | "remove" | "now" | "sleep">;
  runtime: Pick<Runtime, "observe" | "reopenContainerLog">;
  log: Log;
  /** Bytes. */
  maxSize: number;
  /** Files of one container, the current one included; at least 2. */
  maxFiles: number;
  everyMs: number;
}

/** `20261123-144400`, in UTC: the kubelet's suffix. */
const suffix = (ms: number) => new Date(ms).toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15);

/** The rotated files of a log that must go so that `keep` stay, oldest first. */
export function surplus(names: readonly string[], stem: string, keep: number): string[] {
  const rotated = names.filter((name) => name.startsWith(`${stem}.`)).sort();
  return rotated.slice(0, Math.max(0, rotated.length - keep));
}

export async function rotateLog(
  o: LogRotationOptions,
  c: ObservedContainer,
  signal: AbortSignal,
): Promise<void> {
  const found = await o.host.stat(c.logPath);
  // Renamed by an agent that did not live to say so: the runtime still writes into the renamed file.
  if (found === undefined) return await o.runtime.reopenContainerLog(c.id, signal);
  if (found.size < o.maxSize) return;
  const directory = dirname(c.logPath);
  const stem = basename(c.logPath);
  // Room first: the new one and the current one stay besides.
  for (const name of surplus(await o.host.list(directory) ?? [], stem, o.maxFiles - 2)) {
    await o.host.remove(join(directory, name));
  }
  const rotated = `${c.logPath}.${suffix(o.host.now())}`;
  await o.host.rename(c.logPath, rotated);
  try {
    await o.runtime.reopenContainerLog(c.id, signal);
  } catch (error) {
    // The runtime still writes into the renamed file: it gets its name back, and nothing is lost.
    await o.host.rename(rotated, c.logPath);
    throw error;
  }
}

export async function runLogRotation(o: LogRotationOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await o.host.sleep(o.everyMs, signal).catch(() => {});
    if (signal.aborted) return;
    const pods = await o.runtime.observe(undefined, signal).catch(() => []);
    for (const c of pods.flatMap((pod) => pod.containers)) {
      if (c.state !== "running" || c.logPath === "") continue;
      await rotateLog(o, c, signal).catch((error) =>
        o.log.warn("cannot rotate a container's log", { file: c.logPath, error: errorText(error) })
      );
    }
  }
}
