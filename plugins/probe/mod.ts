/**
 * Questions over the network: is somebody there (tcpSocket), does a web server answer well (httpGet). Every question has
 * a connection of its own, and all of it ends in time. Source: the kubelet's pkg/probe. Not for: when to ask, what
 * follows from an answer (agent/model/probe.ts).
 */
import type { Prober } from "../../agent/ports.ts";
import { errorText } from "../../agent/model/errors.ts";
import type { ProbeResult } from "../../agent/model/probe.ts";
import { get } from "./http.ts";

type Headers = readonly { name: string; value: string }[];

/** As Go's HTTP client. */
const MAX_HOPS = 10;

const success = (message: string): ProbeResult => ({ outcome: "success", message });
const failure = (message: string): ProbeResult => ({ outcome: "failure", message });

async function askTcp(host: string, port: number, signal: AbortSignal): Promise<ProbeResult> {
  (await Deno.connect({ hostname: host, port, signal })).close();
  return success("");
}

/** Redirects are followed as long as they stay on the host that was asked; one that leaves it is good enough. */
async function askHttp(url: string, headers: Headers, signal: AbortSignal): Promise<ProbeResult> {
  const first = new URL(url);
  let [at, sent] = [first, headers];
  for (let hops = 0; hops < MAX_HOPS; hops++) {
    const { status, location } = await get(at, sent, signal);
    if (status < 200 || status > 399) return failure(`HTTP probe failed with statuscode: ${status}`);
    if (status < 300) return success(`${status}`);
    const next = [301, 302, 303, 307, 308].includes(status) && location ? URL.parse(location, at) : null;
    if (next === null || next.hostname !== first.hostname) {
      return { outcome: "warning", message: `Probe terminated redirects, status ${status}` };
    }
    // The name that the manifest gave to the host stands only where the server does not name another.
    if (next.host !== at.host) sent = headers.filter((h) => h.name.toLowerCase() !== "host");
    at = next;
  }
  return failure(`stopped after ${MAX_HOPS} redirects`);
}

export function createProber(): Prober {
  return {
    async ask(target, timeoutMs, signal) {
      signal.throwIfAborted();
      const stop = new AbortController();
      const abort = () => stop.abort();
      signal.addEventListener("abort", abort);
      const timer = setTimeout(abort, timeoutMs);
      const what = target.kind === "http" ? `Get "${target.url}"` : `dial tcp ${target.host}:${target.port}`;
      try {
        return target.kind === "http"
          ? await askHttp(target.url, target.headers, stop.signal)
          : await askTcp(target.host, target.port, stop.signal);
      } catch (error) {
        signal.throwIfAborted();
        const late = `no answer within ${timeoutMs / 1000}s`;
        return failure(`${what}: ${stop.signal.aborted ? late : errorText(error)}`);
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
      }
    },
  };
}
