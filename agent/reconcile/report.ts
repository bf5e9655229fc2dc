/**
 * Puts into the status store what one pod looks like, and the events of its life. Not for: deriving it
 * (model/status.ts).
 */
import { isOfApi } from "../model/api_pod.ts";
import type { StatusStore } from "../status_store.ts";
import type { Pod, PodStatus } from "../model/gen/v1.ts";
import type { Problem } from "../model/errors.ts";
import type { DesiredPod, Wish } from "../model/wish.ts";
import type { ObservedPod } from "../model/observed.ts";
import type { Facts } from "../model/plan.ts";
import { derivePodStatus } from "../model/status.ts";
import { isoTime } from "../model/iso_time.ts";
import { usableSandbox } from "../model/need.ts";
import { NETWORK_STATUS, networkStatus } from "../model/networks.ts";
import { type PendingResize, resizeText } from "../model/resize.ts";
import type { ApplyOptions } from "./apply.ts";
import type { PodIdentity } from "./observe.ts";

export interface Reporter {
  event(type: "Normal" | "Warning", reason: string, message: string, container?: string): void;
  status(
    desired: DesiredPod | undefined,
    wish: Wish,
    observed: ObservedPod,
    facts: Facts & {
      messages: ReadonlyMap<string, string>;
      /** With the resources that it may have now. */
      given: DesiredPod | undefined;
      pending?: PendingResize | undefined;
    },
  ): void;
  /** What was shown last. */
  said(): PodStatus | undefined;
  /** The runtime cannot be asked, and nothing has been shown of the pod before. */
  unknown(desired: DesiredPod | undefined, message: string): void;
}

/** Edits that wait, because what is new in them cannot start and what runs shall not end for it. */
function heldEdits(desired: DesiredPod, status: PodStatus, { memory }: Facts): Problem[] {
  const { metadata, spec } = desired.pod;
  const running = new Set(
    (status.containerStatuses ?? []).filter((c) => c.state?.running).map((c) => c.name),
  );
  return (spec?.containers ?? []).flatMap((c, i): Problem[] => {
    const failure = memory.failures.get(`image:${c.name}`) ?? memory.failures.get("volumes");
    if (failure === undefined || !running.has(c.name)) return [];
    return [{
      severity: "warning",
      file: desired.origin,
      object: `Pod ${metadata?.namespace}/${metadata?.name}`,
      field: `spec.containers[${i}]`,
      message: `the running container stays until this can start: ${failure.message}`,
    }];
  });
}

export function createReporter(o: { store: StatusStore; apply: ApplyOptions }, id: PodIdentity): Reporter {
  let before: PodStatus | undefined;
  let deletedAt: number | undefined;
  let waited: string | undefined;
  let inits = new Set<string>();
  let ephemeral = new Set<string>();

  const kindOf = (container: string) =>
    inits.has(container) ? "initContainers" : ephemeral.has(container) ? "ephemeralContainers" : "containers";
  const fieldPath = (container: string) => `spec.${kindOf(container)}{${container}}`;

  const event: Reporter["event"] = (type, reason, message, container) =>
    o.store.addEvent({
      type,
      reason,
      message,
      object: { kind: "Pod", namespace: id.namespace, name: id.name, uid: id.uid },
      ...(container === undefined ? {} : { fieldPath: fieldPath(container) }),
    }, o.apply.host.now());

  /** A container that enters back-off says so once. */
  const announceBackOff = (pod: Pod, status: PodStatus) => {
    const wanted = [...pod.spec?.containers ?? [], ...pod.spec?.initContainers ?? []];
    for (const c of [...status.initContainerStatuses ?? [], ...status.containerStatuses ?? []]) {
      const reason = c.state?.waiting?.reason ?? "";
      const known = [...before?.initContainerStatuses ?? [], ...before?.containerStatuses ?? []];
      const old = known.find((b) => b.name === c.name)?.state?.waiting?.reason;
      if (reason === old || !reason.endsWith("BackOff")) continue;
      const what = reason === "CrashLoopBackOff"
        ? `Back-off restarting failed container ${c.name} in pod ${id.name}_${id.namespace}(${id.uid})`
        : `Back-off pulling image "${wanted.find((w) => w.name === c.name)?.image ?? ""}"`;
      event("Warning", "BackOff", what, c.name);
    }
  };

  /** So does a change of resources that has to wait. */
  const announcePending = (pod: Pod, pending: PendingResize | undefined) => {
    const old = before?.conditions?.find((c) => c.type === "PodResizePending");
    if (pending === undefined || (old?.reason === pending.reason && old.message === pending.message)) return;
    const text = resizeText(pod, pending.message);
    event("Warning", `Resize${pending.reason}`, `Pod resize ${pending.reason}: ${text}`);
  };

  /** A pod that waits for its devices says so once, and what became of it. */
  const announceHeld = ({ held, rejected }: Facts) => {
    const now = held ?? (waited === undefined ? undefined : rejected);
    if (now !== undefined && now.message !== waited) event("Warning", now.reason, now.message);
    waited = now?.message;
  };

  return {
    event,
    said: () => before,
    unknown(desired, message) {
      if (desired === undefined || before !== undefined) return;
      const status: PodStatus = { phase: "Unknown", reason: "RuntimeUnavailable", message };
      o.store.putPod({ apiVersion: "v1", kind: "Pod", ...desired.pod, status });
    },
    status(desired, wish, observed, facts) {
      if (desired === undefined) return;
      inits = new Set(desired.pod.spec?.initContainers?.map((c) => c.name));
      ephemeral = new Set(desired.pod.spec?.ephemeralContainers?.map((c) => c.name));
      const stopping = wish.kind === "absent";
      if (!stopping) deletedAt = undefined;
      else deletedAt ??= facts.now;
      const { hostIPs, runtimeName } = o.apply.node;
      const status = derivePodStatus(facts.given?.pod ?? desired.pod, observed, {
        ...facts,
        hostIPs,
        runtimeName,
        devices: o.apply.devices?.health(id.uid),
        before: before ?? (isOfApi(desired.pod) ? desired.pod.status : undefined),
        stopping,
      });
      if (!stopping) announceBackOff(desired.pod, status);
      announcePending(desired.pod, facts.pending);
      announceHeld(facts);
      o.store.setProblems(`pod ${id.uid}`, stopping ? [] : heldEdits(desired, status, facts));
      before = status;
      const networks = networkStatus(usableSandbox(desired.pod, observed));
      const metadata = {
        creationTimestamp: status.startTime!,
        ...desired.pod.metadata,
        ...(networks !== undefined && {
          annotations: { ...desired.pod.metadata?.annotations, [NETWORK_STATUS]: networks },
        }),
      };
      const pod: Pod = { apiVersion: "v1", kind: "Pod", ...desired.pod, metadata, status };
      if (deletedAt !== undefined) metadata.deletionTimestamp ??= isoTime(deletedAt);
      o.store.putPod(pod);
    },
  };
}
