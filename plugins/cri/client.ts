/**
 * The clients of the CRI services and how long a call may take. Not for: what the calls mean.
 */
import type { ImageServiceDefinition, RuntimeServiceDefinition } from "../rpc/gen/cri.ts";
import type { CallOptions, Client } from "../rpc/mod.ts";

export type RuntimeClient = Client<RuntimeServiceDefinition>;
export type ImageClient = Client<ImageServiceDefinition>;

/** The kubelet's default runtimeRequestTimeout. */
export const REQUEST_TIMEOUT_MS = 120_000;

/** @param extraMs time that the call itself is meant to take, such as a grace period */
export const within = (signal: AbortSignal, extraMs = 0): CallOptions => ({
  signal,
  timeoutMs: REQUEST_TIMEOUT_MS + extraMs,
});
