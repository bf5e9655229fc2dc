/** The events of this node for the API server, those of the node itself among them. Not for: sending (cluster/report/). */
import { reportEvents } from "../../cluster/report/events.ts";
import type { Loop } from "../loop.ts";
import type { ClusterContext } from "./mod.ts";

export const events = (context: ClusterContext): Loop => ({
  name: "events",
  async run(signal) {
    const { config, link, log, store, host } = context;
    announceNode(context, signal);
    const { api, nodeName } = link;
    const rate = config.cluster.eventRate;
    await reportEvents({ api, nodeName, store, now: () => host.now(), log, rate }, signal);
  },
});

/** In the kubelet's words. */
function announceNode({ store, host, link: { nodeName } }: ClusterContext, signal: AbortSignal): void {
  const tell = (reason: string, message: string) =>
    store.addEvent({ type: "Normal", reason, message, object: { kind: "Node", name: nodeName } }, host.now());
  tell("Starting", "Starting kubelet.");
  let before: string | undefined;
  const look = () => {
    const now = store.status()?.conditions.find(({ type }) => type === "Ready")?.status;
    if (now === undefined || now === before) return;
    if (before !== undefined || now === "True") {
      const reason = now === "True" ? "NodeReady" : "NodeNotReady";
      tell(reason, `Node ${nodeName} status is now: ${reason}`);
    }
    before = now;
  };
  look();
  store.subscribe((change) => change.kind === "status" && look(), signal);
}
