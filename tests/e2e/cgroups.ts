/** Files of the cgroups of pods and containers, v1 or v2. Not for: assertions. */
import type { Pod } from "../../agent/model/gen/v1.ts";
import type { AgentUnderTest } from "./agent.ts";
import { cgroupMounts } from "./leftovers.ts";
import { statusOf } from "./pods.ts";

export const idOf = (pod: Pod, container: string): string =>
  statusOf(pod, container).containerID!.replace(/^.*\/\//, "");

/** A file of the pod's cgroup, or of one of its containers', under its name in v1 or v2. */
export function value(
  agent: AgentUnderTest,
  pod: Pod,
  container: string | undefined,
  names: string[],
): string | undefined {
  const qos = pod.status?.qosClass === "Guaranteed" ? "" : `/${pod.status?.qosClass?.toLowerCase()}`;
  const parts = [
    "kubepods" + qos,
    `pod${pod.metadata!.uid}`,
    ...(container === undefined ? [] : [idOf(pod, container)]),
  ];
  for (const mount of cgroupMounts()) {
    for (const name of names) {
      try {
        return Deno.readTextFileSync(`${mount}${agent.places().cgroupRoot}/${parts.join("/")}/${name}`)
          .trim();
      } catch {
        // Another hierarchy has it.
      }
    }
  }
  return undefined;
}

/** Microseconds a period, or how nothing is said. */
export const quotaOf = (agent: AgentUnderTest, pod: Pod, container?: string): string | undefined =>
  value(agent, pod, container, ["cpu.cfs_quota_us", "cpu.max"])?.split(" ")[0];
