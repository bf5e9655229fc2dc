/**
 * Where container logs lie: /var/log/pods/NAMESPACE_NAME_UID/CONTAINER/ATTEMPT.log, with the links that log shippers
 * follow in /var/log/containers. Source: the kubelet's kuberuntime. Not for: reading or rotating logs.
 */
import { basename, dirname, join, normalize } from "@std/path";
import type { Pod } from "../model/gen/v1.ts";
import type { ObservedContainer, ObservedPod } from "../model/observed.ts";
import type { Host } from "../ports.ts";

export interface LogPaths {
  podLogsDir: string;
  containerLogsDir: string;
}

export const podLogDirectory = (podLogsDir: string, pod: Pod): string => {
  const m = pod.metadata!;
  return join(podLogsDir, `${m.namespace}_${m.name}_${m.uid}`);
};

/** Below the pod's log directory. */
export const containerLogPath = (container: string, attempt: number): string => `${container}/${attempt}.log`;

/** A file name on ext4 has at most 255 bytes. */
const maxLinkStem = 255 - ".log".length;

export const logLinkName = (pod: string, namespace: string, container: string, id: string): string =>
  `${`${pod}_${namespace}_${container}-${id}`.slice(0, maxLinkStem)}.log`;

/** Replaces what has the name; the log itself may come later. */
export async function linkLog(
  host: Host,
  paths: LogPaths,
  pod: Pod,
  c: { name: string; id: string; attempt: number },
): Promise<void> {
  const m = pod.metadata!;
  await host.mkdir(paths.containerLogsDir, 0o755);
  const link = join(paths.containerLogsDir, logLinkName(m.name!, m.namespace!, c.name, c.id));
  await host.remove(link);
  await host.symlink(join(podLogDirectory(paths.podLogsDir, pod), containerLogPath(c.name, c.attempt)), link);
}

/** Removes the link of one container and, with `files`, its log with the rotated parts. */
export async function removeContainerLogs(
  host: Host,
  paths: LogPaths,
  pod: ObservedPod,
  c: ObservedContainer,
  files: boolean,
): Promise<void> {
  await host.remove(join(paths.containerLogsDir, logLinkName(pod.name, pod.namespace, c.name, c.id)));
  // The path is the runtime's word: nothing outside the pods' logs is removed for it.
  if (!files || !normalize(c.logPath).startsWith(join(paths.podLogsDir, "/"))) return;
  const directory = dirname(c.logPath);
  const stem = basename(c.logPath);
  for (const name of await host.list(directory) ?? []) {
    if (name === stem || name.startsWith(`${stem}.`)) await host.remove(join(directory, name));
  }
}

/** Removes the log directory of a pod, found by its uid, and every link into it. */
export async function removePodLogs(host: Host, paths: LogPaths, uid: string): Promise<void> {
  const directories = (await host.list(paths.podLogsDir) ?? []).filter((name) => name.endsWith(`_${uid}`));
  if (directories.length === 0) return;
  for (const name of await host.list(paths.containerLogsDir) ?? []) {
    const link = join(paths.containerLogsDir, name);
    const target = await host.readlink(link);
    if (target !== undefined && directories.some((d) => target.startsWith(join(paths.podLogsDir, d) + "/"))) {
      await host.remove(link);
    }
  }
  for (const name of directories) await host.removeTree(join(paths.podLogsDir, name));
}

export async function hasPodLogs(host: Host, paths: LogPaths, uid: string): Promise<boolean> {
  return (await host.list(paths.podLogsDir) ?? []).some((name) => name.endsWith(`_${uid}`));
}
