/**
 * Removes images that have been unused for long, or that stand in the way on a disk that fills up; looks every few minutes.
 * Not for: which ones (model/image_collection.ts), a node that is short of disk already (eviction.ts).
 */
import type { Log } from "../lib/log.ts";
import type { Metrics } from "../lib/metrics.ts";
import { aborted, pause } from "../lib/pause.ts";
import { errorText } from "../model/errors.ts";
import {
  collectionOf,
  collectsNothing,
  type ImagePolicy,
  type ImagesFound,
  type ImageUse,
  type SizedImage,
  usesSeen,
} from "../model/image_collection.ts";
import type { Host } from "../ports.ts";
import type { StatusStore } from "../status_store.ts";

export interface ImageCollectionOptions {
  host: Pick<Host, "now" | "monotonic">;
  store: StatusStore;
  log: Log;
  metrics: Metrics;
  nodeName: string;
  policy: ImagePolicy;
  everyMs: number;
  look(signal: AbortSignal): Promise<ImagesFound>;
  remove(id: string, signal: AbortSignal): Promise<void>;
  /** Tests make it short. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Never rejects; ends with the signal. */
export async function collectImages(o: ImageCollectionOptions, signal: AbortSignal): Promise<void> {
  if (collectsNothing(o.policy)) return await aborted(signal);
  let uses: ReadonlyMap<string, ImageUse> = new Map();
  while (!signal.aborted) {
    try {
      const found = await o.look(signal);
      const now = o.host.monotonic();
      uses = usesSeen(uses, found, now);
      const { aged, spare, missing } = collectionOf(found, uses, o.policy, now);
      for (const image of aged) await removeUnused(o, image, "age", signal);
      for (const image of spare) await removeUnused(o, image, "space", signal);
      if (missing > 0) tellOfRoom(o, missing);
    } catch (error) {
      if (!signal.aborted) o.log.error("cannot look after unused images", { error: errorText(error) });
    }
    await (o.pause ?? pause)(o.everyMs, signal);
  }
}

/** Never rejects: an image that cannot be removed holds up no other. */
export async function removeUnused(
  o: Pick<ImageCollectionOptions, "log" | "metrics" | "remove">,
  { id, size }: SizedImage,
  reason: "age" | "space",
  signal: AbortSignal,
): Promise<void> {
  try {
    await o.remove(id, signal);
    o.log.info("an image that nobody needs is removed", { image: id, size, reason });
    o.metrics.counter(
      "kubelet_image_garbage_collected_total",
      "Total number of images garbage collected by the kubelet, whether through disk usage or image age.",
    ).inc({ reason });
  } catch (error) {
    if (!signal.aborted) o.log.warn("cannot remove an image", { image: id, error: errorText(error) });
  }
}

const tellOfRoom = ({ store, host, nodeName }: ImageCollectionOptions, missing: number) =>
  store.addEvent({
    type: "Warning",
    reason: "FreeDiskSpaceFailed",
    message: "Failed to garbage collect required amount of images: " +
      `${missing} more bytes should be free, but all other images are in use, imported or too new`,
    object: { kind: "Node", name: nodeName },
  }, host.now());
