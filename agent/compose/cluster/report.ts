/** What becomes of the API server's pods goes up to it: from the status store. Not for: sending it (cluster/report/). */
import type { Pod } from "../../model/gen/v1.ts";
import type { Loop } from "../loop.ts";
import type { ClusterContext } from "./mod.ts";

export const statusReport = ({ link, store }: ClusterContext): Loop => ({
  name: "pod statuses",
  async run(signal) {
    const { statuses, departures } = link;
    const ending = new AbortController();
    const both = AbortSignal.any([signal, ending.signal]);
    const put = ({ metadata, status }: Pod) => status && statuses.put(metadata?.uid ?? "", status);
    for (const pod of store.pods()) put(pod);
    store.subscribe((change) => change.kind === "pod" && !change.deleted && put(change.pod), both);
    departures.subscribe((uid) => statuses.departed(uid), both);
    try {
      await statuses.run(signal);
    } finally {
      ending.abort();
    }
  },
});
