/**
 * What is shown of the containers of a pod that has been stopped, while they are taken away one after the other. Pure.
 * Source: the kubelet's status manager, TerminatePod. Not for: pods that go on.
 */
import type { ContainerStatus } from "./gen/v1.ts";

/** As it ended, and as it was last shown when it is there no more. What cannot be known any more has failed. */
export function lastContainerStatus(
  status: ContainerStatus,
  before: readonly ContainerStatus[] = [],
): ContainerStatus {
  if (status.state?.terminated !== undefined) return status;
  const known = before.find(({ name }) => name === status.name);
  if (known?.state?.terminated !== undefined) return known;
  const message = "The container could not be located when the pod was terminated";
  return {
    ...status,
    ready: false,
    started: false,
    state: { terminated: { exitCode: 137, reason: "ContainerStatusUnknown", message } },
  };
}

/** Whatever its restart policy, nothing of it starts again. */
export const lastPhase = (containers: readonly ContainerStatus[]): "Succeeded" | "Failed" =>
  containers.every(({ state }) => state?.terminated?.exitCode === 0) ? "Succeeded" : "Failed";
