/** The pods that the API server has bound to this node, as a source. Not for: watching them (cluster/pods/). */
import { watchPods } from "../../cluster/pods/pods.ts";
import type { Pod } from "../../model/gen/v1.ts";
import type { PodKey } from "../../model/wish.ts";
import type { Loop } from "../loop.ts";
import type { ClusterContext } from "./mod.ts";
import { podEntrance } from "./objects.ts";

export const podSource = (
  context: ClusterContext,
  mirrors: (seen: ReadonlyMap<PodKey, Pod>) => void,
): Loop => ({
  name: "pods of the cluster",
  async run(signal) {
    const { link, log } = context;
    const entrance = podEntrance(context, signal);
    await watchPods({
      ...link,
      log,
      restored: () => link.statuses.retry(),
      changed(pods, seen) {
        link.statuses.shown([...[...pods.values()].map(({ pod }) => pod), ...seen.values()]);
        mirrors(seen);
        entrance.put(pods);
      },
    }, signal);
  },
});
