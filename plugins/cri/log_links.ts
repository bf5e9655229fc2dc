/**
 * The links that log shippers read: DIR/POD_NAMESPACE_CONTAINER-ID.log → the container's log, named as the kubelet
 * names them (kubernetes pkg/kubelet/kuberuntime/legacy.go). Not for: the logs themselves.
 */
import type { ContainerSpec } from "../../agent/model/container.ts";
import { type RuntimeClient, within } from "./client.ts";
import { CONTAINER_NAME, containerLabels, POD_NAME, POD_NAMESPACE } from "./labels.ts";

/** A file name on ext4 has at most 255 bytes. */
const MAX_NAME = 255 - ".log".length;

export function logLinkName(labels: Record<string, string>, id: string): string {
  const name = `${labels[POD_NAME]}_${labels[POD_NAMESPACE]}_${labels[CONTAINER_NAME]}-${id}`;
  return `${name.slice(0, MAX_NAME)}.log`;
}

/** Replaces what has the name. Throws when the directory is missing or not writable. */
async function publishLogLink(directory: string, name: string, logPath: string): Promise<void> {
  await removeLogLink(directory, name);
  await Deno.symlink(logPath, `${directory}/${name}`);
}

async function removeLogLink(directory: string, name: string): Promise<void> {
  try {
    await Deno.remove(`${directory}/${name}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Links appear with the start of a container and go with it. @param directory `undefined` makes no links */
export function createLogLinks(client: RuntimeClient, directory: string | undefined) {
  const prepared = new Map<string, { name: string; logPath: string }>();
  const ask = async (id: string, signal: AbortSignal) => {
    const { status } = await client.containerStatus({ containerId: id }, within(signal));
    return { name: logLinkName(status?.labels ?? {}, id), logPath: status?.logPath ?? "" };
  };
  return {
    prepare(id: string, spec: ContainerSpec, instance: string): void {
      if (directory === undefined) return;
      const logPath = `${spec.sandbox.logDirectory}/${spec.logPath}`;
      prepared.set(id, { name: logLinkName(containerLabels(spec, instance), id), logPath });
    },
    async publish(id: string, signal: AbortSignal): Promise<void> {
      if (directory === undefined) return;
      const { name, logPath } = prepared.get(id) ?? await ask(id, signal);
      prepared.delete(id);
      // The container runs: a directory that is missing or read-only must not make its start fail.
      if (logPath !== "") await publishLogLink(directory, name, logPath).catch(() => {});
    },
    /** The runtime removes the containers that a sandbox still has. */
    async removeOfSandbox(podSandboxId: string, signal: AbortSignal): Promise<void> {
      if (directory === undefined) return;
      const { containers } = await client.listContainers({ filter: { podSandboxId } }, within(signal));
      for (const { id, labels } of containers) {
        prepared.delete(id);
        await removeLogLink(directory, logLinkName(labels, id));
      }
    },
    async remove(id: string, signal: AbortSignal): Promise<void> {
      if (directory === undefined) return;
      const { name } = prepared.get(id) ?? await ask(id, signal);
      prepared.delete(id);
      await removeLogLink(directory, name);
    },
  };
}
