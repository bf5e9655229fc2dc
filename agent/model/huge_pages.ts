/**
 * Huge pages of emptyDir volumes (`medium: HugePages` and `HugePages-2Mi`): which size a volume is made of. Pure. Not for:
 * limits of containers (qos.ts) or mounting.
 *
 * Source: kubernetes pkg/volume/emptydir/empty_dir.go (getPageSizeMountOption).
 */
import type { Pod } from "./gen/v1.ts";
import { parseQuantity } from "./quantity.ts";

export const isHugePageMedium = (medium: string): boolean => /^HugePages(-|$)/.test(medium);

/** Bytes of `HugePages-2Mi` or `hugepages-2Mi`; `undefined` when the name tells no size. */
export function hugePageSize(name: string): number | undefined {
  const size = parseQuantity(/^hugepages-(.+)$/i.exec(name)?.[1] ?? "");
  return size !== undefined && size > 0 && Number.isInteger(size) ? size : undefined;
}

/**
 * Bytes of a page of a volume. Some container of the pod must request pages of that size; a medium that names none takes
 * the one size that is requested.
 */
export function volumePageSize(medium: string, pod: Pod): { bytes: number } | { error: string } {
  const lists = [
    pod.spec?.resources,
    ...[...pod.spec?.containers ?? [], ...pod.spec?.initContainers ?? []].map((c) => c.resources),
  ];
  // The API makes requests of what only limits name.
  const requested = new Set(
    lists.flatMap((r) => Object.keys({ ...r?.limits, ...r?.requests })).filter((n) =>
      n.startsWith("hugepages-")
    )
      .map(hugePageSize).filter((size) => size !== undefined),
  );
  const wanted = hugePageSize(medium);
  if (medium !== "HugePages" && wanted === undefined) {
    return { error: `medium ${medium}: expected HugePages or HugePages-SIZE, such as HugePages-2Mi` };
  }
  if (wanted === undefined && requested.size > 1) {
    return { error: `medium: ${medium} can't be used if container requests multiple huge page sizes` };
  }
  const bytes = wanted ?? [...requested][0];
  return bytes !== undefined && requested.has(bytes) ? { bytes } : {
    error: `medium ${medium}: hugePages storage requested, but there is no resource request for huge pages`,
  };
}
