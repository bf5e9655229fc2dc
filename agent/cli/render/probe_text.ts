/** A probe, and what it was answered last, in one line each. Pure. */
import type { Probe } from "../../model/gen/v1.ts";
import type { ProbeReport } from "../../model/probe_report.ts";

/** `http-get http://:80/ delay=0s timeout=1s period=10s #success=1 #failure=3`. */
export function probeText(probe: Probe): string {
  const { httpGet, tcpSocket, exec, grpc } = probe;
  const action = httpGet
    ? `http-get ${(httpGet.scheme ?? "HTTP").toLowerCase()}://${httpGet.host ?? ""}:${httpGet.port}${
      httpGet.path ?? ""
    }`
    : tcpSocket
    ? `tcp-socket ${tcpSocket.host ?? ""}:${tcpSocket.port}`
    : exec
    ? `exec [${exec.command?.join(" ") ?? ""}]`
    : grpc
    ? `grpc <pod>:${grpc.port} ${grpc.service ?? ""}`.trim()
    : "unknown";
  return `${action} delay=${probe.initialDelaySeconds ?? 0}s timeout=${probe.timeoutSeconds ?? 1}s ` +
    `period=${probe.periodSeconds ?? 10}s #success=${probe.successThreshold ?? 1} #failure=${
      probe.failureThreshold ?? 3
    }`;
}

/** `failure 3s ago (2 of 3 in a row): HTTP probe failed with statuscode: 500`. */
export function lastText({ last }: ProbeReport, probe: Probe): string {
  if (last === undefined) return "not asked yet";
  const { outcome, message, secondsAgo, inARow } = last;
  const when = `${outcome} ${secondsAgo}s ago`;
  if (outcome === "unknown") return `${when}: ${message}`;
  if (outcome !== "failure") return `${when} (${inARow} in a row)`;
  const threshold = probe.failureThreshold ?? 3;
  const count = inARow < threshold ? `${inARow} of ${threshold}` : `${inARow}`;
  return `${when} (${count} in a row): ${message.trimEnd()}`;
}
