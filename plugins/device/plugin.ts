/**
 * One device plugin at its socket: the calls of the API v1beta1, each with a deadline, and the stream of its devices.
 * Source: kubernetes pkg/kubelet/cm/devicemanager (endpoint.go, plugin/v1beta1/client.go). Not for: who it is and how long
 * it is remembered (plugins.ts).
 */
import type { Log } from "../../agent/lib/log.ts";
import { pause } from "../../agent/lib/pause.ts";
import type { Device } from "../../agent/model/devices.ts";
import type { ContainerEdits } from "../../agent/model/edits.ts";
import { AgentError, errorText } from "../../agent/model/errors.ts";
import { DevicePluginDefinition, type DevicePluginOptions } from "../rpc/gen/device_plugin.ts";
import { Code, createChannel, createClient, RpcError } from "../rpc/mod.ts";
import { toDevices, toEdits } from "./answers.ts";

/** The kubelet's, where it has one. */
const deadlines = { connect: 10_000, options: 10_000, preferred: 10_000, allocate: 60_000, preStart: 30_000 };
const maxMessageBytes = 4 * 1024 * 1024;
/** A plugin that tells of changes without an end makes no more work than this. */
const betweenListsMs = 20;
const betweenDialsMs = 100;

export interface PluginCalls {
  readonly prefers: boolean;
  readonly preStarts: boolean;
  preferred(
    of: { available: readonly string[]; mustInclude: readonly string[]; size: number },
    signal: AbortSignal,
  ): Promise<string[] | undefined>;
  allocate(ids: readonly string[], signal: AbortSignal): Promise<ContainerEdits>;
  preStart(ids: readonly string[], signal: AbortSignal): Promise<void>;
  /** Tells of its devices, each time all of them; ends, by an error, with the stream. */
  devices(signal: AbortSignal): AsyncIterable<Device[]>;
  close(): void;
}

type PluginClient = ReturnType<typeof createClient<typeof DevicePluginDefinition>>;

/** A plugin may register a moment before it serves. */
async function askOptions(client: PluginClient, signal: AbortSignal): Promise<DevicePluginOptions> {
  const limit = performance.now() + deadlines.connect;
  for (;;) {
    try {
      return await client.getDevicePluginOptions({}, { signal, timeoutMs: deadlines.options });
    } catch (error) {
      const away = error instanceof RpcError && error.code === Code.UNAVAILABLE;
      if (!away || signal.aborted || performance.now() > limit) throw error;
      await pause(betweenDialsMs, signal);
    }
  }
}

/** Throws when it does not serve within 10 s, or does not tell its options. */
export async function openPlugin(
  resource: string,
  socket: string,
  log: Log,
  signal: AbortSignal,
): Promise<PluginCalls> {
  const channel = createChannel(socket, { maxMessageBytes });
  const client = createClient(DevicePluginDefinition, channel);
  const options = await askOptions(client, signal).catch((error) => {
    channel.close();
    throw new Error(`failed to get device plugin options: ${errorText(error)}`);
  });
  const unexpected = (call: string, error: unknown) =>
    new AgentError("UnexpectedAdmissionError", `${call} of ${resource} failed: ${errorText(error)}`);
  return {
    prefers: options.getPreferredAllocationAvailable,
    preStarts: options.preStartRequired,
    async preferred({ available, mustInclude, size }, signal) {
      const request = {
        availableDeviceIDs: [...available],
        mustIncludeDeviceIDs: [...mustInclude],
        allocationSize: size,
      };
      const call = { signal, timeoutMs: deadlines.preferred };
      try {
        const answer = await client.getPreferredAllocation({ containerRequests: [request] }, call);
        return answer.containerResponses[0]?.deviceIDs;
      } catch (error) {
        log.warn("a device plugin tells no preference", { resource, error: errorText(error) });
        return undefined;
      }
    },
    async allocate(ids, signal) {
      try {
        const { containerResponses } = await client.allocate(
          { containerRequests: [{ devicesIds: [...ids] }] },
          { signal, timeoutMs: deadlines.allocate },
        );
        if (containerResponses.length !== 1) {
          throw new TypeError(`expected an answer for one container, got ${containerResponses.length}`);
        }
        return toEdits(containerResponses[0]!, resource);
      } catch (error) {
        throw unexpected("Allocate", error);
      }
    },
    async preStart(ids, signal) {
      try {
        await client.preStartContainer({ devicesIds: [...ids] }, { signal, timeoutMs: deadlines.preStart });
      } catch (error) {
        const message = `PreStartContainer of ${resource} failed: ${errorText(error)}`;
        throw new AgentError("CreateContainerConfigError", message);
      }
    },
    async *devices(signal) {
      for await (const { devices } of client.listAndWatch({}, { signal })) {
        yield toDevices(devices);
        await pause(betweenListsMs, signal);
      }
      throw new TypeError("it ended the list of its devices");
    },
    close: channel.close,
  };
}
