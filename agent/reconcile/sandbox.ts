/** What a sandbox is made with, gathered from the pod and the node. Not for: making it (apply.ts). */
import type { SandboxSpec } from "../model/container.ts";
import { AgentError } from "../model/errors.ts";
import type { Pod } from "../model/gen/v1.ts";
import { kernelHostname } from "../model/hosts.ts";
import { wantedSandboxHash } from "../model/need.ts";
import { runtimeClassProblem, runtimeHandlerOf } from "../model/runtime_class.ts";
import type { ApplyOptions, PodRound } from "./specs.ts";
import { podLogDirectory } from "./logs.ts";

/** Throws CreatePodSandboxError while the pod's class cannot be had. */
export function wantedHandler({ desired, objects }: PodRound): string {
  const handler = runtimeHandlerOf(desired!.pod);
  if (handler !== undefined) return handler;
  const why = runtimeClassProblem(desired!.pod, objects.runtimeClasses);
  const name = desired!.pod.spec?.runtimeClassName ?? "";
  const message = why === undefined
    ? "the class was just described"
    : desired!.source === "api"
    ? `failed to get RuntimeClass "${name}": runtimeclass.node.k8s.io "${name}" not found`
    : `${why.field}: ${why.message}`;
  throw new AgentError("CreatePodSandboxError", `failed to get sandbox runtime: ${message}`);
}

/** Throws CreatePodSandboxError when the pod asks for what the runtime does not have, which it would leave out in silence. */
export async function checkFeatures(
  o: ApplyOptions,
  { spec }: Pod,
  handler: string,
  signal: AbortSignal,
): Promise<void> {
  const strict = spec?.securityContext?.supplementalGroupsPolicy === "Strict";
  if (!strict && spec?.hostUsers !== false) return;
  const { supplementalGroupsPolicy, userNamespaceHandlers } = await o.runtime.status(signal);
  if (strict && !supplementalGroupsPolicy) {
    throw new AgentError(
      "CreatePodSandboxError",
      "SupplementalGroupsPolicy=Strict is not supported in this node: the container runtime lacks it",
    );
  }
  if (spec?.hostUsers !== false || userNamespaceHandlers.includes(handler)) return;
  const who = handler === "" ? "runtime" : `RuntimeClass handler ${JSON.stringify(handler)}`;
  throw new AgentError(
    "CreatePodSandboxError",
    `can't set \`spec.hostUsers: false\`, ${who} does not support user namespaces: ` +
      "expected containerd 2.0 with runc 1.2, or CRI-O 1.25 with crun 1.9, and Linux 6.3, or later ones",
  );
}

export async function sandboxSpec(
  o: ApplyOptions,
  round: PodRound,
  { attempt, podStart, runtimeHandler, userNamespace }: Pick<
    SandboxSpec,
    "attempt" | "podStart" | "runtimeHandler" | "userNamespace"
  >,
): Promise<SandboxSpec> {
  const desired = round.desired!;
  const { pod } = desired;
  const spec = pod.spec!;
  const [{ dns, warnings }, cgroupParent] = await Promise.all([o.dns(pod), o.cgroups.ensure(desired)]);
  for (const warning of warnings) round.record("Warning", "DNSConfigForming", warning);
  return {
    pod,
    uid: desired.uid,
    attempt,
    podStart,
    source: desired.source,
    hash: wantedSandboxHash(pod),
    hostname: spec.hostNetwork === true ? "" : hostnameOf(pod, o.node.clusterDomain),
    dns,
    logDirectory: podLogDirectory(o.node.podLogsDir, pod),
    cgroupParent,
    runtimeHandler,
    ...(userNamespace && { userNamespace }),
    sysctls: Object.fromEntries((spec.securityContext?.sysctls ?? []).map((s) => [s.name, s.value])),
  };
}

function hostnameOf(pod: Pod, clusterDomain: string): string {
  const found = kernelHostname(pod, clusterDomain);
  if ("error" in found) throw new AgentError("CreatePodSandboxError", found.error);
  return found.hostname;
}
