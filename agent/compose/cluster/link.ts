/**
 * The tie of this node to its cluster's API server: who the node is there, and what others need before there are pods.
 * Not for: services that use it (mod.ts).
 */
import type { Api } from "../../cluster/client/api.ts";
import type { Kubeconfig } from "../../cluster/client/kubeconfig.ts";
import { createTokens, type Tokens } from "../../cluster/objects/tokens.ts";
import { createNodeIdentity } from "../../cluster/identity/identity.ts";
import { createStatusReport, type StatusReport } from "../../cluster/report/statuses.ts";
import { createAttachments, type NodeAttachments } from "../../cluster/node/attachments.ts";
import { createOwnNode, type OwnNode } from "../../cluster/node/own_node.ts";
import type { Config } from "../../config/config.ts";
import { createListeners, type Listeners } from "../../lib/listeners.ts";
import type { Log } from "../../lib/log.ts";
import { noObjects, type Objects } from "../../model/wish.ts";
import type { Host } from "../../ports.ts";
import type { StatusStore } from "../../status_store.ts";
import type { Loop } from "../loop.ts";
import { createOffline, type Offline } from "./offline.ts";

export interface ClusterLink {
  /** As the node. While it has no identity requests fail and watches wait. */
  api: Api;
  /** What names the API server and its authority, where that is known. */
  kubeconfig(): Kubeconfig | undefined;
  nodeName: string;
  tokens: Tokens;
  /** What its pods may use, as it is now. */
  objects: Objects;
  /** The Node of this machine as the API server has it. */
  own: OwnNode;
  /** Volumes that the control plane attaches; absent: it does not. */
  attachments?: NodeAttachments;
  /** Uids of pods of which nothing is left on this node. */
  departures: Listeners<string>;
  /** What becomes of pods, for the API server. */
  statuses: StatusReport;
  /** While the API server is away. */
  offline: Offline;
  /** What keeps the tie. */
  services: Loop[];
}

export interface LinkOptions {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
}

/** `undefined` on a node of no cluster. What is wrong with its credentials is a problem, and keeps no pod from running. */
export async function createClusterLink(o: LinkOptions): Promise<ClusterLink | undefined> {
  const { config: { cluster, nodeName }, host, log, store } = o;
  if (cluster.kubeconfig === "") return undefined;
  const identity = await createNodeIdentity({
    host,
    log,
    nodeName,
    places: cluster,
    rotates: cluster.rotateCertificates,
    report: (problems) => store.setProblems("identity", problems),
  });
  const { kubeconfig } = identity;
  const offline = createOffline({ config: o.config, host, log, store, ...identity });
  const { api } = offline;
  const own = createOwnNode();
  const tokens = createTokens({ api, host });
  return {
    api,
    kubeconfig,
    offline,
    nodeName,
    statuses: createStatusReport({ api, log, rate: cluster.requestRate }),
    tokens: offline.tokens(tokens),
    objects: noObjects,
    own,
    ...(o.config.node.controllerAttaches && { attachments: createAttachments({ api, own, nodeName }) }),
    departures: createListeners(),
    services: [
      { name: "identity in the cluster", run: identity.run },
      { name: "tokens of service accounts", run: tokens.run },
    ],
  };
}
