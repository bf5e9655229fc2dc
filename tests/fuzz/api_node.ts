/**
 * A node of the double of a cluster that can be killed: the agent's own watch, reconciler and report on a fake runtime
 * that outlives them. Not for: what is asked of it (api_pods_test.ts).
 */
import type { Api } from "../../agent/cluster/client/api.ts";
import { watchPods } from "../../agent/cluster/pods/pods.ts";
import { createStatusReport } from "../../agent/cluster/report/statuses.ts";
import { silentLog } from "../../agent/lib/log.ts";
import type { PodEnd } from "../../agent/model/end.ts";
import { noObjects, type Snapshot } from "../../agent/model/wish.ts";
import { mergeSnapshots } from "../../agent/sources/merge.ts";
import type { FakeRuntime } from "../fakes/runtime.ts";
import { type Bench, createBench } from "../unit/agent/reconcile/bench.ts";

export interface ApiNode {
  bench: Bench;
  /** All that it remembered is gone. */
  kill(): Promise<void>;
}

export interface ApiNodeOptions {
  api: Api;
  nodeName: string;
  root: string;
  fake: FakeRuntime;
  refusal(uid: string): PodEnd | undefined;
}

/** A manifest directory that is empty, and is read before the API server answers. */
const manifests: Snapshot = { ...noObjects, source: "file", pods: new Map(), problems: [] };
const sources = ["manifests", "cluster"];

const soon = (_ms: number) => new Promise<void>((resolve) => setTimeout(resolve, 2));

export async function startApiNode({ api, nodeName, root, fake, refusal }: ApiNodeOptions): Promise<ApiNode> {
  const stop = new AbortController();
  const report = createStatusReport({ api, log: silentLog, rate: { qps: 0, burst: 0 }, random: () => 0 });
  const bench = createBench(root, fake, undefined, undefined, {
    reports: report,
    admission: { judge: () => [], refusal },
    gone: (uid) => report.departed(uid),
  });
  bench.store.subscribe((change) => {
    if (change.kind === "pod" && !change.deleted) report.put(change.uid, change.pod.status!);
  }, stop.signal);
  await bench.reconciler.recover();
  bench.reconciler.update(mergeSnapshots(new Map([["manifests", manifests]]), sources));
  const watching = watchPods({
    api,
    nodeName,
    log: silentLog,
    pause: soon,
    restored: () => report.retry(),
    changed(pods) {
      report.shown([...pods.values()].map(({ pod }) => pod));
      const snapshot = { ...noObjects, source: "api" as const, pods, problems: [] };
      bench.reconciler.update(
        mergeSnapshots(new Map<string, Snapshot>([["manifests", manifests], ["cluster", snapshot]]), sources),
      );
    },
  }, stop.signal);
  const reporting = report.run(stop.signal);
  return {
    bench,
    async kill() {
      stop.abort();
      await Promise.all([bench.leave(), watching, reporting]);
    },
  };
}
