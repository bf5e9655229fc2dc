/**
 * Variables that tell containers where the Services are that were there when they started. Pure. Source: kubernetes
 * pkg/kubelet/envvars, pkg/kubelet/kubelet_pods.go (getServiceEnvVarMap).
 */
import type { Pod } from "./gen/v1.ts";
import type { Objects } from "./wish.ts";

/** What of a core/v1 Service matters here. */
export interface Service {
  metadata?: { name?: string; namespace?: string };
  spec?: { clusterIP?: string; ports?: readonly ServicePort[] };
}

export interface ServicePort {
  name?: string;
  port: number;
  /** Default TCP. */
  protocol?: string;
}

/** The API server's own, which every pod is told of. */
const master = { namespace: "default", name: "kubernetes" };

/** Those of the pod's namespace, unless it wants none of them, and the API server's. */
export function serviceEnv(
  pod: Pod,
  { services = new Map() }: Pick<Objects, "services">,
): Map<string, string> {
  const env = new Map<string, string>();
  const own = pod.spec?.enableServiceLinks === false ? undefined : pod.metadata?.namespace ?? "default";
  const isToBeTold = ({ name, namespace }: NonNullable<Service["metadata"]>) =>
    namespace === own || (namespace === master.namespace && name === master.name);
  for (const { metadata = {}, spec = {} } of services.values()) {
    const { clusterIP = "", ports = [] } = spec;
    const [first] = ports;
    if (!isToBeTold(metadata) || clusterIP === "" || clusterIP === "None" || first === undefined) continue;
    const prefix = variableName(metadata.name ?? "");
    env.set(`${prefix}_SERVICE_HOST`, clusterIP);
    env.set(`${prefix}_SERVICE_PORT`, `${first.port}`);
    for (const { name = "", port } of ports) {
      if (name !== "") env.set(`${prefix}_SERVICE_PORT_${variableName(name)}`, `${port}`);
    }
    for (const port of ports) addLink(env, prefix, clusterIP, port, port === first);
  }
  return env;
}

/** As `docker run --link` had them. */
function addLink(
  env: Map<string, string>,
  prefix: string,
  address: string,
  { port, protocol = "TCP" }: ServicePort,
  isFirst: boolean,
): void {
  const scheme = protocol.toLowerCase();
  const url = `${scheme}://${address.includes(":") ? `[${address}]` : address}:${port}`;
  const link = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
  if (isFirst) env.set(`${prefix}_PORT`, url);
  env.set(link, url);
  env.set(`${link}_PROTO`, scheme);
  env.set(`${link}_PORT`, `${port}`);
  env.set(`${link}_ADDR`, address);
}

const variableName = (name: string): string => name.toUpperCase().replaceAll("-", "_");
