/** What publishing a pod's volumes asks of claims. Not for: the implementation (claims.ts). */
import type { PersistentVolume, Volume } from "../../model/gen/v1.ts";
import type { DesiredPod } from "../../model/wish.ts";

/** Which PersistentVolume a claim of a pod has, and which pods have it. */
export interface Claims {
  /**
   * For a volume that is a claim, or a template of one. Makes a volume where one has to be made. From then on the pod
   * counts as one that has it. Throws FailedMount with what it waits for.
   */
  volumeFor(pod: DesiredPod, volume: Volume, signal: AbortSignal): Promise<PersistentVolume>;
  /** Whether the pod counts as having claims that it does not ask for any more. */
  isStale(pod: DesiredPod): boolean;
  /** Lets go of those. */
  sweep(pod: DesiredPod): Promise<void>;
  /** The pod's directory is gone, and everything that was mounted below it. */
  gone(podUid: string): void;
}
