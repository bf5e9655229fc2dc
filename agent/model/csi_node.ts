/**
 * CSINode, and what of CSI drivers stands on the Node itself. Pure. Source: k8s.io/api/storage/v1, kubernetes
 * pkg/volume/csi/nodeinfomanager.
 */
import type { Node, ObjectMeta } from "./gen/v1.ts";
import { ownerOf } from "./node_object.ts";

export interface CsiNode {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
  spec: { drivers: CsiNodeDriver[] };
}

export interface CsiNodeDriver {
  name: string;
  nodeID: string;
  topologyKeys?: string[] | null;
  allocatable?: { count?: number };
}

/** Of a driver as it said of itself. */
export interface DriverOnNode {
  name: string;
  nodeId: string;
  /** 0 is no limit. */
  maxVolumesPerNode: number;
  topology: Readonly<Record<string, string>>;
}

const entryOf = ({ name, nodeId, maxVolumesPerNode, topology }: DriverOnNode): CsiNodeDriver => ({
  name,
  nodeID: nodeId,
  topologyKeys: Object.keys(topology).sort(),
  ...(maxVolumesPerNode > 0 && { allocatable: { count: maxVolumesPerNode } }),
});

/** Those that are there as they are now, none of those that are gone; the same object where nothing differs. */
export function csiNodeWith(
  known: CsiNode | undefined,
  node: Node,
  drivers: readonly DriverOnNode[],
  gone: ReadonlySet<string>,
): CsiNode {
  const owner = ownerOf(node);
  const before = known?.spec.drivers ?? [];
  const names = new Set(drivers.map(({ name }) => name));
  const others = before.filter(({ name }) => !names.has(name) && !gone.has(name));
  const now = [...others, ...drivers.map(entryOf)].sort((a, b) => a.name < b.name ? -1 : 1);
  const owned = known?.metadata.ownerReferences?.some(({ uid }) => uid === owner.uid) === true;
  if (known !== undefined && owned && textOf(before) === textOf(now)) return known;
  return {
    apiVersion: "storage.k8s.io/v1",
    kind: "CSINode",
    metadata: { ...known?.metadata, name: owner.name, ownerReferences: [owner] },
    spec: { drivers: now },
  };
}

const textOf = (drivers: readonly CsiNodeDriver[]): string =>
  JSON.stringify(
    drivers.map(({ name, nodeID, topologyKeys, allocatable }) => [
      name,
      nodeID,
      [...topologyKeys ?? []].sort(),
      allocatable?.count ?? 0,
    ]).sort(),
  );

const nodeIdAnnotation = "csi.volume.kubernetes.io/nodeid";

/** A merge patch of the Node: topology as labels, ids as an annotation; `undefined`: nothing differs. */
export function nodeIdPatch(
  { metadata = {} }: Node,
  drivers: readonly DriverOnNode[],
  gone: ReadonlySet<string>,
): { metadata: object } | undefined {
  const known = idsIn(metadata.annotations?.[nodeIdAnnotation]);
  const kept = Object.entries(known).filter(([name]) => !gone.has(name));
  const ids = { ...Object.fromEntries(kept), ...Object.fromEntries(drivers.map((d) => [d.name, d.nodeId])) };
  const isSame = JSON.stringify(Object.entries(ids).sort()) === JSON.stringify(Object.entries(known).sort());
  const labels = drivers.flatMap(({ topology }) => Object.entries(topology))
    .filter(([key, value]) => metadata.labels?.[key] !== value);
  const patch = {
    ...(labels.length > 0 && { labels: Object.fromEntries(labels) }),
    ...(!isSame && {
      annotations: { [nodeIdAnnotation]: Object.keys(ids).length === 0 ? null : JSON.stringify(ids) },
    }),
  };
  return Object.keys(patch).length === 0 ? undefined : { metadata: patch };
}

/** What is no mapping of texts is nothing. */
function idsIn(text: string | undefined): Record<string, string> {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Record<string, string>
      : {};
  } catch {
    return {};
  }
}
