/**
 * Registers this node and keeps its Node's status: looked at often, written when something changed, or after a long time
 * without. Made again when somebody deletes it. Not for: measuring what is told, nor for the Lease.
 *
 * Source: kubernetes pkg/kubelet/kubelet_node_status.go.
 */
import type { Log } from "../../lib/log.ts";
import { errorText } from "../../model/errors.ts";
import type { Node, NodeStatus } from "../../model/gen/v1.ts";
import { newNode, type NodeIntent, nodePatch } from "../../model/node_object.ts";
import { nodeStatus, type NodeView, statusPatch } from "../../model/node_status.ts";
import { isoTime } from "../../model/iso_time.ts";
import type { Host } from "../../ports.ts";
import type { Api } from "../client/api.ts";
import { ApiError, isReason } from "../client/api_error.ts";
import { pauseBefore } from "../client/retry.ts";
import { nodePath, type OwnNode } from "./own_node.ts";

export interface NodeReportOptions {
  api: Api;
  host: Pick<Host, "now" | "monotonic">;
  log: Log;
  own: OwnNode;
  /** As it is to be registered. */
  intent: NodeIntent;
  /** False: somebody else makes the Node. */
  register: boolean;
  /** As the node is now. */
  look(signal: AbortSignal): Promise<NodeView>;
  /** Ends early when there may be something new to tell. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
  /** In ms: between looks, and until an unchanged status is told again. */
  every: number;
  reportEvery: number;
  /** Why the node cannot be told of, once that lasts; `undefined`: it can. */
  troubled(why: string | undefined): void;
  random?: () => number;
}

const backOff = { first: 200, most: 7_000 };

/** Never rejects; ends with the signal. */
export async function reportNode(o: NodeReportOptions, signal: AbortSignal): Promise<void> {
  const { log, random = Math.random } = o;
  const reporter = createReporter(o);
  for (let failures = 0; !signal.aborted;) {
    let ms = o.every;
    try {
      await reporter.round(signal);
      failures = 0;
      o.troubled(undefined);
    } catch (error) {
      if (signal.aborted) return;
      if (failures > 0) o.troubled(errorText(error));
      ms = Math.min(o.every, pauseBefore(failures++, backOff, random()));
      log.debug("the node's status was not told", { error: errorText(error), failures });
    }
    await o.pause(ms, signal);
  }
}

function createReporter(o: NodeReportOptions) {
  const { api, host, own, intent } = o;
  const path = nodePath(intent.name);
  /** Uid of the Node that was brought in line. */
  let reconciled: string | undefined;
  let toldAt = -Infinity;
  /** What an API server of an earlier version left out of what it was told, because it does not know it. */
  let dropped: string | undefined;
  /** Resources that this node has had: one that is gone is told as none of it. */
  const given = new Set<string>();

  const statusOf = (view: NodeView, before: NodeStatus) => nodeStatus(view, before, isoTime(host.now()));

  function heard({ status = {} }: Node, view: NodeView): void {
    toldAt = host.monotonic();
    dropped = JSON.stringify(statusPatch(status, statusOf(view, status), false));
  }

  async function look(signal: AbortSignal): Promise<NodeView> {
    const view = await o.look(signal);
    for (const name of Object.keys(view.capacity)) given.add(name);
    const none = Object.fromEntries([...given].map((name) => [name, "0"]));
    return {
      ...view,
      capacity: { ...none, ...view.capacity },
      allocatable: { ...none, ...view.allocatable },
    };
  }

  /** The Node that there is; `undefined`: none. */
  async function find(signal: AbortSignal): Promise<Node | undefined> {
    try {
      return await api.ask({ path, signal }) as Node;
    } catch (error) {
      if (isReason(error, "NotFound")) return undefined;
      throw error;
    }
  }

  async function create(view: NodeView, signal: AbortSignal): Promise<Node> {
    if (!o.register) {
      const message =
        `Node ${intent.name} does not exist, and registerNode is false: expected somebody to create it`;
      throw new ApiError(404, "NotFound", message);
    }
    const body = newNode(intent, statusOf(view, {}));
    const created = await api.ask({ method: "POST", path: "/api/v1/nodes", body, signal }) as Node;
    heard(created, view);
    reconciled = created.metadata?.uid;
    return created;
  }

  async function reconcile(node: Node, signal: AbortSignal): Promise<Node> {
    const body = nodePatch(node, intent);
    const patched = body === undefined
      ? node
      : await patch(path, body, "application/merge-patch+json", signal);
    reconciled = node.metadata?.uid;
    return patched;
  }

  const patch = async (path: string, body: unknown, contentType: string, signal: AbortSignal) =>
    await api.ask({ method: "PATCH", path, body, contentType, signal }) as Node;

  async function tell(node: Node, view: NodeView, signal: AbortSignal): Promise<Node> {
    const heartbeat = host.monotonic() - toldAt >= o.reportEvery;
    const before = node.status ?? {};
    const body = statusPatch(before, statusOf(view, before), heartbeat);
    if (body === undefined || (!heartbeat && JSON.stringify(body) === dropped)) return node;
    const answer = await patch(`${path}/status`, body, "application/strategic-merge-patch+json", signal);
    heard(answer, view);
    return answer;
  }

  return {
    async round(signal: AbortSignal): Promise<void> {
      const view = await look(signal);
      const found = own.get() ?? await find(signal);
      const node = found ?? await create(view, signal);
      const inLine = node.metadata?.uid === reconciled ? node : await reconcile(node, signal);
      try {
        own.set(await tell(inLine, view, signal));
      } catch (error) {
        if (isReason(error, "NotFound")) own.set(undefined);
        throw error;
      }
    },
  };
}
