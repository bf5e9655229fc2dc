/** How this node stands with its cluster, for who looks at the node. Not for: telling the cluster. */
import type { AgentStatus } from "../../model/status_types.ts";
import type { StatusStore } from "../../status_store.ts";
import type { ClusterLink } from "./link.ts";

/** Absent: it is of none. */
export function clusterStatus(link: ClusterLink | undefined): Pick<AgentStatus, "cluster"> {
  if (link === undefined) return {};
  const node = link.own.get();
  const trouble = link.own.trouble();
  const ready = node?.status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";
  return {
    cluster: {
      server: link.kubeconfig()?.server ?? "",
      answers: node !== undefined && trouble === undefined,
      ...(trouble !== undefined && { message: trouble.message }),
      registered: node !== undefined,
      ready,
      unschedulable: node?.spec?.unschedulable === true,
    },
  };
}

/** Keeps it as it is now, until the signal aborts. */
export function followCluster(link: ClusterLink, store: StatusStore, signal: AbortSignal): void {
  link.own.changes.subscribe(() => {
    const status = store.status();
    if (status !== undefined) store.setStatus({ ...status, ...clusterStatus(link) });
  }, signal);
}
