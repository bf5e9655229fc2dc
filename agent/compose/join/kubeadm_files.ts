/**
 * What kubeadm leaves of a join, so that its `upgrade node` and `reset` find on a host that `agent join` made a node what
 * they look for. The agent goes by none of it. Source: kubeadm's phases kubelet-start and upgrade node (v1.33 to v1.36).
 * Not for: the cluster's configuration, which both write (joined.ts).
 */
import type { joinPlaces } from "./joined.ts";

export interface KubeadmFile {
  path: string;
  text: string;
}

/** @param socket Path of the runtime's. @param args Flags for this node's kubelet alone, with their values. */
export function kubeadmFiles(
  places: ReturnType<typeof joinPlaces>,
  socket: string,
  args: ReadonlyMap<string, readonly string[]>,
): KubeadmFile[] {
  const flags = [...args].flatMap(([name, values]) => values.map((value) => `--${name}=${value}`));
  return [
    { path: places.kubeadmFlags, text: `KUBELET_KUBEADM_ARGS=${JSON.stringify(flags.join(" "))}\n` },
    {
      path: places.instanceConfig,
      text: `containerRuntimeEndpoint: ${JSON.stringify(`unix://${socket}`)}\n`,
    },
  ];
}
