/**
 * What may be asked of a pod besides its sessions: to start again, to take an ephemeral container in, what its probes
 * were answered. Not for: bringing it about (reconcile/).
 */
import type { Hono } from "hono";
import type { ProbeReport } from "../model/probe_report.ts";
import type { StatusStore } from "../status_store.ts";
import type { EphemeralContainer, Pod } from "../model/gen/v1.ts";
import { parseEphemeral } from "../model/validate_ephemeral.ts";
import { sourceOf } from "../model/wish.ts";
import { containerNames, isRefusal, noSuchContainer, podOf, type Refusal, refuse } from "./lookup.ts";

export interface PodRequests {
  /** Absent: all, init containers first. False: the pod is on its way out. */
  restart(uid: string, containers?: readonly string[]): boolean;
  addEphemeral(uid: string, container: EphemeralContainer): boolean;
  probes(uid: string): readonly ProbeReport[];
}

export interface PodRoutes {
  store: StatusStore;
  requests: PodRequests;
  now(): number;
}

const isLeaving = (pod: Pod): boolean => pod.metadata?.deletionTimestamp !== undefined;

const beingRemoved = ({ metadata }: Pod): Refusal => ({
  reason: "Conflict",
  message: `pod ${metadata?.namespace}/${metadata?.name} is being removed`,
});

export function addPodRoutes(app: Hono, { store, requests, now }: PodRoutes): void {
  app.get("/probes/:ns/:pod", (c) => {
    const pod = podOf(c, store);
    if (isRefusal(pod)) return refuse(c, pod);
    return c.json({ kind: "ProbeReportList", items: requests.probes(pod.metadata?.uid ?? "") });
  });
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
    if (isLeaving(pod) || !requests.restart(uid, names.length > 0 ? names : undefined)) {
      return refuse(c, beingRemoved(pod));
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
  /** The body is a v1 EphemeralContainer in JSON; the answer is what has become of it. */
  app.post("/ephemeralContainers/:ns/:pod", async (c) => {
    const pod = podOf(c, store);
    if (isRefusal(pod)) return refuse(c, pod);
    const body: unknown = await c.req.json().catch(() => undefined);
    const parsed = parseEphemeral(body, pod);
    if ("problems" in parsed) return refuse(c, { reason: "BadRequest", message: parsed.problems.join("; ") });
    const { phase } = pod.status ?? {};
    const where = `pod ${pod.metadata?.namespace}/${pod.metadata?.name}`;
    if (sourceOf(pod) === "api") {
      return refuse(c, { reason: "Conflict", message: `${where} is the cluster's: use kubectl debug` });
    }
    if (phase === "Succeeded" || phase === "Failed") {
      return refuse(c, { reason: "Conflict", message: `${where} has ended (${phase})` });
    }
    if (isLeaving(pod) || !requests.addEphemeral(pod.metadata?.uid ?? "", parsed.container)) {
      return refuse(c, beingRemoved(pod));
    }
    return c.json(parsed.container);
  });
}
