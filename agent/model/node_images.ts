/** Images as a Node's status lists them: the largest first, for schedulers that place pods near to them. Pure. */
import type { ContainerImage } from "./gen/v1.ts";

export interface HeldImageNames {
  repoTags: readonly string[];
  repoDigests: readonly string[];
  /** Bytes. */
  size: number;
}

/** Source: kubernetes pkg/kubelet/nodestatus, Images: MaxNamesPerImageInNodeStatus. */
const mostNames = 5;

/** @param most -1 is all. */
export function nodeImages(images: readonly HeldImageNames[], most: number): ContainerImage[] {
  const named = images
    .map(({ repoTags, repoDigests, size }) => ({ names: [...repoDigests, ...repoTags], sizeBytes: size }))
    .filter(({ names }) => names.length > 0)
    .sort((a, b) => b.sizeBytes - a.sizeBytes || (a.names[0]! < b.names[0]! ? -1 : 1));
  return (most < 0 ? named : named.slice(0, most))
    .map(({ names, sizeBytes }) => ({ names: names.slice(0, mostNames), sizeBytes }));
}
