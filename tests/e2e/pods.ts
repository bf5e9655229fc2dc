/** Manifests as the tests need them: small pods of busybox with short scripts. Not for: what users should write. */
import type { Container, ContainerStatus, Pod, PodSpec } from "../../agent/model/gen/v1.ts";
import { demoImage } from "./agent.ts";

/** Stays until it is told to end, and ends at once then. */
export const stay = "trap 'exit 0' TERM; sleep 100000 & wait";

/** A container that runs a script, and stays unless the script ends itself. */
export const shell = (name: string, script: string, more: Partial<Container> = {}): Container => ({
  name,
  image: demoImage,
  command: ["sh", "-c", script],
  ...more,
});

export const podOf = (
  name: string,
  containers: Container[],
  spec: Partial<PodSpec> = {},
  metadata: NonNullable<Pod["metadata"]> = {},
): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, ...metadata },
  spec: { terminationGracePeriodSeconds: 1, containers, ...spec },
});

export const configMap = (name: string, data: Record<string, string>): object => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name },
  data,
});

export const secret = (name: string, stringData: Record<string, string>, type = "Opaque"): object => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name },
  type,
  stringData,
});

export function statusOf(pod: Pod, container: string): ContainerStatus {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  const found = [...initContainerStatuses, ...containerStatuses].find((c) => c.name === container);
  if (found === undefined) throw new Error(`no status of ${container} in ${JSON.stringify(pod.status)}`);
  return found;
}

export const waitingReason = (pod: Pod, container: string): string | undefined =>
  pod.status?.containerStatuses?.find((c) => c.name === container)?.state?.waiting?.reason;

/** What must not change when a pod is left alone. */
export const identityOf = (pod: Pod): unknown => ({
  ip: pod.status?.podIP,
  containers: pod.status?.containerStatuses?.map((c) => [c.name, c.containerID, c.restartCount]),
});
