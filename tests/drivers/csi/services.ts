/**
 * The driver's gRPC services: what CSI wants of a driver, with its answers to bad requests. Not for: mounting (disks.ts).
 */
import {
  ControllerDefinition,
  ControllerServiceCapability_RPC_Type as ControllerRpc,
  IdentityDefinition,
  NodeDefinition,
  NodeServiceCapability_RPC_Type as NodeRpc,
  PluginCapability_Service_Type as Service,
  type VolumeCapability,
  VolumeUsage_Unit as Unit,
} from "../../../plugins/rpc/gen/csi.ts";
import { bindService, type BoundService, Code, RpcError } from "../../../plugins/rpc/mod.ts";
import { createDisks, type VolumeRecord } from "./disks.ts";
import type { Turn } from "./knobs.ts";

export interface DriverOptions {
  name: string;
  /** Where it keeps its volumes, knobs and calls. */
  state: string;
  nodeId?: string;
  version?: string;
  /** Default 0: no limit. */
  maxVolumes?: number;
  topology?: Record<string, string>;
  /** Names of NodeServiceCapability.RPC and ControllerServiceCapability.RPC that it does not have. */
  without?: string[];
  /** No controller service at all. */
  nodeOnly?: boolean;
  ready?: boolean;
  /** Registers itself at this socket, as the sidecar of other drivers does for them. */
  registration?: string;
}

const nodeRpcs = [
  "STAGE_UNSTAGE_VOLUME",
  "GET_VOLUME_STATS",
  "EXPAND_VOLUME",
  "VOLUME_CONDITION",
  "SINGLE_NODE_MULTI_WRITER",
  "VOLUME_MOUNT_GROUP",
] as const;
const controllerRpcs = ["CREATE_DELETE_VOLUME", "PUBLISH_UNPUBLISH_VOLUME", "EXPAND_VOLUME"] as const;

const invalid = (message: string) => new RpcError(Code.INVALID_ARGUMENT, message);

function must(fields: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === "") throw invalid(`${name} is missing`);
  }
}

function accessType(c: VolumeCapability | undefined): "block" | "mount" {
  if (c === undefined || c.accessMode === undefined || c.accessMode.mode === 0) {
    throw invalid("volume_capability is missing, or has no access_mode");
  }
  if ((c.block === undefined) === (c.mount === undefined)) throw invalid("access_type is missing");
  return c.block === undefined ? "mount" : "block";
}

const idOf = async (name: string): Promise<string> => {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
  return "vol-" + [...new Uint8Array(hash)].slice(0, 6).map((b) => b.toString(16).padStart(2, "0")).join("");
};

const isEphemeral = (context: Record<string, string>) => context["csi.storage.k8s.io/ephemeral"] === "true";

