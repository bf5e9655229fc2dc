/**
 * Where container logs lie: /var/log/pods/NAMESPACE_NAME_UID/CONTAINER/ATTEMPT.log, with the links that log shippers
 * follow in /var/log/containers. Source: the kubelet's kuberuntime. Not for: reading or rotating logs.
 */
import { basename, dirname, join } from "@std/path";
import type { ContainerSpec } from "../model/container.ts";
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

const linkName = (pod: string, namespace: string, container: string, id: string) =>
  `${pod}_${namespace}_${container}-${id}.log`;

export async function linkLog(host: Host, paths: LogPaths, spec: ContainerSpec, id: string): Promise<void> {
  const m = spec.sandbox.pod.metadata!;
  await host.mkdir(paths.containerLogsDir, 0o755);
  const link = join(paths.containerLogsDir, linkName(m.name!, m.namespace!, spec.container.name, id));
  await host.remove(link);
  await host.symlink(join(spec.sandbox.logDirectory, spec.logPath), link);
}

/** Removes the link of one container and, with `files`, its log with the rotated parts. */
export async function removeContainerLogs(
  host: Host,
  paths: LogPaths,
  pod: ObservedPod,
  c: ObservedContainer,
  files: boolean,
): Promise<void> {
  await host.remove(join(paths.containerLogsDir, linkName(pod.name, pod.namespace, c.name, c.id)));
  if (!files || c.logPath === "") return;
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
