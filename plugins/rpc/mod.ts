/**
 * gRPC over unix sockets and TCP, both sides: the public face of plugins/rpc. The messages are in gen/, made from proto/.
 */
export { type Address, type Channel, type ChannelOptions, createChannel } from "./channel.ts";
export { createClient } from "./client.ts";
export { serve, type ServeOptions, type Server } from "./server.ts";
export {
  bindService,
  type BoundService,
  type CallContext,
  type CallOptions,
  type Client,
  type DeepPartial,
  type Handlers,
  type MessageFns,
  type MethodDefinition,
  type ServiceDefinition,
} from "./service.ts";
export { Code, type CodeName, codeName, goCodeName, RpcError, toRpcError } from "./status.ts";
