/**
 * One question to a gRPC server by the health protocol, on a connection of its own, in plain text: only SERVING is good.
 * Source: grpc.health.v1 and the words of the kubelet's pkg/probe/grpc. Not for: any other call.
 */
import type { ProbeResult } from "../../agent/model/probe.ts";
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthDefinition,
} from "../rpc/gen/grpc_health.ts";
import { Code, createChannel, createClient, goCodeName, toRpcError } from "../rpc/mod.ts";
import { USER_AGENT } from "./http.ts";

/** A health answer has a few bytes; whoever sends more is no health service. */
const MAX_ANSWER = 64 * 1024;

const failure = (message: string): ProbeResult => ({ outcome: "failure", message });

/** Always an answer, once the time is up or the signal aborts at the latest. */
export async function checkHealth(
  target: { host: string; port: number; service: string },
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const { host, port, service } = target;
  const name = `"${host.includes(":") ? `[${host}]` : host}:${port}"`;
  const channel = createChannel({ hostname: host, port }, {
    maxMessageBytes: MAX_ANSWER,
    userAgent: USER_AGENT,
    limits: { handshakeMs: timeoutMs + 1000 },
  });
  signal.addEventListener("abort", channel.close);
  try {
    await channel.withLink(() => {});
    return await check(channel, service, timeoutMs, signal);
  } catch (error) {
    if (signal.aborted) {
      return failure(`timeout: failed to connect service ${name} within ${timeoutMs / 1000}s`);
    }
    return failure(`error: failed to connect service at ${name}: ${toRpcError(error).details}`);
  } finally {
    signal.removeEventListener("abort", channel.close);
    channel.close();
  }
}

async function check(
  channel: ReturnType<typeof createChannel>,
  service: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    const { status } = await createClient(HealthDefinition, channel).check({ service }, {
      signal,
      timeoutMs,
    });
    if (status === ServingStatus.SERVING) return { outcome: "success", message: "service healthy" };
    return failure(`service unhealthy (responded with "${ServingStatus[status] ?? status}")`);
  } catch (error) {
    const { code, details } = toRpcError(error);
    if (signal.aborted || code === Code.DEADLINE_EXCEEDED) {
      return failure(`timeout: health rpc did not complete within ${timeoutMs / 1000}s`);
    }
    return failure(
      code === Code.UNIMPLEMENTED
        ? `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${details}`
        : `error: health rpc probe failed: rpc error: code = ${goCodeName(code)} desc = ${details}`,
    );
  }
}
