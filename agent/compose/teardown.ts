/**
 * `agent teardown`: every pod of this instance ends as if its manifest had been removed, then the agent's own
 * containerd and its network go. Manifests and images stay. Not for: a running agent, which would start them again.
 */
import { dirname } from "@std/path";
import type { Config } from "../config/config.ts";
import type { Log } from "../lib/log.ts";
import { AgentError } from "../model/errors.ts";
import type { ObservedPod } from "../model/observed.ts";
import { noObjects } from "../model/wish.ts";
import type { Host } from "../ports.ts";
import type { Reconciler } from "../reconcile/reconciler.ts";
import { createMetrics } from "../lib/metrics.ts";
import { createStatusStore } from "../status_store.ts";
import { endOrphans } from "../../plugins/drivers/mod.ts";
import { createDevices } from "./devices.ts";
import { createCsi } from "./csi.ts";
import { runPlugins } from "./plugins.ts";
import { removeNetwork } from "./networks.ts";
import { createPodParts } from "./pods.ts";
import { chooseRuntime, type ChosenRuntime, startManaged } from "./runtime.ts";

/** For one more pod to end. */
const patienceMs = 90_000;

/** Until the pods that the reconciler knows have ended, or none has for too long. */
async function untilGone(
  { host, report }: { host: Host; report(text: string): void },
  reconciler: Pick<Reconciler, "known">,
  signal: AbortSignal,
): Promise<void> {
  let [left, since] = [-1, host.monotonic()];
  while (reconciler.known().size > 0 && !signal.aborted && host.monotonic() - since < patienceMs) {
    if (left !== reconciler.known().size) {
      [left, since] = [reconciler.known().size, host.monotonic()];
      report(`stopping ${left} pod${left === 1 ? "" : "s"}`);
    }
    await host.sleep(50, signal).catch(() => {});
  }
}

export interface TeardownOptions {
  config: Config;
  host: Host;
  log: Log;
  report(text: string): void;
}

export async function teardown(o: TeardownOptions, signal: AbortSignal): Promise<void> {
  const { config, host } = o;
  const chosen = await runningRuntime(o, signal);
  const { open, cgroups } = await endPods(o, chosen, "all", signal);
  chosen.cri.close();
  signal.throwIfAborted();
  if (open > 0) throw late(open);
  await endOrphans(config.rootDir, () => false);
  if (chosen.containerd !== undefined) await chosen.containerd.stopForGood(signal);
  else if (config.network.write) await removeNetwork(o);
  await cgroups.removeRoot();
  // An agent that was killed leaves its socket.
  await host.remove(config.socket).catch(() => {});
  // The instance's volatile directory; it stays when it holds something else.
  await host.remove(dirname(config.managedRuntime.state)).catch(() => {});
  o.report("done: no pod of this instance is left");
}

/** Ends what an API server had bound to this node, and leaves static pods as they are; how many there were. Throws when some do not end. */
export async function endClusterPods(o: TeardownOptions, signal: AbortSignal): Promise<number> {
  const chosen = await runningRuntime(o, signal);
  const { met, open } = await endPods(o, chosen, (pod) => pod.source === "api", signal);
  chosen.cri.close();
  if (open > 0) throw late(open);
  return met;
}

/** The runtime is left to them: it is needed to try again. */
const late = (open: number) =>
  new AgentError("DeadlineExceeded", `${open} pods did not end in time: run the command again`);

async function runningRuntime(o: TeardownOptions, signal: AbortSignal): Promise<ChosenRuntime> {
  const chosen = await chooseRuntime(o, signal);
  if (chosen.containerd !== undefined) {
    await startManaged({ ...o, cri: chosen.cri, containerd: chosen.containerd }, signal);
  }
  return chosen;
}

/** Ends the pods that are meant; of all, those too of which there is only a directory. */
async function endPods(
  o: TeardownOptions,
  { cri }: ChosenRuntime,
  isMeant: "all" | ((pod: ObservedPod) => boolean),
  signal: AbortSignal,
) {
  const { config, host, log } = o;
  const store = createStatusStore();
  const leave = new AbortController();
  const { ledger: devices } = await createDevices({ config, host, log, store }, []);
  const csi = createCsi({ config, host, log, store }, leave.signal);
  const { reconciler, cgroups } = createPodParts(
    { csi, config, host, log, store, metrics: createMetrics(), cri, taken: [], devices },
    leave.signal,
  );
  reconciler.update({ pods: new Map(), objects: noObjects, problems: [], complete: true });
  // Drivers are needed to take back their volumes; they may be pods themselves, which go after the users of their volumes.
  const following = [
    csi.run(reconciler, leave.signal),
    runPlugins({ config, host, log, store, takers: { CSIPlugin: csi.taker } }, leave.signal),
  ];
  const users = new Set(await csi.volumes.users());
  const observed = await cri.runtime.observe(undefined, signal);
  const meant = isMeant === "all" ? observed : observed.filter(isMeant);
  reconciler.takeOver(meant.filter((pod) => users.has(pod.uid)));
  await untilGone(o, reconciler, signal);
  if (isMeant === "all") await reconciler.recover();
  else reconciler.takeOver(meant);
  await untilGone(o, reconciler, signal);
  const open = reconciler.known().size;
  const all = await cgroups();
  leave.abort();
  await reconciler.finished();
  await Promise.all(following);
  return { open, met: meant.length, cgroups: all };
}
