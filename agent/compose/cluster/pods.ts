/** The pods that the API server has bound to this node, as a source. Not for: watching them (cluster/pods/). */
import { watchPods } from "../../cluster/pods/pods.ts";
import { noObjects } from "../../model/wish.ts";
import type { Loop } from "../loop.ts";
import type { ClusterContext } from "./mod.ts";

export const podSource = ({ link, log, publish }: ClusterContext): Loop => ({
  name: "pods of the cluster",
  run: (signal) =>
    watchPods({
      ...link,
      log,
      changed: (pods) => publish({ ...noObjects, source: "api", pods, problems: [] }),
    }, signal),
});
