/** This machine as a Node of its cluster: registered, told of, its Lease renewed. Not for: how (cluster/node/). */
import { buildInfo } from "../../build_info.ts";
import { keepCsiNode } from "../../cluster/node/csi_node.ts";
import { keepLease } from "../../cluster/node/lease.ts";
import { watchOwnNode } from "../../cluster/node/own_node.ts";
import { reportNode } from "../../cluster/node/report.ts";
import { createMailbox } from "../../lib/mailbox.ts";
import { pause } from "../../lib/pause.ts";
import type { NodeRuntimeHandler } from "../../model/gen/v1.ts";
import { kubeletVersion } from "../../model/kubernetes_version.ts";
import { nodeLabels } from "../../model/node_affinity.ts";
import type { NodeView } from "../../model/node_status.ts";
import { createMachineInfo } from "../../node/node_info.ts";
import type { RuntimeView } from "../../node/status.ts";
import type { ImageStatus } from "../../ports.ts";
import type { Loop } from "../loop.ts";
import { type Machine, readMachine } from "../machine.ts";
import type { PodParts } from "../pods.ts";
import type { ClusterLink } from "./link.ts";
import type { ClusterContext } from "./mod.ts";
import { followCluster } from "./status.ts";

export function nodeServices(context: ClusterContext): Loop[] {
  const { config, csi, host, link, log } = context;
  const { api, nodeName, own } = link;
  return [
    { name: "own node", run: (signal) => watchOwnNode({ api, nodeName, own, log }, signal) },
    {
      name: "CSINode",
      run: (signal) => keepCsiNode({ api, host, log, own, nodeName, drivers: csi.drivers }, signal),
    },
    { name: "node of the cluster", run: (signal) => report(context, signal) },
    {
      name: "node lease",
      run: (signal) =>
        keepLease({
          ...{ api, host, log, nodeName },
          durationSeconds: config.node.leaseDurationSeconds,
          node: () => own.get(),
        }, signal),
    },
  ];
}

async function report(context: ClusterContext, signal: AbortSignal): Promise<void> {
  const { config, host, link, log, store } = context;
  const machine = readMachine(config.nodeIPs);
  const mailbox = createMailbox<never>(() => host.monotonic());
  followCluster(link, store, signal);
  followLabels(link, context.parts, signal);
  // Ready or not is told at once, and what the node is short of.
  store.subscribe((change) => change.kind === "status" && mailbox.nudge(), signal);
  context.parts.pressures.changes.subscribe(mailbox.nudge, signal);
  await followAttachments(context, mailbox.nudge, signal);
  const look = createLook(context, machine);
  await settled(context, signal);
  await reportNode({
    ...{ api: link.api, host, log, own: link.own, look },
    pause: async (ms, signal) => void await mailbox.wait(signal, host.monotonic() + ms),
    intent: {
      name: link.nodeName,
      labels: nodeLabels(link.nodeName, machine.arch, config.nodeLabels),
      ...config.node,
    },
    register: config.node.register,
    every: config.nodeStatusUpdateFrequency,
    reportEvery: config.node.reportFrequency,
    troubled: (why) =>
      store.setProblems(
        "node of the cluster",
        why === undefined ? [] : [{
          severity: "warning",
          file: config.cluster.kubeconfig,
          object: `Node ${link.nodeName}`,
          message: `cannot tell the API server of this node: ${why}`,
        }],
      ),
  }, signal);
}

/** Which pods the node takes may depend on its labels, which anybody may change at the API server. */
function followLabels({ own }: ClusterLink, { labels, reconciler }: PodParts, signal: AbortSignal): void {
  let before = JSON.stringify(labels());
  own.changes.subscribe(() => {
    const now = JSON.stringify(labels());
    if (now === before) return;
    before = now;
    reconciler.readmit();
  }, signal);
}

/** Volumes that are in use are told at once; pods that wait for one learn that it is attached. */
async function followAttachments(
  { csi, link: { attachments, own }, parts }: ClusterContext,
  tell: () => void,
  signal: AbortSignal,
): Promise<void> {
  if (attachments === undefined) return;
  attachments.restore(await csi.volumes.controlled());
  attachments.changes.subscribe(tell, signal);
  let before = new Set<string>();
  own.changes.subscribe((node) => {
    const now = new Set(node?.status?.volumesAttached?.map(({ name }) => name));
    const isNew = !now.isSubsetOf(before);
    before = now;
    if (isNew) parts.reconciler.retryVolumes();
  }, signal);
}

const settlesWithinMs = 10_000;

/**
 * Until the node is ready, or what is in its way is not only that the agent has just started: a new agent must not take the
 * node, and all its pods, out of service for a moment.
 */
async function settled({ store }: ClusterContext, signal: AbortSignal): Promise<void> {
  const isSettled = () => {
    const is = (type: string) => store.status()?.conditions.find((c) => c.type === type)?.status === "True";
    return store.status() !== undefined && (is("Ready") || !is("RuntimeReady") || !is("NetworkReady"));
  };
  const done = new AbortController();
  const either = AbortSignal.any([signal, done.signal]);
  store.subscribe(() => isSettled() && done.abort(), either);
  if (!isSettled()) await pause(settlesWithinMs, either);
  done.abort();
}

/** Images are many and change seldom. */
const imagesAgeMs = 30_000;

function createLook(context: ClusterContext, machine: Machine): (signal: AbortSignal) => Promise<NodeView> {
  const { config, host, parts, store } = context;
  const machineInfo = createMachineInfo(host, machine);
  let images: { at: number; list: ImageStatus[] } = { at: -Infinity, list: [] };

  async function newestImages(signal: AbortSignal): Promise<ImageStatus[]> {
    const at = host.monotonic();
    if (at - images.at < imagesAgeMs) return images.list;
    // A runtime that does not answer makes the node not ready, which is told with the images of before.
    const list = await parts.images.list(signal).catch(() => images.list);
    images = { at, list };
    return list;
  }

  return async (signal) => {
    const [info, list] = await Promise.all([machineInfo(), newestImages(signal)]);
    const view = context.runtimeView();
    const status = store.status();
    const ready = status?.conditions.find(({ type }) => type === "Ready");
    return {
      hostname: config.nodeName,
      addresses: status?.addresses ?? [...parts.node.hostIPs],
      capacity: status?.capacity ?? {},
      allocatable: status?.allocatable ?? {},
      notReady: ready?.status === "True" ? "" : ready?.message ?? "the runtime has not been asked yet",
      pressures: parts.pressures.get(),
      nodeInfo: {
        ...info,
        kubeletVersion: kubeletVersion(buildInfo().version),
        kubeProxyVersion: "",
        containerRuntimeVersion: `${status?.runtime.name || "unknown"}://${status?.runtime.version ?? ""}`,
      },
      images: list,
      maxImages: config.node.maxImages,
      runtimeHandlers: handlersOf(view),
      supplementalGroupsPolicy: view?.supplementalGroupsPolicy ?? false,
      kubeletPort: config.kubeletApi.enabled ? config.kubeletApi.port : 0,
      volumesInUse: context.link.attachments?.inUse() ?? [],
    };
  };
}

/** Those of which the runtime tells features; "" is the default one. */
function handlersOf(view: RuntimeView | undefined): NodeRuntimeHandler[] {
  const { recursiveReadOnlyHandlers: readOnly = [], userNamespaceHandlers: users = [] } = view ?? {};
  return [...new Set([...readOnly, ...users])].sort().map((name) => ({
    name,
    features: { recursiveReadOnlyMounts: readOnly.includes(name), userNamespaces: users.includes(name) },
  }));
}
