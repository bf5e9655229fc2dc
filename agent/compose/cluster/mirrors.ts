/** Mirrors of the manifest directory's pods. Not for: keeping them (cluster/report/). */
import { createMirrors as create } from "../../cluster/report/mirrors.ts";
import type { Pod } from "../../model/gen/v1.ts";
import { mirroredUid } from "../../model/mirror.ts";
import { type Desired, type DesiredPod, type PodKey, sourceOf } from "../../model/wish.ts";
import type { StatusStore } from "../../status_store.ts";
import type { StatusReport } from "../../cluster/report/statuses.ts";
import type { Loop } from "../loop.ts";
import type { ClusterContext } from "./mod.ts";

export function createMirrors(
  { link, host, store, desired, signal }: ClusterContext,
): { seen(mirrors: ReadonlyMap<PodKey, Pod>): void; loop: Loop } {
  const { api, nodeName, own } = link;
  const mirrors = create({
    api,
    nodeName,
    own,
    monotonic: () => host.monotonic(),
    report: (problems) => store.setProblems("mirrors", problems),
  });
  let latest: Desired | undefined;
  const want = () => latest && mirrors.want(staticPods(latest, store), latest.complete);
  desired.subscribe((now) => {
    latest = now;
    want();
  }, signal);
  store.subscribe((change) => change.kind === "pod" && change.deleted && want(), signal);
  const tellStatus = followMirrors(link.statuses, store, nodeName, signal);
  const seen = (found: ReadonlyMap<PodKey, Pod>) => {
    mirrors.seen(found);
    tellStatus(found);
  };
  return { seen, loop: { name: "mirror pods", run: mirrors.run } };
}

/** A mirror shows the status of its pod. Returns what is to be told of the mirrors that the API server has. */
function followMirrors(
  statuses: StatusReport,
  store: StatusStore,
  nodeName: string,
  signal: AbortSignal,
): (mirrors: ReadonlyMap<PodKey, Pod>) => void {
  /** Uid of the mirror by that of its pod. */
  let uids = new Map<string, string>();
  const put = ({ metadata, status }: Pod) => {
    const uid = uids.get(metadata?.uid ?? "");
    if (uid !== undefined && status !== undefined) statuses.put(uid, status);
  };
  store.subscribe((change) => change.kind === "pod" && !change.deleted && put(change.pod), signal);
  return (mirrors) => {
    const before = uids;
    uids = new Map(
      [...mirrors.values()].map(({ metadata }) => [mirroredUid(metadata, nodeName), metadata?.uid ?? ""]),
    );
    for (const pod of store.pods()) {
      const uid = pod.metadata?.uid ?? "";
      if (uids.get(uid) !== before.get(uid)) put(pod);
    }
  };
}

/** Those that are wanted, and those of which something is left. */
function staticPods({ pods }: Desired, store: StatusStore): DesiredPod[] {
  const wanted = [...pods.values()].filter(({ source }) => source === "file");
  const uids = new Set(wanted.map(({ uid }) => uid));
  const ending = store.pods().filter((pod) => sourceOf(pod) === "file" && !uids.has(pod.metadata?.uid ?? ""));
  return [
    ...wanted,
    ...ending.map((pod): DesiredPod => ({ pod, uid: pod.metadata?.uid ?? "", source: "file", origin: "" })),
  ];
}
