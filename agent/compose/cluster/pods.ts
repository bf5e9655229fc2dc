/** The pods that the API server has bound to this node, as a source. Not for: watching them (cluster/pods/). */
import { watchPods } from "../../cluster/pods/pods.ts";
import type { Pod } from "../../model/gen/v1.ts";
import { noObjects, type PodKey } from "../../model/wish.ts";
import type { Loop } from "../loop.ts";
import type { ClusterContext } from "./mod.ts";

export const podSource = (
  { link, log, publish }: ClusterContext,
  mirrors: (seen: ReadonlyMap<PodKey, Pod>) => void,
): Loop => ({
  name: "pods of the cluster",
  run: (signal) =>
    watchPods({
      ...link,
      log,
      restored: () => link.statuses.retry(),
      changed(pods, seen) {
        link.statuses.shown([...[...pods.values()].map(({ pod }) => pod), ...seen.values()]);
        mirrors(seen);
        publish({ ...noObjects, source: "api", pods, problems: [] });
      },
    }, signal),
});
