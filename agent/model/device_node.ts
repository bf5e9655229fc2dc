/** Device nodes of the host as values. Not for: looking at them. */

export interface DeviceNode {
  kind: "char" | "block";
  major: number;
  minor: number;
}

/** Linux's split of st_rdev (sys/sysmacros.h). */
export function deviceNumbers(rdev: number): Pick<DeviceNode, "major" | "minor"> {
  const wide = BigInt(rdev);
  return {
    major: Number(((wide >> 8n) & 0xfffn) | ((wide >> 32n) & 0xfffff000n)),
    minor: Number((wide & 0xffn) | ((wide >> 12n) & 0xffffff00n)),
  };
}

/** What `stat` tells of a path, where it is a device node. */
export function deviceNodeOf(stat: { kind: string; rdev?: number } | undefined): DeviceNode | undefined {
  if (stat?.kind !== "char" && stat?.kind !== "block") return undefined;
  return { kind: stat.kind, ...deviceNumbers(stat.rdev ?? 0) };
}
