/** Mirrors of the manifest directory's pods. Not for: keeping them (cluster/report/). */
import { createMirrors as create } from "../../cluster/report/mirrors.ts";
import type { Pod } from "../../model/gen/v1.ts";
import type { Desired, DesiredPod, PodKey } from "../../model/wish.ts";
import type { StatusStore } from "../../status_store.ts";
import type { Loop } from "../loop.ts";
import type { ClusterContext } from "./mod.ts";

export function createMirrors(
  { link, host, store, desired, signal }: ClusterContext,
): { seen(mirrors: ReadonlyMap<PodKey, Pod>): void; loop: Loop } {
  const { api, nodeName } = link;
  const mirrors = create({
    api,
    nodeName,
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
  return { seen: mirrors.seen, loop: { name: "mirror pods", run: mirrors.run } };
}

/** Those that are wanted, and those of which something is left. */
function staticPods({ pods }: Desired, store: StatusStore): DesiredPod[] {
  const wanted = [...pods.values()].filter(({ source }) => source === "file");
  const uids = new Set(wanted.map(({ uid }) => uid));
  const ending = store.pods().filter(({ metadata }) =>
    metadata?.annotations?.["kubernetes.io/config.source"] === "file" && !uids.has(metadata.uid ?? "")
  );
  return [
    ...wanted,
    ...ending.map((pod): DesiredPod => ({ pod, uid: pod.metadata?.uid ?? "", source: "file", origin: "" })),
  ];
}
