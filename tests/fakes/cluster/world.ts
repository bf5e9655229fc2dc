/** What all parts of the double share. Not for: starting it (cluster.ts). */
import type { Authority } from "./authority.ts";
import type { User } from "./authenticate.ts";
import type { Rule } from "./authorize.ts";
import type { Json, Stored } from "./objects.ts";
import type { UnknownFields } from "./older.ts";
import { builtIn, type Resource } from "./resources.ts";
import type { Store } from "./store.ts";
import type { Tokens } from "./tokens.ts";

/** What may be changed while the double runs. */
export interface Settings {
  /** Approve what kube-controller-manager approves by itself: client certificates of nodes. */
  approveClients: boolean;
  /** Nobody does in a cluster made by kubeadm. */
  approveServing: boolean;
  /** Lives of certificates that are signed on request, in ms, unless the request asks for less. */
  certificateLife: number;
  /** Longest life of a service account's token, in ms; absent is as asked. */
  tokenLife?: number;
  bookmarkEvery: number;
  /** Of an API server of an earlier version. */
  unknownFields: UnknownFields;
}

export interface World {
  store: Store;
  resources: readonly Resource[];
  authority: Authority;
  tokens: Tokens;
  settings: Settings;
  /** By user, or by `group:NAME`: what RBAC grants beside what every cluster grants. */
  grants: Map<string, Rule[]>;
  /** Of the API server as a client of kubelets. */
  kubeletClient: { cert: string; key: string };
  /** Milliseconds since the epoch. */
  now(): number;
}

export const find = (kind: string, group?: string): Resource =>
  builtIn.find((r) => r.kind === kind && (group === undefined || r.group === group))!;

export const kinds = {
  pod: find("Pod"),
  node: find("Node"),
  namespace: find("Namespace"),
  secret: find("Secret"),
  configMap: find("ConfigMap"),
  serviceAccount: find("ServiceAccount"),
  claim: find("PersistentVolumeClaim"),
  volume: find("PersistentVolume"),
  attachment: find("VolumeAttachment"),
  request: find("CertificateSigningRequest"),
} as const;

/** Who asks for what, as it is written, before it is judged. */
export interface Writing {
  world: World;
  user: User;
  resource: Resource;
  subresource?: string;
}

export type Draft = Stored & { metadata: Stored["metadata"] & Json };
