/**
 * From a probe of the manifest to the question that is put: names of ports, the host, the URL, static variables. Pure.
 * Source: core/v1 HTTPGetAction, TCPSocketAction, GRPCAction, ExecAction. Not for: putting it (the Prober port).
 */
import type { Container, HTTPGetAction, Probe } from "./gen/v1.ts";
import { expand } from "./env.ts";

/** A question over the network. */
export type NetworkTarget =
  | {
    kind: "http";
    url: string;
    headers: readonly { name: string; value: string }[];
    /** Any answer is a good one. */
    anyStatus?: boolean;
  }
  | { kind: "tcp"; host: string; port: number }
  | { kind: "grpc"; host: string; port: number; service: string };

export type ProbeTarget = NetworkTarget | { kind: "exec"; command: string[] } | {
  kind: "error";
  message: string;
};

/** @param podIP primary address of the pod, the node's where it uses the host's network */
export function probeTarget(probe: Probe, container: Container, podIP: string | undefined): ProbeTarget {
  if (probe.exec !== undefined) {
    return { kind: "exec", command: staticCommand(probe.exec.command ?? [], container) };
  }
  const action = probe.httpGet ?? probe.tcpSocket ?? probe.grpc;
  if (action === undefined) return { kind: "error", message: "this kind of probe is not supported" };
  const port = portNumber(action.port, container);
  if (port === undefined) {
    return { kind: "error", message: `no port of the container is named "${action.port}"` };
  }
  const host = ("host" in action && action.host) || podIP;
  if (host === undefined) return { kind: "error", message: "the pod has no address yet" };
  if (probe.httpGet !== undefined) return httpTarget(probe.httpGet, host, port);
  if (probe.tcpSocket !== undefined) return { kind: "tcp", host, port };
  return { kind: "grpc", host, port, service: probe.grpc?.service ?? "" };
}

function httpTarget(get: HTTPGetAction, host: string, port: number): ProbeTarget {
  const scheme = (get.scheme || "HTTP").toLowerCase();
  const path = get.path || "/";
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const text = `${scheme}://${name}:${port}${path.startsWith("/") ? "" : "/"}${path}`;
  const url = URL.parse(text);
  return url === null
    ? { kind: "error", message: `not a URL: ${text}` }
    : { kind: "http", url: url.href, headers: get.httpHeaders ?? [] };
}

function portNumber(port: number | string, container: Container): number | undefined {
  if (typeof port === "number") return port;
  if (/^\d+$/.test(port)) return Number(port);
  return container.ports?.find((p) => p.name === port)?.containerPort;
}

/** As the kubelet, only variables that the manifest gives a value. */
function staticCommand(command: readonly string[], container: Container): string[] {
  const variables = new Map<string, string>();
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (valueFrom === undefined) variables.set(name, expand(value ?? "", variables));
  }
  return command.map((word) => expand(word, variables));
}
