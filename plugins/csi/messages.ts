/**
 * Between our words and CSI's messages. Pure. What a driver says is not trusted: numbers that no volume has become 0.
 * Not for: calling.
 */
import type {
  CsiAccessMode,
  CsiDriverFacts,
  CsiVolume,
  CsiVolumeStats,
  VolumeCapability,
} from "../../agent/plugin_ports.ts";
import {
  CapacityRange,
  type ControllerGetCapabilitiesResponse,
  ControllerServiceCapability_RPC_Type as ControllerRpc,
  type NodeGetCapabilitiesResponse,
  type NodeGetInfoResponse,
  type NodeGetVolumeStatsResponse,
  NodeServiceCapability_RPC_Type as NodeRpc,
  type Volume,
  VolumeCapability as CapabilityMessage,
  VolumeCapability_AccessMode_Mode as Mode,
  VolumeUsage_Unit as Unit,
} from "../rpc/gen/csi.ts";

const modes: Record<CsiAccessMode, Mode> = {
  SINGLE_NODE_WRITER: Mode.SINGLE_NODE_WRITER,
  SINGLE_NODE_READER_ONLY: Mode.SINGLE_NODE_READER_ONLY,
  MULTI_NODE_READER_ONLY: Mode.MULTI_NODE_READER_ONLY,
  MULTI_NODE_SINGLE_WRITER: Mode.MULTI_NODE_SINGLE_WRITER,
  MULTI_NODE_MULTI_WRITER: Mode.MULTI_NODE_MULTI_WRITER,
  SINGLE_NODE_SINGLE_WRITER: Mode.SINGLE_NODE_SINGLE_WRITER,
  SINGLE_NODE_MULTI_WRITER: Mode.SINGLE_NODE_MULTI_WRITER,
};

export function capabilityMessage(c: VolumeCapability): CapabilityMessage {
  return CapabilityMessage.fromPartial({
    accessMode: { mode: modes[c.accessMode] },
    ...(c.block ? { block: {} } : {
      mount: {
        fsType: c.fsType,
        mountFlags: [...c.mountFlags],
        volumeMountGroup: c.volumeMountGroup ?? "",
      },
    }),
  });
}

/** Bytes; 0 is unlimited. */
export const rangeMessage = (required: number, limit: number): CapacityRange =>
  CapacityRange.fromPartial({
    requiredBytes: BigInt(Math.ceil(required)),
    limitBytes: BigInt(Math.floor(limit)),
  });

/** A count or size: 0 where it is none. */
const count = (value: bigint): number =>
  value > 0n && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : 0;

export const volumeOf = (v: Volume): CsiVolume => ({
  id: v.volumeId,
  capacity: count(v.capacityBytes),
  context: { ...v.volumeContext },
  topology: v.accessibleTopology.map((t) => ({ ...t.segments })),
});

export const sizeOf = (capacityBytes: bigint): number => count(capacityBytes);

export function statsOf(answer: NodeGetVolumeStatsResponse): CsiVolumeStats {
  const of = (unit: Unit) => {
    const usage = answer.usage.find((u) => u.unit === unit);
    return usage &&
      { total: count(usage.total), used: count(usage.used), available: count(usage.available) };
  };
  const [bytes, inodes] = [of(Unit.BYTES), of(Unit.INODES)];
  const condition = answer.volumeCondition;
  return {
    ...(bytes && { bytes }),
    ...(inodes && { inodes }),
    ...(condition && { condition: { abnormal: condition.abnormal, message: condition.message } }),
  };
}

/** `controller` is undefined where the socket has no controller service. */
export function factsOf(
  plugin: { name: string; version: string },
  info: NodeGetInfoResponse,
  node: NodeGetCapabilitiesResponse,
  controller: ControllerGetCapabilitiesResponse | undefined,
): CsiDriverFacts {
  const onNode = new Set(node.capabilities.map((c) => c.rpc?.type));
  const central = new Set((controller?.capabilities ?? []).map((c) => c.rpc?.type));
  return {
    ...plugin,
    nodeId: info.nodeId,
    maxVolumesPerNode: count(info.maxVolumesPerNode),
    topology: { ...info.accessibleTopology?.segments },
    stages: onNode.has(NodeRpc.STAGE_UNSTAGE_VOLUME),
    hasStats: onNode.has(NodeRpc.GET_VOLUME_STATS),
    expandsOnNode: onNode.has(NodeRpc.EXPAND_VOLUME),
    singleNodeMultiWriter: onNode.has(NodeRpc.SINGLE_NODE_MULTI_WRITER),
    volumeMountGroup: onNode.has(NodeRpc.VOLUME_MOUNT_GROUP),
    creates: central.has(ControllerRpc.CREATE_DELETE_VOLUME),
    publishes: central.has(ControllerRpc.PUBLISH_UNPUBLISH_VOLUME),
    expands: central.has(ControllerRpc.EXPAND_VOLUME),
  };
}
