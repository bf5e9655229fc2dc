/** Attaches a sandbox to the further networks of its pod, and tells of it. Not for: which they are (model/networks.ts). */
import { AgentError } from "../model/errors.ts";
import { wantedNetworks } from "../model/networks.ts";
import type { ApplyOptions, PodRound } from "./specs.ts";

/** Throws CreatePodSandboxError. */
export async function attachNetworks(
  o: ApplyOptions,
  round: PodRound,
  sandboxId: string,
  signal: AbortSignal,
): Promise<void> {
  const { namespace = "default", name = "" } = round.desired!.pod.metadata ?? {};
  const wanted = wantedNetworks(round.desired!.pod, round.objects);
  if ("message" in wanted) throw new AgentError("CreatePodSandboxError", wanted.message);
  const netns = await o.runtime.networkNamespace(sandboxId, signal);
  if (netns === undefined) {
    throw new AgentError(
      "CreatePodSandboxError",
      "the runtime does not tell the sandbox's network namespace",
    );
  }
  const place = { sandboxId, netns, pod: { namespace, name, uid: round.uid } };
  for (const n of await o.networks.attach(place, wanted, signal)) {
    const addresses = n.ips.length === 0 ? "" : ` [${n.ips.join(" ")}]`;
    round.record("Normal", "AddedInterface", `Add ${n.ifname}${addresses} from ${n.name}`);
  }
}
