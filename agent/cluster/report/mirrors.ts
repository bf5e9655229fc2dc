/**
 * Keeps a mirror of each static pod at the API server, where the cluster's tools look for it. The pod itself never waits
 * for its mirror. Not for: what a mirror says (model/mirror.ts), nor for its status (statuses.ts).
 */
import { createMailbox } from "../../lib/mailbox.ts";
import { errorText, type Problem } from "../../model/errors.ts";
import type { Pod } from "../../model/gen/v1.ts";
import { isCurrent, mirrorName, mirrorOf } from "../../model/mirror.ts";
import { type DesiredPod, type PodKey, podKey } from "../../model/wish.ts";
import type { Api } from "../client/api.ts";
import { isPassing, isReason } from "../client/api_error.ts";
import { pauseBefore } from "../client/retry.ts";

export interface MirrorOptions {
  api: Api;
  nodeName: string;
  /** On a clock that never jumps, in ms. */
  monotonic(): number;
  /** All that is in the way of mirrors, each time that it changes. */
  report(problems: Problem[]): void;
  /** In [0, 1). */
  random?: () => number;
}

export interface Mirrors {
  /** The static pods that there are, by their own keys; `complete`: all of them. */
  want(pods: readonly DesiredPod[], complete: boolean): void;
  /** The mirrors that the API server has. */
  seen(mirrors: ReadonlyMap<PodKey, Pod>): void;
  /** Never rejects; ends with the signal. */
  run(signal: AbortSignal): Promise<void>;
}

const deadline = 15_000;
const backOff = { first: 1_000, most: 300_000 };

interface Trouble {
  attempt: number;
  until: number;
  problem?: Problem;
}

type Work = { key: PodKey; create: DesiredPod } | { key: PodKey; remove: Pod };

export function createMirrors(o: MirrorOptions): Mirrors {
  const { api, nodeName, random = Math.random } = o;
  const mailbox = createMailbox<true>(o.monotonic);
  /** By name of the work. */
  const troubles = new Map<string, Trouble>();
  let wanted: ReadonlyMap<PodKey, DesiredPod> = new Map();
  let complete = false;
  let mirrors: ReadonlyMap<PodKey, Pod> | undefined;
  let owner: { name: string; uid: string } | undefined;

  async function nodeOf(signal: AbortSignal): Promise<{ name: string; uid: string }> {
    if (owner !== undefined) return owner;
    const node = await api.ask({ path: `/api/v1/nodes/${nodeName}`, deadline, signal });
    const uid = (node as { metadata?: { uid?: string } } | null)?.metadata?.uid ?? "";
    return owner = { name: nodeName, uid };
  }

  async function carryOut(work: Work, signal: AbortSignal): Promise<void> {
    const [namespace, name] = work.key.split("/");
    const path = `/api/v1/namespaces/${namespace}/pods`;
    if ("create" in work) {
      const body = mirrorOf(work.create.pod, await nodeOf(signal));
      await api.ask({ method: "POST", path, body, deadline, signal });
      return;
    }
    const body = { gracePeriodSeconds: 0, preconditions: { uid: work.remove.metadata?.uid } };
    await api.ask({ method: "DELETE", path: `${path}/${name}`, body, deadline, signal });
  }

  async function attempt(work: Work, signal: AbortSignal): Promise<void> {
    try {
      await carryOut(work, signal);
      // What came of it is told by the watch; should it be silent, it is tried again.
      troubles.set(nameOf(work), { attempt: 0, until: o.monotonic() + backOff.first });
    } catch (error) {
      if (signal.aborted) return;
      // A node that was registered anew has another uid.
      if (isReason(error, "Forbidden")) owner = undefined;
      const tries = troubles.get(nameOf(work))?.attempt ?? 0;
      const isQuiet = isPassing(error) || isReason(error, "AlreadyExists", "Conflict") || "remove" in work;
      troubles.set(nameOf(work), {
        attempt: tries + 1,
        until: o.monotonic() + pauseBefore(tries, backOff, random()),
        ...(isQuiet || !("create" in work) ? {} : { problem: problemOf(work.create, error) }),
      });
    }
  }

  /** `works`: all that there is. */
  function tell(works: readonly Work[]): void {
    const names = new Set(works.map(nameOf));
    for (const name of troubles.keys()) if (!names.has(name)) troubles.delete(name);
    o.report([...troubles.values()].flatMap(({ problem }) => problem ?? []));
  }

  return {
    want(pods, all) {
      complete = all;
      wanted = new Map(pods.map((pod) => [keyOf(pod, nodeName), pod]));
      mailbox.nudge();
    },
    seen(found) {
      mirrors = found;
      mailbox.nudge();
    },
    async run(signal) {
      while (!signal.aborted) {
        const works = mirrors === undefined ? [] : planMirrors(wanted, mirrors, complete, owner?.uid);
        const due = works.filter((work) => (troubles.get(nameOf(work))?.until ?? 0) <= o.monotonic());
        await Promise.all(due.map((work) => attempt(work, signal)));
        tell(works);
        if (due.length > 0) continue;
        const later = works.map((work) => troubles.get(nameOf(work))?.until ?? Infinity);
        await mailbox.wait(signal, works.length === 0 ? undefined : Math.min(...later));
      }
    },
  };
}

const nameOf = (work: Work): string => `${"create" in work ? "create" : "remove"} ${work.key}`;

const keyOf = ({ pod }: DesiredPod, nodeName: string): PodKey =>
  podKey({ metadata: { ...pod.metadata, name: mirrorName(pod.metadata?.name ?? "", nodeName) } });

/** Pure. A mirror that says something else is taken away first. */
function planMirrors(
  wanted: ReadonlyMap<PodKey, DesiredPod>,
  mirrors: ReadonlyMap<PodKey, Pod>,
  complete: boolean,
  node: string | undefined,
): Work[] {
  const owner = (mirror: Pod) => node ?? mirror.metadata?.ownerReferences?.[0]?.uid ?? "";
  const stale = [...mirrors].flatMap(([key, mirror]): Work[] => {
    const static_ = wanted.get(key);
    if (static_ === undefined) return complete ? [{ key, remove: mirror }] : [];
    const now = mirrorOf(static_.pod, { name: "", uid: owner(mirror) });
    return isCurrent(mirror, now) ? [] : [{ key, remove: mirror }];
  });
  const missing = [...wanted].filter(([key]) => !mirrors.has(key));
  return [...stale, ...missing.map(([key, create]) => ({ key, create }))];
}

function problemOf({ pod, origin }: DesiredPod, error: unknown): Problem {
  const { namespace, name } = pod.metadata ?? {};
  const why = isReason(error, "NotFound")
    ? `it has no namespace ${namespace} (kubectl create namespace ${namespace}), or does not know this node yet`
    : errorText(error);
  return {
    severity: "warning",
    file: origin,
    object: `Pod ${namespace}/${name}`,
    message: `the API server takes no mirror of it: ${why}; the pod itself runs all the same`,
  };
}
