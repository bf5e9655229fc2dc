/**
 * Which images of a node nobody needs: those of no container and no wanted pod, that a registry can bring back. Pure. Not
 * for: when to remove them.
 */
import type { Pod } from "./gen/v1.ts";
import { normalizeImageName } from "./image_name.ts";

export interface NodeImage {
  id: string;
  repoTags: readonly string[];
  repoDigests: readonly string[];
  pinned: boolean;
}

/** The image of sandboxes, by its repository: an older runtime does not tell that it needs it. */
const isPause = (name: string) => /\/pause[:@]/.test(name);

const imagesOf = ({ spec }: Pod): string[] => [
  ...[...spec?.initContainers ?? [], ...spec?.containers ?? [], ...spec?.ephemeralContainers ?? []]
    .flatMap(({ image }) => image ?? []),
  ...(spec?.volumes ?? []).flatMap(({ image }) => image?.reference ?? []),
];

/** Ids. @param inUse what containers name as their image, by whatever name. */
export function unusedImages(
  images: readonly NodeImage[],
  inUse: Iterable<string>,
  pods: readonly Pod[],
): string[] {
  const named = [...inUse, ...pods.flatMap(imagesOf)];
  const used = new Set([...named, ...named.flatMap((name) => normalizeImageName(name)?.name ?? [])]);
  return images.filter(({ id, repoTags, repoDigests, pinned }) => {
    const names = [...repoTags, ...repoDigests];
    // What was imported has no digest of a repository: nobody could bring it back.
    return !pinned && repoDigests.length > 0 && !names.some(isPause) &&
      ![id, ...names].some((name) => used.has(name));
  }).map(({ id }) => id);
}
