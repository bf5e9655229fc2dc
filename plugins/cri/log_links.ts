/**
 * The links that log shippers read: DIR/POD_NAMESPACE_CONTAINER-ID.log → the container's log, named as the kubelet
 * names them (kubernetes pkg/kubelet/kuberuntime/legacy.go). Not for: the logs themselves.
 */
import { CONTAINER_NAME, POD_NAME, POD_NAMESPACE } from "./labels.ts";

/** A file name on ext4 has at most 255 bytes. */
const MAX_NAME = 255 - ".log".length;

export function logLinkName(labels: Record<string, string>, id: string): string {
  const name = `${labels[POD_NAME]}_${labels[POD_NAMESPACE]}_${labels[CONTAINER_NAME]}-${id}`;
  return `${name.slice(0, MAX_NAME)}.log`;
}

/** Replaces what has the name. Throws when the directory is missing or not writable. */
export async function publishLogLink(directory: string, name: string, logPath: string): Promise<void> {
  await removeLogLink(directory, name);
  await Deno.symlink(logPath, `${directory}/${name}`);
}

export async function removeLogLink(directory: string, name: string): Promise<void> {
  try {
    await Deno.remove(`${directory}/${name}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
