/**
 * One CSI driver at its socket: each of our calls becomes one gRPC call with a deadline, and calls about one volume take
 * turns. Not for: which calls are due (agent/volumes/csi), registration (drivers.ts).
 */
import type { CsiDriver, CsiDriverFacts, CsiPublish, CsiStage } from "../../agent/plugin_ports.ts";
import { CsiError } from "../../agent/model/csi_error.ts";
import type { Turns } from "../../agent/lib/turns.ts";
import { ControllerDefinition, NodeDefinition, Volume } from "../rpc/gen/csi.ts";
import { type CallOptions, type Channel, Code, createClient, RpcError } from "../rpc/mod.ts";
import { toCsiError } from "./errors.ts";
import { capabilityMessage, rangeMessage, sizeOf, statsOf, volumeOf } from "./messages.ts";

export interface DriverOptions {
  facts: CsiDriverFacts;
  channel: Channel;
  turns: Turns;
  /** Of each call, without the time that it waits for its turn. */
  timeoutMs: number;
}

const stageMessage = (of: CsiStage) => ({
  volumeId: of.id,
  publishContext: { ...of.publishContext },
  stagingTargetPath: of.stagingPath,
  volumeCapability: capabilityMessage(of.capability),
  secrets: { ...of.secrets },
  volumeContext: { ...of.context },
});

const publishMessage = (of: CsiPublish) => ({
  ...stageMessage(of),
  targetPath: of.targetPath,
  readonly: of.readonly,
});

export function createDriver({ facts, channel, turns, timeoutMs }: DriverOptions): CsiDriver {
  const controller = createClient(ControllerDefinition, channel);
  const node = createClient(NodeDefinition, channel);

  /** `volume` is a handle, or for a volume that has none yet the name that it is asked for by. */
  async function call<T>(
    volume: string,
    signal: AbortSignal,
    ask: (options: CallOptions) => Promise<T>,
  ): Promise<T> {
    try {
      return await turns.take(`${facts.name} ${volume}`, signal, () => ask({ signal, timeoutMs }));
    } catch (error) {
      throw toCsiError(error, signal);
    }
  }

  /** What is not there any more needs no undoing. */
  async function unlessGone(undone: Promise<unknown>): Promise<void> {
    await undone.catch((error) => {
      if (!(error instanceof RpcError && error.code === Code.NOT_FOUND)) throw error;
    });
  }

  return {
    facts,
    createVolume: (of, signal) =>
      call(`name ${of.name}`, signal, async (options) => {
        const { volume } = await controller.createVolume({
          name: of.name,
          capacityRange: rangeMessage(of.requiredBytes, of.limitBytes),
          volumeCapabilities: of.capabilities.map(capabilityMessage),
          parameters: { ...of.parameters },
          secrets: { ...of.secrets },
          ...(of.topology && {
            accessibilityRequirements: {
              requisite: [{ segments: { ...of.topology } }],
              preferred: [{ segments: { ...of.topology } }],
            },
          }),
        }, options);
        const made = volumeOf(Volume.fromPartial(volume ?? {}));
        if (made.id === "") {
          throw new CsiError("the driver made a volume without an id", { code: "INTERNAL", uncertain: true });
        }
        return made;
      }),
    deleteVolume: (id, secrets, signal) =>
      call(
        id,
        signal,
        (options) => unlessGone(controller.deleteVolume({ volumeId: id, secrets: { ...secrets } }, options)),
      ),
    controllerPublish: (of, signal) =>
      call(of.id, signal, async (options) => {
        const { publishContext } = await controller.controllerPublishVolume({
          volumeId: of.id,
          nodeId: facts.nodeId,
          volumeCapability: capabilityMessage(of.capability),
          readonly: of.readonly,
          secrets: { ...of.secrets },
          volumeContext: { ...of.context },
        }, options);
        return { ...publishContext };
      }),
    controllerUnpublish: (id, secrets, signal) =>
      call(id, signal, (options) =>
        unlessGone(
          controller.controllerUnpublishVolume(
            { volumeId: id, nodeId: facts.nodeId, secrets: { ...secrets } },
            options,
          ),
        )),
    controllerExpand: (of, signal) =>
      call(of.id, signal, async (options) => {
        const answer = await controller.controllerExpandVolume({
          volumeId: of.id,
          capacityRange: rangeMessage(of.requiredBytes, of.limitBytes),
          secrets: { ...of.secrets },
          volumeCapability: capabilityMessage(of.capability),
        }, options);
        return {
          capacity: sizeOf(answer.capacityBytes),
          nodeExpansionRequired: answer.nodeExpansionRequired,
        };
      }),
    stage: (of, signal) =>
      call(of.id, signal, async (options) => void await node.nodeStageVolume(stageMessage(of), options)),
    unstage: (id, stagingPath, signal) =>
      call(
        id,
        signal,
        (options) =>
          unlessGone(node.nodeUnstageVolume({ volumeId: id, stagingTargetPath: stagingPath }, options)),
      ),
    publish: (of, signal) =>
      call(of.id, signal, async (options) => void await node.nodePublishVolume(publishMessage(of), options)),
    unpublish: (id, targetPath, signal) =>
      call(
        id,
        signal,
        (options) => unlessGone(node.nodeUnpublishVolume({ volumeId: id, targetPath }, options)),
      ),
    stats: (of, signal) =>
      call(of.id, signal, async (options) =>
        statsOf(
          await node.nodeGetVolumeStats({
            volumeId: of.id,
            volumePath: of.path,
            stagingTargetPath: of.stagingPath,
          }, options),
        )),
    expandOnNode: (of, signal) =>
      call(of.id, signal, async (options) => {
        const answer = await node.nodeExpandVolume({
          volumeId: of.id,
          volumePath: of.path,
          stagingTargetPath: of.stagingPath,
          capacityRange: rangeMessage(of.requiredBytes, 0),
          volumeCapability: capabilityMessage(of.capability),
          secrets: { ...of.secrets },
        }, options);
        return sizeOf(answer.capacityBytes);
      }),
  };
}
