/**
 * The CSINode of this machine: which CSI drivers are registered here, as whom they know the node, and where it stands for
 * them; their topology as labels of the Node. Not for: registering drivers.
 *
 * Source: kubernetes pkg/volume/csi/nodeinfomanager.
 */
import type { Log } from "../../lib/log.ts";
import { createMailbox } from "../../lib/mailbox.ts";
import { type CsiNode, csiNodeWith, nodeIdPatch } from "../../model/csi_node.ts";
import { errorText } from "../../model/errors.ts";
import type { Node } from "../../model/gen/v1.ts";
import type { CsiDriverFacts, CsiDrivers } from "../../plugin_ports.ts";
import type { Host } from "../../ports.ts";
import type { Api } from "../client/api.ts";
import { isReason } from "../client/api_error.ts";
import { pauseBefore } from "../client/retry.ts";
import { nodePath, type OwnNode } from "./own_node.ts";

export interface CsiNodeOptions {
  api: Api;
  host: Pick<Host, "monotonic">;
  log: Log;
  own: OwnNode;
  nodeName: string;
  drivers: CsiDrivers;
  random?: () => number;
}

const backOff = { first: 500, most: 120_000 };
const collection = "/apis/storage.k8s.io/v1/csinodes";

/** Never rejects; ends with the signal. Asks only when a driver came or went, or the Node is another one. */
export async function keepCsiNode(o: CsiNodeOptions, signal: AbortSignal): Promise<void> {
  const { host, own, drivers, random = Math.random } = o;
  const mailbox = createMailbox<never>(() => host.monotonic());
  /** Those that left while this agent was here: others may only not be here yet. */
  const gone = new Set<string>();
  let kept: string | undefined;
  drivers.subscribe((name) => {
    if (drivers.driver(name) === undefined) gone.add(name);
    else gone.delete(name);
    kept = undefined;
    mailbox.nudge();
  }, signal);
  own.changes.subscribe((node) => node?.metadata?.uid !== kept && mailbox.nudge(), signal);
  let failures = 0;
  while (!signal.aborted) {
    const node = own.get();
    let again: number | undefined;
    if (node !== undefined && node.metadata?.uid !== kept) {
      // Before it is told: what changes meanwhile makes it due again.
      kept = node.metadata?.uid;
      try {
        await tell(o, node, gone, signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        kept = undefined;
        again = host.monotonic() + pauseBefore(failures++, backOff, random());
        o.log.debug("the node's CSI drivers were not told", { error: errorText(error), failures });
      }
    }
    await mailbox.wait(signal, again);
  }
}

async function tell(o: CsiNodeOptions, node: Node, gone: ReadonlySet<string>, signal: AbortSignal) {
  const facts = o.drivers.all().map((driver) => driver.facts);
  await tellCsiNode(o, node, facts, gone, signal);
  const body = nodeIdPatch(o.own.get() ?? node, facts, gone);
  if (body === undefined) return;
  const contentType = "application/merge-patch+json";
  await o.api.ask({ method: "PATCH", path: nodePath(o.nodeName), body, contentType, signal });
}

async function tellCsiNode(
  { api, nodeName }: CsiNodeOptions,
  node: Node,
  facts: readonly CsiDriverFacts[],
  gone: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const path = `${collection}/${encodeURIComponent(nodeName)}`;
  let known: CsiNode;
  try {
    known = await api.ask({ path, signal }) as CsiNode;
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
    const body = csiNodeWith(undefined, node, facts, gone);
    await api.ask({ method: "POST", path: collection, body, signal });
    return;
  }
  const wanted = csiNodeWith(known, node, facts, gone);
  if (wanted === known) return;
  try {
    await api.ask({ method: "PUT", path, body: wanted, signal });
  } catch (error) {
    if (!isReason(error, "Invalid")) throw error;
    // What is told of a driver cannot change: it leaves and comes back.
    const all = new Set([...gone, ...facts.map(({ name }) => name)]);
    const without = await api.ask({
      method: "PUT",
      path,
      body: csiNodeWith(known, node, [], all),
      signal,
    }) as CsiNode;
    await api.ask({ method: "PUT", path, body: csiNodeWith(without, node, facts, gone), signal });
  }
}
