/**
 * Questions over the network: is somebody there (tcpSocket), does a web server answer well (httpGet), does a gRPC server
 * call itself healthy (grpc). Every question has a connection of its own, and all of it ends in time. Source: the kubelet's pkg/probe. Not for: when to ask, what
 * follows from an answer (agent/model/probe.ts).
 */
import type { Prober } from "../../agent/ports.ts";
import { errorText } from "../../agent/model/errors.ts";
import type { ProbeResult } from "../../agent/model/probe.ts";
import type { NetworkTarget } from "../../agent/model/probe_target.ts";
import { checkHealth } from "./grpc.ts";
import { get } from "./http.ts";

/** As Go's HTTP client. */
const MAX_HOPS = 10;

const success = (message: string): ProbeResult => ({ outcome: "success", message });
const failure = (message: string): ProbeResult => ({ outcome: "failure", message });

async function askTcp(host: string, port: number, signal: AbortSignal): Promise<ProbeResult> {
  (await Deno.connect({ hostname: host, port, signal })).close();
  return success("");
}

function resolveLocation(location: string, from: URL): URL {
  const next = URL.parse(location, from);
  if (next === null) throw new Error(`failed to parse Location header "${location.slice(0, 200)}"`);
  if (!/^https?:$/.test(next.protocol)) throw new Error(`unsupported protocol scheme "${next.protocol}"`);
  return next;
}

/** Redirects are followed as long as they stay on the host that was asked; one that leaves it is good enough. */
async function askHttp(
  { url, headers, anyStatus }: Extract<NetworkTarget, { kind: "http" }>,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const first = new URL(url);
  let [at, sent] = [first, headers];
  for (let hops = 0; hops < MAX_HOPS; hops++) {
    const { status, location, body } = await get(at, sent, signal);
    if ((status < 200 || status > 399) && anyStatus === true) return success(`${status}`);
    if (status < 200 || status > 399) return failure(`HTTP probe failed with statuscode: ${status}`);
    if (status < 300) return success(`${status}`);
    const stays = ![301, 302, 303, 307, 308].includes(status) || !location;
    const next = stays ? undefined : resolveLocation(location, at);
    if (next === undefined || next.hostname !== first.hostname) {
      return { outcome: "warning", message: `Probe terminated redirects, Response body: ${body}` };
    }
    // The name that the manifest gave to the host stands only where the server does not name one.
    if (URL.canParse(location!)) sent = headers.filter((h) => h.name.toLowerCase() !== "host");
    at = next;
  }
  return failure(`stopped after ${MAX_HOPS} redirects`);
}

const inUrl = (host: string) => host.includes(":") ? `[${host}]` : host;

const put = (target: NetworkTarget, timeoutMs: number, signal: AbortSignal): Promise<ProbeResult> => {
  switch (target.kind) {
    case "http":
      return askHttp(target, signal);
    case "tcp":
      return askTcp(target.host, target.port, signal);
    case "grpc":
      return checkHealth(target, timeoutMs, signal);
  }
};

export function createProber(): Prober {
  return {
    async ask(target, timeoutMs, signal) {
      signal.throwIfAborted();
      const stop = new AbortController();
      const abort = () => stop.abort();
      signal.addEventListener("abort", abort);
      const timer = setTimeout(abort, timeoutMs);
      try {
        const result = await put(target, timeoutMs, stop.signal);
        signal.throwIfAborted();
        return result;
      } catch (error) {
        signal.throwIfAborted();
        const what = target.kind === "http"
          ? `Get "${target.url}"`
          : `dial tcp ${inUrl(target.host)}:${target.port}`;
        const late = `no answer within ${timeoutMs / 1000}s`;
        return failure(`${what}: ${stop.signal.aborted ? late : errorText(error)}`);
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
      }
    },
  };
}
