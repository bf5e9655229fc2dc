/** Images of a node of a cluster that nobody needs: which they are, and their removal after a time, wired. */
import { isOverAtApi } from "../../model/api_pod.ts";
import { unusedImages } from "../../model/unused_images.ts";
import { collectImages } from "../../node/image_collection.ts";
import type { ImageStatus } from "../../ports.ts";
import type { Loop } from "../loop.ts";
import type { ClusterContext } from "./mod.ts";

/** The kubelet's. */
const everyMs = 300_000;

export function imageCollection(context: ClusterContext): Loop {
  const { config, host, log, metrics, parts, store, link } = context;
  const imagesPath = createImagesPath(context);
  return {
    name: "unused images",
    run: (signal) =>
      collectImages({
        ...{ host, log, metrics, store, nodeName: link.nodeName, everyMs },
        policy: config.node.images,
        async look(signal) {
          const { images, unused } = await imagesNow(context, signal);
          const disk = await host.statfs(await imagesPath(signal)) ??
            await host.statfs(config.rootDir);
          return { images, unused: new Set(unused), ...(disk && { disk }) };
        },
        remove: (id, signal) => parts.images.remove(id, signal),
      }, signal),
  };
}

/** A runtime that hangs must not hold up a look at the node. */
const answersWithinMs = 2_000;

/** Where images lie: as the runtime tells it, once for all; else where the agent's own would have them. */
export function createImagesPath(
  { config, parts }: Pick<ClusterContext, "config" | "parts">,
): (signal: AbortSignal) => Promise<string> {
  let told: string | undefined;
  return async (signal) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(answersWithinMs)]);
    told ??= (await parts.images.fileSystems(limit).catch(() => undefined))?.images?.path;
    return told ?? config.managedRuntime.root;
  };
}

/** All images, and the ids of those of no container and no pod. */
export async function imagesNow(
  { parts, store }: Pick<ClusterContext, "parts" | "store">,
  signal: AbortSignal,
): Promise<{ images: ImageStatus[]; unused: string[] }> {
  const { archives, runtime } = parts;
  const [images, observed] = await Promise.all([
    parts.images.list(signal),
    runtime.observe(undefined, signal),
  ]);
  const inUse = observed.flatMap((pod) => pod.containers.flatMap((c) => [c.image, c.imageRef]));
  const wanted = store.pods().filter((pod) => !isOverAtApi(pod));
  return { images, unused: unusedImages(images, [...inUse, ...archives.pinned()], wanted) };
}
