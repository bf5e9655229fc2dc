/**
 * The node's own status: asks the runtime now and then whether it is ready, and says so. Not for: pods.
 */
import type { Host, Runtime } from "../ports.ts";
import type { StatusStore } from "../status_store.ts";
import type { AgentStatus, Condition } from "../model/status_types.ts";
import { errorText } from "../model/errors.ts";

export type NodeResources = Pick<AgentStatus, "capacity" | "allocatable">;

export interface NodeStatusOptions {
  host: Host;
  runtime: Runtime;
  store: StatusStore;
  /** All that does not change. */
  base: Omit<AgentStatus, "conditions" | "runtime" | "addresses" | "labels" | keyof NodeResources> & {
    runtime: { endpoint: string; managed: boolean };
  };
  /** As they are now. */
  resources(): NodeResources;
  addresses(): string[];
  labels(): Readonly<Record<string, string>>;
  cluster(): Pick<AgentStatus, "cluster">;
  /** Whether every source of pods has spoken. */
  complete(): boolean;
  /** What the node is short of. */
  pressures(): ReadonlySet<string>;
  /** How long ago the runtime last told all its pods, in ms. */
  listedAgo(): number;
  /** Told when the runtime answers again, and who it is. */
  onRuntime(view: RuntimeView): void;
  /** Told after each look, whatever it saw. */
  onLook(view: RuntimeView): void;
  everyMs: number;
}

export interface RuntimeView {
  name: string;
  version: string;
  reachable: boolean;
  runtimeReady: boolean;
  networkReady: boolean;
  supplementalGroupsPolicy?: boolean;
  recursiveReadOnlyHandlers?: readonly string[];
  userNamespaceHandlers?: readonly string[];
  message: string;
}

const timeoutMs = 10_000;

async function look(runtime: Runtime, signal: AbortSignal): Promise<RuntimeView> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    const [version, status] = await Promise.all([runtime.version(limit), runtime.status(limit)]);
    return { name: version.name, version: version.version, reachable: true, ...status };
  } catch (error) {
    const message = limit.aborted && !signal.aborted
      ? `no answer within ${timeoutMs / 1000} s`
      : errorText(error);
    return { name: "", version: "", reachable: false, runtimeReady: false, networkReady: false, message };
  }
}

/** The kubelet's: a runtime that answers but does not tell its pods for longer than this is no use. */
const listThresholdMs = 180_000;

export interface NodeConditionFacts {
  complete: boolean;
  listedAgo: number;
  pressures: ReadonlySet<string>;
}

/** Conditions in the words of the kubelet's node conditions and the CRI's. */
export function deriveConditions(
  view: RuntimeView | undefined,
  { complete, listedAgo, pressures }: NodeConditionFacts,
  before: readonly Condition[],
  now: number,
): Condition[] {
  const reasons = [
    ...(view?.reachable === true ? [] : [`container runtime is down: ${view?.message ?? "not asked yet"}`]),
    ...(view?.reachable === true && !view.runtimeReady
      ? [`container runtime is not ready: ${view.message}`]
      : []),
    ...(view?.reachable === true && !view.networkReady ? [`network is not ready: ${view.message}`] : []),
    ...(listedAgo <= listThresholdMs ? [] : [
      `PLEG is not healthy: pods were last listed ${Math.round(listedAgo / 1000)} s ago; threshold is ${
        listThresholdMs / 1000
      } s`,
    ]),
    ...(complete ? [] : ["the manifests have not been read yet"]),
  ];
  const conditions: [string, boolean, string, string][] = [
    [
      "Ready",
      reasons.length === 0,
      reasons.length === 0 ? "AgentReady" : "AgentNotReady",
      reasons.join("; "),
    ],
    ["RuntimeReady", view?.runtimeReady ?? false, "", view?.message ?? ""],
    ["NetworkReady", view?.networkReady ?? false, "", view?.message ?? ""],
    // Only those that are there: a node alone knows none.
    ...[...pressures].map((pressure): [string, boolean, string, string] => [pressure, true, "", ""]),
  ];
  return conditions.map(([type, on, reason, message]) => {
    const status = on ? "True" as const : "False" as const;
    const old = before.find((c) => c.type === type);
    return {
      type,
      status,
      ...(reason === "" ? {} : { reason }),
      ...(message === "" || on ? {} : { message }),
      lastTransitionTime: old?.status === status ? old.lastTransitionTime ?? now : now,
    };
  });
}

export async function runNodeStatus(o: NodeStatusOptions, signal: AbortSignal): Promise<void> {
  let wasReachable = false;
  while (!signal.aborted) {
    const view = await look(o.runtime, signal);
    if (signal.aborted) return;
    o.onLook(view);
    if (view.reachable && !wasReachable) o.onRuntime(view);
    wasReachable = view.reachable;
    const before = o.store.status();
    const facts = { complete: o.complete(), listedAgo: o.listedAgo(), pressures: o.pressures() };
    o.store.setStatus({
      ...o.base,
      ...o.resources(),
      addresses: o.addresses(),
      labels: o.labels(),
      ...o.cluster(),
      runtime: {
        ...o.base.runtime,
        name: view.name || before?.runtime.name || "",
        version: view.version || before?.runtime.version || "",
      },
      conditions: deriveConditions(view, facts, before?.conditions ?? [], o.host.now()),
    });
    const ready = o.store.status()?.conditions[0]?.status === "True";
    await o.host.sleep(ready ? o.everyMs : o.complete() ? 1000 : 100, signal).catch(() => {});
  }
}
