/**
 * Which images go for their age, and which to make room on the disk. Pure. Not for: which of them anybody needs
 * (unused_images.ts), nor what is freed when the node is short of disk already (node/eviction.ts).
 *
 * Source: kubernetes pkg/kubelet/images, image_gc_manager.go.
 */

/** Times in ms, parts of the disk in percent. */
export interface ImagePolicy {
  /** Known for less, an image is not removed to make room. */
  minimumAge: number;
  /** Unused for longer, an image is removed; 0 is never. */
  maximumAge: number;
  /** From here on room is made; 100 is never. */
  high: number;
  /** So much may be in use afterwards. */
  low: number;
}

/** On a clock that never jumps, in ms. */
export interface ImageUse {
  firstSeen: number;
  /** When it was in use last, or first seen. */
  lastUsed: number;
}

export interface SizedImage {
  id: string;
  size: number;
}

export interface ImagesFound {
  images: readonly SizedImage[];
  /** Ids of those that nobody needs. */
  unused: ReadonlySet<string>;
  disk?: { available: number; capacity: number };
}

export interface Collection {
  aged: SizedImage[];
  /** For room, the longest unused first. */
  spare: SizedImage[];
  /** Bytes that cannot be had: all else is in use, or too young. */
  missing: number;
}

export const collectsNothing = ({ maximumAge, high }: ImagePolicy): boolean =>
  maximumAge === 0 && high === 100;

/** What is known after another look; images that are gone are forgotten. */
export function usesSeen(
  before: ReadonlyMap<string, ImageUse>,
  { images, unused }: ImagesFound,
  now: number,
): Map<string, ImageUse> {
  return new Map(images.map(({ id }): [string, ImageUse] => {
    const known = before.get(id) ?? { firstSeen: now, lastUsed: now };
    return [id, unused.has(id) ? known : { ...known, lastUsed: now }];
  }));
}

export function collectionOf(
  found: ImagesFound,
  uses: ReadonlyMap<string, ImageUse>,
  policy: ImagePolicy,
  now: number,
): Collection {
  const useOf = ({ id }: SizedImage) => uses.get(id) ?? { firstSeen: now, lastUsed: now };
  const candidates = found.images.filter(({ id }) => found.unused.has(id)).sort((a, b) =>
    useOf(a).lastUsed - useOf(b).lastUsed || useOf(a).firstSeen - useOf(b).firstSeen
  );
  const isAged = (image: SizedImage) =>
    policy.maximumAge > 0 && now - useOf(image).lastUsed > policy.maximumAge;
  const aged = candidates.filter(isAged);
  const spare: SizedImage[] = [];
  let missing = bytesWanted(found.disk, policy) - sum(aged);
  for (const image of candidates) {
    if (missing <= 0) break;
    if (isAged(image) || now - useOf(image).firstSeen < policy.minimumAge) continue;
    spare.push(image);
    missing -= image.size;
  }
  return { aged, spare, missing: Math.max(0, missing) };
}

const sum = (images: readonly SizedImage[]) => images.reduce((bytes, { size }) => bytes + size, 0);

function bytesWanted(disk: ImagesFound["disk"], { high, low }: ImagePolicy): number {
  if (disk === undefined || disk.capacity === 0 || high === 100) return 0;
  const used = 100 - Math.floor(100 * disk.available / disk.capacity);
  return used < high ? 0 : Math.floor(disk.capacity * (100 - low) / 100) - disk.available;
}
