/**
 * The tie of this node to its cluster's API server: who the node is there, and what others need before there are pods.
 * Not for: services that use it (mod.ts).
 */
import { type Api, createApi } from "../../cluster/client/api.ts";
import { createConnection } from "../../cluster/client/client.ts";
import { createCredentials, readSource } from "../../cluster/client/credentials.ts";
import { type Kubeconfig, parseKubeconfig } from "../../cluster/client/kubeconfig.ts";
import type { Config } from "../../config/config.ts";
import { createListeners, type Listeners } from "../../lib/listeners.ts";
import type { Log } from "../../lib/log.ts";
import { AgentError, formatProblem } from "../../model/errors.ts";
import type { Host, TokenSource } from "../../ports.ts";
import type { StatusStore } from "../../status_store.ts";
import type { Loop } from "../loop.ts";

export interface ClusterLink {
  /** As the node. */
  api: Api;
  kubeconfig: Kubeconfig;
  nodeName: string;
  tokens?: TokenSource;
  /** Uids of pods of which nothing is left on this node. */
  departures: Listeners<string>;
  /** What keeps the tie. */
  services: Loop[];
}

export interface LinkOptions {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
}

/** `undefined` on a node of no cluster. @throws {AgentError} for a kubeconfig that cannot be used. */
export async function createClusterLink(o: LinkOptions): Promise<ClusterLink | undefined> {
  const { config, host } = o;
  if (config.cluster.kubeconfig === "") return undefined;
  const kubeconfig = await readKubeconfig(host, config.cluster.kubeconfig);
  const { server, ca, proxyUrl } = kubeconfig;
  const connection = createConnection({
    server,
    ...(ca === undefined ? {} : { ca: await readSource(host, ca) }),
    ...(proxyUrl === undefined ? {} : { proxyUrl }),
  });
  const credentials = createCredentials(host, kubeconfig);
  return {
    api: createApi({ connection, credentials }),
    kubeconfig,
    nodeName: config.nodeName,
    departures: createListeners(),
    services: [],
  };
}

async function readKubeconfig(host: Host, path: string): Promise<Kubeconfig> {
  const refuse = (message: string) => new AgentError("Unknown", message, { retry: false });
  const text = await host.readText(path);
  if (text === undefined) {
    throw refuse(`${path} does not exist: run \`agent join\`, or name another --kubeconfig`);
  }
  const { kubeconfig, problems } = parseKubeconfig(path, text);
  if (kubeconfig === undefined) throw refuse(problems.map((p) => formatProblem(p)).join("\n"));
  return kubeconfig;
}
