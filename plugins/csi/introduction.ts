/**
 * What a driver is asked when it registers: who it is, whether it is ready, what it can. Source: kubernetes
 * pkg/volume/csi/csi_plugin.go (RegisterPlugin), CSI spec (Identity). Not for: volumes.
 */
import type { CsiDriverFacts } from "../../agent/plugin_ports.ts";
import { AgentError } from "../../agent/model/errors.ts";
import {
  ControllerDefinition,
  IdentityDefinition,
  NodeDefinition,
  PluginCapability_Service_Type as Service,
} from "../rpc/gen/csi.ts";
import { type CallOptions, type Channel, Code, createClient, RpcError } from "../rpc/mod.ts";
import { toCsiError } from "./errors.ts";
import { factsOf } from "./messages.ts";

const longestNodeId = 256;

const refused = (message: string) => new AgentError("FailedMount", message);

/** Drivers that serve only what the kubelet asks of them have no identity service. */
async function orNone<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof RpcError && error.code === Code.UNIMPLEMENTED) return undefined;
    throw error;
  }
}

/** Throws when any answer is missing, or is not of the driver that registered as `name`. */
export async function introduce(
  name: string,
  channel: Channel,
  options: CallOptions,
): Promise<CsiDriverFacts> {
  try {
    return await ask(name, channel, options);
  } catch (error) {
    throw error instanceof AgentError ? error : toCsiError(error, options.signal);
  }
}

async function ask(name: string, channel: Channel, options: CallOptions): Promise<CsiDriverFacts> {
  const identity = createClient(IdentityDefinition, channel);
  const node = createClient(NodeDefinition, channel);
  const plugin = await orNone(identity.getPluginInfo({}, options));
  if (plugin !== undefined && plugin.name !== name) {
    throw refused(`it registered as ${name}, but its GetPluginInfo says ${JSON.stringify(plugin.name)}`);
  }
  const probed = await orNone(identity.probe({}, options));
  if (probed?.ready === false) throw refused("it is not ready yet, says its Probe");
  const able = await orNone(identity.getPluginCapabilities({}, options));
  const hasController = able?.capabilities.some((c) => c.service?.type === Service.CONTROLLER_SERVICE);
  const info = await node.nodeGetInfo({}, options);
  if (info.nodeId === "") throw refused("its NodeGetInfo gives no node_id");
  if (new TextEncoder().encode(info.nodeId).length > longestNodeId) {
    throw refused(`its NodeGetInfo gives a node_id of over ${longestNodeId} bytes`);
  }
  const onNode = await node.nodeGetCapabilities({}, options);
  const central = hasController === true
    ? await createClient(ControllerDefinition, channel).controllerGetCapabilities({}, options)
    : undefined;
  return factsOf({ name, version: plugin?.vendorVersion ?? "" }, info, onNode, central);
}
