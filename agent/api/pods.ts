/**
 * What may be asked of a pod besides its sessions: to start again. Not for: bringing it about (reconcile/).
 */
import type { Hono } from "hono";
import type { StatusStore } from "../status_store.ts";
import { containerNames, isRefusal, noSuchContainer, podOf, refuse } from "./lookup.ts";

export interface PodRequests {
  /** Absent: all, init containers first. False: the pod is on its way out. */
  restart(uid: string, containers?: readonly string[]): boolean;
}

export interface PodRoutes {
  store: StatusStore;
  requests: PodRequests;
  now(): number;
}

export function addPodRoutes(app: Hono, { store, requests, now }: PodRoutes): void {
  /** `container=NAME`, once for each that is meant, and `by`, who asks, for the event. */
  app.post("/restart/:ns/:pod", (c) => {
    const pod = podOf(c, store);
    if (isRefusal(pod)) return refuse(c, pod);
    const { namespace = "", name = "", uid = "" } = pod.metadata ?? {};
    const names = c.req.queries("container") ?? [];
    const sidecars = (pod.spec?.initContainers ?? []).filter((i) => i.restartPolicy === "Always");
    const known = [...sidecars.map((container) => container.name), ...containerNames(pod, ["containers"])];
    const stranger = names.find((word) => !known.includes(word));
    if (stranger !== undefined) return refuse(c, noSuchContainer(pod, stranger, known));
    if (
      pod.metadata?.deletionTimestamp !== undefined ||
      !requests.restart(uid, names.length > 0 ? names : undefined)
    ) {
      return refuse(c, { reason: "Conflict", message: `pod ${namespace}/${name} is being removed` });
    }
    const what = names.length === 0 ? "all containers" : `container ${names.join(", ")}`;
    const by = c.req.query("by") || "a client of the API";
    const object = { kind: "Pod", namespace, name, uid };
    store.addEvent({
      type: "Normal",
      reason: "RestartRequested",
      message: `${by} asked to restart ${what}`,
      object,
    }, now());
    return c.json({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Success" });
  });
}
