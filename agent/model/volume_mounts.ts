/**
 * What becomes of the volumeMounts of a container: whether they are read-only all the way down, and what the status says
 * of them. Pure. Not for: the volumes (volumes.ts) or mounting.
 *
 * Source: kubernetes pkg/kubelet/kubelet_pods.go (resolveRecursiveReadOnly, convertToAPIContainerStatuses).
 */
import type { Container, VolumeMount, VolumeMountStatus } from "./gen/v1.ts";
import type { VolumeImage } from "./plan.ts";

/** Whether any mount depends on the runtime's support for recursive read-only mounts. */
export const asksRecursiveReadOnly = (container: Container): boolean =>
  (container.volumeMounts ?? []).some((m) => (m.recursiveReadOnly ?? "Disabled") !== "Disabled");

/** `supported`: whether the pod's runtime handler mounts read-only recursively. */
export function recursiveReadOnly(
  mount: VolumeMount,
  supported: boolean,
): { value: boolean } | { error: string } {
  const mode = mount.recursiveReadOnly ?? "Disabled";
  if (mode === "Disabled" || mount.readOnly !== true) return { value: false };
  if (supported || mode === "IfPossible") return { value: supported };
  return {
    error:
      `failed to resolve recursive read-only mode: volume "${mount.name}" requested recursive read-only ` +
      "mode, but it is not supported by the runtime",
  };
}

/** One entry of containerStatuses[].volumeMounts, as it was mounted. */
export function volumeMountStatus(
  mount: VolumeMount,
  recursive: boolean,
  image: VolumeImage | undefined,
): VolumeMountStatus {
  return {
    name: mount.name,
    mountPath: mount.mountPath,
    ...(mount.readOnly === true && { readOnly: true, recursiveReadOnly: recursive ? "Enabled" : "Disabled" }),
    ...(image && { volumeStatus: { image: { imageRef: image.ref } } }),
  };
}
