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
import type { OwnNode } from "../node/own_node.ts";
import { deletePod } from "./delete_pod.ts";

export interface MirrorOptions {
  api: Api;
  nodeName: string;
  /** Whose Node mirrors are: one that is not registered has none. */
  own: Pick<OwnNode, "get" | "changes">;
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

type Work = { key: PodKey; of: DesiredPod; create: Pod } | { key: PodKey; remove: Pod };

export function createMirrors(o: MirrorOptions): Mirrors {
  const { api, nodeName, own, random = Math.random } = o;
  const mailbox = createMailbox<true>(o.monotonic);
  /** By name of the work. */
  const troubles = new Map<string, Trouble>();
  let wanted: ReadonlyMap<PodKey, DesiredPod> = new Map();
  let complete = false;
  let mirrors: ReadonlyMap<PodKey, Pod> | undefined;

  async function carryOut(work: Work, signal: AbortSignal): Promise<void> {
    if ("remove" in work) return await deletePod(api, work.remove, deadline, signal);
    const [namespace] = work.key.split("/");
    const path = `/api/v1/namespaces/${namespace}/pods`;
    await api.ask({ method: "POST", path, body: work.create, deadline, signal });
  }

  async function attempt(work: Work, signal: AbortSignal): Promise<void> {
    try {
      await carryOut(work, signal);
      // What came of it is told by the watch; should it be silent, it is tried again.
      troubles.set(nameOf(work), { attempt: 0, until: o.monotonic() + backOff.first });
    } catch (error) {
      if (signal.aborted) return;
      const tries = troubles.get(nameOf(work))?.attempt ?? 0;
      const isQuiet = isPassing(error) || isReason(error, "AlreadyExists", "Conflict") || "remove" in work;
      troubles.set(nameOf(work), {
        attempt: tries + 1,
        until: o.monotonic() + pauseBefore(tries, backOff, random()),
        ...(isQuiet || !("create" in work) ? {} : { problem: problemOf(work.of, error) }),
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
      let uid: string | undefined;
      own.changes.subscribe((node) => node?.metadata?.uid !== uid && mailbox.nudge(), signal);
      while (!signal.aborted) {
        uid = own.get()?.metadata?.uid;
        const node = uid === undefined ? undefined : { name: nodeName, uid };
        const works = mirrors === undefined ? [] : planMirrors(wanted, mirrors, complete, node);
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

/** Pure. A mirror that says something else is taken away first; while nobody knows the Node, those that there are stay. */
function planMirrors(
  wanted: ReadonlyMap<PodKey, DesiredPod>,
  mirrors: ReadonlyMap<PodKey, Pod>,
  complete: boolean,
  node: { name: string; uid: string } | undefined,
): Work[] {
  const unwanted = complete ? [...mirrors].filter(([key]) => !wanted.has(key)) : [];
  const works = unwanted.map(([key, remove]): Work => ({ key, remove }));
  if (node === undefined) return works;
  for (const [key, of] of wanted) {
    const [mirror, create] = [mirrors.get(key), mirrorOf(of.pod, node)];
    if (mirror === undefined) works.push({ key, of, create });
    else if (!isCurrent(mirror, create)) works.push({ key, remove: mirror });
  }
  return works;
}

function problemOf({ pod, origin }: DesiredPod, error: unknown): Problem {
  const { namespace, name } = pod.metadata ?? {};
  const why = isReason(error, "NotFound")
    ? `it has no namespace ${namespace} (kubectl create namespace ${namespace})`
    : errorText(error);
  return {
    severity: "warning",
    file: origin,
    object: `Pod ${namespace}/${name}`,
    message: `the API server takes no mirror of it: ${why}; the pod itself runs all the same`,
  };
}
