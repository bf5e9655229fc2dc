/** The Streams port over CRI v1: where the runtime's streaming server offers a session. Not for: speaking to it. */
import type { Streams } from "../../agent/ports.ts";
import { type RuntimeClient, within } from "./client.ts";
import { toAgentError } from "./errors.ts";

export function createStreams(client: RuntimeClient): Streams {
  const ask = async (signal: AbortSignal, call: () => Promise<{ url: string }>): Promise<string> => {
    try {
      return (await call()).url;
    } catch (error) {
      throw toAgentError(error, "Unknown", signal);
    }
  };
  return {
    exec: (containerId, cmd, wanted, signal) =>
      ask(signal, () => client.exec({ containerId, cmd: [...cmd], ...wanted }, within(signal))),
    attach: (containerId, wanted, signal) =>
      ask(signal, () => client.attach({ containerId, ...wanted }, within(signal))),
    portForward: (podSandboxId, ports, signal) =>
      ask(signal, () => client.portForward({ podSandboxId, port: [...ports] }, within(signal))),
  };
}
