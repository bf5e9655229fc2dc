/**
 * Which attachments have leaked: what is on record, or holds an address, for a sandbox that the runtime no longer has.
 * Pure. What may belong to somebody else is none. Not for: giving it back (collect.ts).
 */
import type { CniNetwork } from "../../agent/model/cni_config.ts";
import type { Attachment } from "./cache.ts";

/** An address that host-local has given away. */
export interface Lease {
  network: CniNetwork;
  containerId: string;
  ifname: string;
  /** When, in ms since the epoch. */
  since: number;
}

export interface LeakFacts {
  /** Name of this agent. */
  owner: string;
  /** All of the runtime's, whoever made them; read after records and leases were. */
  sandboxes: ReadonlySet<string>;
  /** Paths of the namespaces on record that are still there. */
  namespaces: ReadonlySet<string>;
  /** Names of the runtime's networks. */
  networks: ReadonlySet<string>;
  now: number;
}

/** containerd's own, for `lo`. */
export const LOOPBACK_NETWORK = "cni-loopback";

/** Made by a CRI runtime for a pod: podman and nerdctl tell no uid. */
const isOfPod = ({ args, containerId }: Attachment): boolean =>
  args.some(([key, value]) => key === "K8S_POD_UID" && value !== "") &&
  args.some(([key, value]) => key === "K8S_POD_INFRA_CONTAINER_ID" && value === containerId);

/**
 * This agent's own; of the runtime's networks also a pod's whose namespace is gone, so that nobody, not even another
 * runtime, can have any use for it.
 */
export const leakedAttachments = (attachments: readonly Attachment[], f: LeakFacts): Attachment[] =>
  attachments.filter((a) => {
    if (f.sandboxes.has(a.containerId)) return false;
    if (a.owner !== undefined) return a.owner === f.owner;
    return f.networks.has(a.network.name) && isOfPod(a) && a.netns !== "" && !f.namespaces.has(a.netns);
  });

/** A sandbox holds its address before the runtime lists it, though never so long. */
const makingMs = 300_000;

/** Of networks that this agent wrote for its runtime alone: addresses of which there is no record. */
export const leakedLeases = (
  leases: readonly Lease[],
  attachments: readonly Attachment[],
  f: LeakFacts,
): Lease[] =>
  leases.filter((lease) =>
    /^[0-9a-f]{64}$/.test(lease.containerId) && !f.sandboxes.has(lease.containerId) &&
    f.now - lease.since > makingMs &&
    !attachments.some((a) => a.containerId === lease.containerId && a.network.name === lease.network.name)
  );