export function createServices(o: DriverOptions, turn: Turn): BoundService[] {
  const disks = createDisks(o.state);
  const without = new Set(o.without ?? []);
  const has = (rpc: string) => !without.has(rpc);

  async function known(id: string): Promise<VolumeRecord> {
    const found = await disks.load(id);
    if (found === undefined) throw new RpcError(Code.NOT_FOUND, `there is no volume ${id}`);
    return found;
  }

  const identity = bindService(IdentityDefinition, {
    getPluginInfo: (request) =>
      turn("GetPluginInfo", request, () => ({ name: o.name, vendorVersion: o.version ?? "1.0" })),
    getPluginCapabilities: (request) =>
      turn("GetPluginCapabilities", request, () => ({
        capabilities: o.nodeOnly ? [] : [
          { service: { type: Service.CONTROLLER_SERVICE } },
          { service: { type: Service.VOLUME_ACCESSIBILITY_CONSTRAINTS } },
        ],
      })),
    probe: (request) => turn("Probe", request, () => (o.ready === undefined ? {} : { ready: o.ready })),
  });

  const controller = bindService(ControllerDefinition, {
    createVolume: (request) =>
      turn("CreateVolume", request, async (r) => {
        must({ name: r.name, volume_capabilities: r.volumeCapabilities[0] });
        for (const c of r.volumeCapabilities) accessType(c);
        const id = await idOf(r.name);
        const bytes = Number(r.capacityRange?.requiredBytes ?? 0n) || 8 * 2 ** 20;
        const limit = Number(r.capacityRange?.limitBytes ?? 0n);
        const found = await disks.load(id);
        if (found !== undefined && (found.bytes < bytes || (limit > 0 && found.bytes > limit))) {
          throw new RpcError(Code.ALREADY_EXISTS, `${r.name} exists with ${found.bytes} bytes`);
        }
        const kind = r.parameters["kind"] === "directory" ? "directory" : "ext4";
        const volume = found ?? { id, name: r.name, bytes, kind, attached: false };
        if (found === undefined) await disks.create(volume);
        return {
          volume: {
            volumeId: id,
            capacityBytes: BigInt(volume.bytes),
            volumeContext: { from: r.name },
            accessibleTopology: o.topology === undefined ? [] : [{ segments: o.topology }],
          },
        };
      }),
    deleteVolume: (request) =>
      turn("DeleteVolume", request, async (r) => {
        must({ volume_id: r.volumeId });
        await disks.remove(r.volumeId);
        return {};
      }),
    controllerPublishVolume: (request) =>
      turn("ControllerPublishVolume", request, async (r) => {
        must({ volume_id: r.volumeId, node_id: r.nodeId });
        accessType(r.volumeCapability);
        await disks.save({ ...await known(r.volumeId), attached: true });
        return { publishContext: { attachment: `${r.volumeId} on ${r.nodeId}` } };
      }),
    controllerUnpublishVolume: (request) =>
      turn("ControllerUnpublishVolume", request, async (r) => {
        must({ volume_id: r.volumeId });
        await disks.save({ ...await known(r.volumeId), attached: false });
        return {};
      }),
    controllerGetCapabilities: (request) =>
      turn("ControllerGetCapabilities", request, () => ({
        capabilities: controllerRpcs.filter(has).map((name) => ({ rpc: { type: ControllerRpc[name] } })),
      })),
    controllerExpandVolume: (request) =>
      turn("ControllerExpandVolume", request, async (r) => {
        const volume = await known(r.volumeId);
        const bytes = Math.max(volume.bytes, Number(r.capacityRange?.requiredBytes ?? 0n));
        await disks.grow(volume.id, bytes);
        await disks.save({ ...volume, bytes });
        return { capacityBytes: BigInt(bytes), nodeExpansionRequired: volume.kind === "ext4" };
      }),
  });

  const mustBeAttached = (volume: VolumeRecord, context: Record<string, string>) => {
    if (o.nodeOnly || !has("PUBLISH_UNPUBLISH_VOLUME")) return;
    if (volume.attached && context["attachment"] !== undefined) return;
    throw new RpcError(
      Code.FAILED_PRECONDITION,
      `${volume.id} is not published to this node by the controller`,
    );
  };

  const node = bindService(NodeDefinition, {
    nodeStageVolume: (request) =>
      turn("NodeStageVolume", request, async (r) => {
        must({ volume_id: r.volumeId, staging_target_path: r.stagingTargetPath });
        const access = accessType(r.volumeCapability);
        const volume = await known(r.volumeId);
        mustBeAttached(volume, r.publishContext);
        const mount = r.volumeCapability?.mount;
        await disks.stage(
          volume,
          r.stagingTargetPath,
          access === "block" ? undefined : { fsType: mount?.fsType ?? "", flags: mount?.mountFlags ?? [] },
        );
        return {};
      }),
    nodeUnstageVolume: (request) =>
      turn("NodeUnstageVolume", request, async (r) => {
        must({ volume_id: r.volumeId, staging_target_path: r.stagingTargetPath });
        await disks.unstage(r.volumeId, r.stagingTargetPath);
        return {};
      }),
    nodePublishVolume: (request) =>
      turn("NodePublishVolume", request, async (r) => {
        must({ volume_id: r.volumeId, target_path: r.targetPath });
        const access = accessType(r.volumeCapability);
        if (isEphemeral(r.volumeContext)) {
          await disks.publishMemory(r.targetPath, r.volumeContext, r.secrets, r.readonly);
          return {};
        }
        const volume = await known(r.volumeId);
        if (access === "block") {
          await disks.publishDevice(volume.id, r.targetPath);
          return {};
        }
        if (has("STAGE_UNSTAGE_VOLUME") && r.stagingTargetPath === "") throw invalid("it is not staged");
        if (!has("STAGE_UNSTAGE_VOLUME")) {
          const mount = r.volumeCapability?.mount;
          const of = { fsType: mount?.fsType ?? "", flags: mount?.mountFlags ?? [] };
          await Deno.mkdir(r.targetPath, { recursive: true });
          await disks.stage(volume, r.targetPath, of);
          return {};
        }
        await disks.publish(r.stagingTargetPath, r.targetPath, r.readonly);
        return {};
      }),
    nodeUnpublishVolume: (request) =>
      turn("NodeUnpublishVolume", request, async (r) => {
        must({ volume_id: r.volumeId, target_path: r.targetPath });
        await disks.unpublish(r.targetPath);
        if (!has("STAGE_UNSTAGE_VOLUME")) await disks.unstage(r.volumeId, r.targetPath);
        return {};
      }),
    nodeGetVolumeStats: (request) =>
      turn("NodeGetVolumeStats", request, async (r) => {
        must({ volume_id: r.volumeId, volume_path: r.volumePath });
        const { bytes, inodes } = disks.stats(r.volumePath);
        const sick = await disks.sickness(r.volumeId);
        return {
          usage: [{ unit: Unit.BYTES, ...bytes }, { unit: Unit.INODES, ...inodes }],
          volumeCondition: { abnormal: sick !== undefined, message: sick ?? "fine" },
        };
      }),
    nodeExpandVolume: (request) =>
      turn("NodeExpandVolume", request, async (r) => {
        must({ volume_id: r.volumeId, volume_path: r.volumePath });
        const volume = await known(r.volumeId);
        const bytes = Math.max(volume.bytes, Number(r.capacityRange?.requiredBytes ?? 0n));
        await disks.grow(volume.id, bytes);
        await disks.growOnNode(volume.id, r.volumePath);
        await disks.save({ ...volume, bytes });
        return { capacityBytes: BigInt(bytes) };
      }),
    nodeGetCapabilities: (request) =>
      turn("NodeGetCapabilities", request, () => ({
        capabilities: nodeRpcs.filter(has).map((name) => ({ rpc: { type: NodeRpc[name] } })),
      })),
    nodeGetInfo: (request) =>
      turn("NodeGetInfo", request, () => ({
        nodeId: o.nodeId ?? "this-node",
        maxVolumesPerNode: BigInt(o.maxVolumes ?? 0),
        ...(o.topology && { accessibleTopology: { segments: o.topology } }),
      })),
  });
  return o.nodeOnly ? [identity, node] : [identity, controller, node];
}
