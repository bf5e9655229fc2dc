/** `agent kubelet`, or being called as `kubelet`: the agent in the kubelet's place, by its flags and with its defaults. */
import { KUBERNETES_VERSION } from "../model/kubernetes_version.ts";
import type { Command } from "./command.ts";
import type { Io } from "./io.ts";

export const kubeletCommand = (io: Io): Command => ({
  name: "kubelet",
  summary: "Run in the kubelet's place: its flags, its defaults",
  details:
    "For what starts a kubelet by itself, such as kubeadm: a link named kubelet to this program is enough. What `agent " +
    "join` has left does not count here; `agent run` goes by it.",
  arguments: [],
  flags: [
    {
      name: "version",
      kind: "boolean",
      summary: "print the version of Kubernetes whose kubelet this stands in for",
    },
    ...io.run.flags,
  ],
  examples: [
    { does: "In the kubelet's place", line: "ln -s /usr/local/bin/agent /usr/bin/kubelet" },
    {
      does: "As kubeadm's drop-in for systemd starts it",
      line: "agent kubelet --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml",
    },
  ],
  async run(args) {
    if (!args.is("version")) return await io.run.asKubelet(args);
    await io.out(`Kubernetes ${KUBERNETES_VERSION}\n`);
    return 0;
  },
});
