/**
 * Keeps what this node has said of each wanted pod: taken, or refused and why. Not for: the judgement (model/admission.ts)
 * or what follows from it (model/plan_start.ts).
 */
import { isOver, isOverAtApi } from "../model/api_pod.ts";
import { type AdmissionNode, admitPods } from "../model/admission.ts";
import type { PodEnd } from "../model/end.ts";
import type { Pod } from "../model/gen/v1.ts";
import type { DesiredPod } from "../model/wish.ts";
import type { StatusStore } from "../status_store.ts";

export interface AdmissionOptions {
  /** As it is now. */
  node(): AdmissionNode;
  store: StatusStore;
  now(): number;
  /** Uids of the pods that an earlier run of the agent took. */
  taken: readonly string[];
}

export interface Admission {
  /**
   * Judges all wanted pods anew; returns the uids of those that fare otherwise than before. `all`: there are no others;
   * else what was said of those that are not told of yet is remembered.
   */
  judge(pods: Iterable<DesiredPod>, all: boolean): string[];
  /** Why the pod is refused; `undefined`: it is not. */
  refusal(uid: string): PodEnd | undefined;
}

/** Whether a pod's containers have all ended for good, or it was refused. */
export const isEnded = (pod: Pod): boolean => isOver(pod.status);

export function createAdmission(o: AdmissionOptions): Admission {
  let verdicts: Map<string, PodEnd | undefined> = new Map(o.taken.map((uid) => [uid, undefined]));
  let judged: Map<string, Pod> = new Map();

  const tell = ({ uid, pod: { metadata } }: DesiredPod, { reason, message }: PodEnd) => {
    const { namespace = "default", name = "" } = metadata ?? {};
    o.store.addEvent(
      { type: "Warning", reason, message, object: { kind: "Pod", namespace, name, uid } },
      o.now(),
    );
  };

  return {
    judge(pods, all) {
      const wanted = [...pods];
      const over = wanted.filter(({ pod }) => isOverAtApi(pod)).map(({ uid }) => uid);
      const ended = new Set(
        [...over, ...o.store.pods().filter(isEnded).map((p) => p.metadata?.uid ?? "")],
      );
      const before = verdicts;
      const known = { verdicts: before, pods: judged };
      const told = admitPods(wanted, known, (uid) => ended.has(uid), o.node());
      verdicts = all ? told : new Map([...before, ...told]);
      judged = new Map(wanted.map(({ uid, pod }) => [uid, pod]));
      const changed = wanted.filter(({ uid }) => !sameEnd(verdicts.get(uid), before.get(uid)));
      for (const desired of changed) {
        const refusal = verdicts.get(desired.uid);
        if (refusal !== undefined) tell(desired, refusal);
      }
      return changed.map(({ uid }) => uid);
    },
    refusal(uid) {
      const found = verdicts.get(uid);
      if (found === undefined || found.reason === "Preempting") return found;
      return { reason: found.reason, message: `Pod was rejected: ${found.message}` };
    },
  };
}

const sameEnd = (a: PodEnd | undefined, b: PodEnd | undefined) =>
  a?.reason === b?.reason && a?.message === b?.message;
