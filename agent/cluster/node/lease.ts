/**
 * The node's Lease, by which the control plane knows that it lives. By its own clock and with its own deadline: nothing else
 * that the node has to say may hold it up. Source: kubernetes component-helpers/apimachinery/lease, pkg/kubelet (nodeLeaseController).
 */
import type { Log } from "../../lib/log.ts";
import { errorText } from "../../model/errors.ts";
import type { Node } from "../../model/gen/v1.ts";
import { ownerOf } from "../../model/node_object.ts";
import type { Host } from "../../ports.ts";
import type { Api } from "../client/api.ts";
import { isReason } from "../client/api_error.ts";
import { pauseBefore } from "../client/retry.ts";

export interface LeaseOptions {
  api: Api;
  host: Pick<Host, "now" | "sleep">;
  log: Log;
  nodeName: string;
  durationSeconds: number;
  /** The Lease is the Node's: without one there is none. */
  node(): Node | undefined;
  /** In [0, 1). */
  random?: () => number;
}

interface Lease {
  metadata: { name: string; namespace: string; ownerReferences?: { uid: string }[] };
  spec?: Record<string, unknown>;
}

const collection = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
/** Of the duration, between two renewals. */
const renewed = 0.25;
const jitter = 0.04;
const backOff = { first: 200, most: 7_000 };
const withoutNode = 500;

/** Never rejects; ends with the signal. */
export async function keepLease(o: LeaseOptions, signal: AbortSignal): Promise<void> {
  const { host, log, random = Math.random } = o;
  const every = o.durationSeconds * 1000 * renewed;
  let lease: Lease | undefined;
  for (let failures = 0; !signal.aborted;) {
    const node = o.node();
    let ms = withoutNode;
    if (node !== undefined) {
      try {
        lease = await renew(o, node, lease, every, signal);
        failures = 0;
        ms = every * (1 + jitter * random());
      } catch (error) {
        if (signal.aborted) return;
        // What is known of it may be why.
        lease = undefined;
        ms = Math.min(every, pauseBefore(failures++, backOff, random()));
        log.debug("the node's lease was not renewed", { error: errorText(error), failures });
      }
    }
    await host.sleep(ms, signal).catch(() => {});
  }
}

async function renew(
  o: LeaseOptions,
  node: Node,
  known: Lease | undefined,
  deadline: number,
  signal: AbortSignal,
): Promise<Lease> {
  const path = `${collection}/${encodeURIComponent(o.nodeName)}`;
  const ask = async (method: "GET" | "PUT" | "POST", body?: Lease) =>
    await o.api.ask({
      method,
      path: method === "POST" ? collection : path,
      ...(body === undefined ? {} : { body }),
      deadline,
      signal,
    }) as Lease;
  try {
    return await ask("PUT", renewedLease(o, node, known ?? await ask("GET")));
  } catch (error) {
    if (isReason(error, "Conflict")) return await ask("PUT", renewedLease(o, node, await ask("GET")));
    if (!isReason(error, "NotFound")) throw error;
    return await ask("POST", renewedLease(o, node, undefined));
  }
}

function renewedLease(o: LeaseOptions, node: Node, before: Lease | undefined): Lease {
  const owner = ownerOf(node);
  const { metadata, spec } = before ?? {
    metadata: { name: o.nodeName, namespace: "kube-node-lease" },
    spec: {},
  };
  const others = (metadata.ownerReferences ?? []).filter((r) => "kind" in r && r.kind !== owner.kind);
  return {
    ...{ apiVersion: "coordination.k8s.io/v1", kind: "Lease" },
    metadata: { ...metadata, ownerReferences: [...others, owner] },
    spec: {
      ...spec,
      holderIdentity: o.nodeName,
      leaseDurationSeconds: o.durationSeconds,
      // MicroTime: six digits.
      renewTime: new Date(o.host.now()).toISOString().replace("Z", "000Z"),
    },
  };
}
