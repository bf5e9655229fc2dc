/** A host in memory that joins the double. Not for: assertions. */
import type { JoinAsked, JoinStep } from "../../../../../agent/cli/join_steps.ts";
import { loadConfig } from "../../../../../agent/compose/config.ts";
import { joinCluster } from "../../../../../agent/compose/join/join.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import { pause } from "../../../../../agent/lib/pause.ts";
import type { Cluster } from "../../../../fakes/cluster/cluster.ts";
import { createFakeHost, type FakeHost } from "../../../../fakes/host.ts";
import { never } from "../../cluster/connected.ts";

const environment = { env: {}, hostname: "Box" };

/** With the world's time, by which TLS goes. */
export function hostOf(options: Parameters<typeof createFakeHost>[0] = {}): FakeHost {
  const host = createFakeHost(options);
  return {
    ...host,
    now: Date.now,
    monotonic: () => performance.now(),
    sleep: (ms, signal) => pause(Math.min(ms, 50), signal),
  };
}

export const configOf = (host: FakeHost, flags = {}) => loadConfig(host, { flags, ...environment });

/** Preflight looks at the real machine: it has tests of its own. */
export const asking = async (cluster: Cluster, more: Partial<JoinAsked> = {}): Promise<JoinAsked> => ({
  endpoint: new URL(cluster.url).host,
  token: await cluster.bootstrapToken(),
  pins: [cluster.pin],
  unsafeSkipCAVerification: false,
  ignorePreflightErrors: [],
  skipPhases: ["preflight"],
  controlPlane: false,
  dryRun: false,
  nodeFlags: {},
  ...more,
});

export async function join(host: FakeHost, asked: JoinAsked, flags = {}) {
  const steps: JoinStep[] = [];
  const parsed = await configOf(host, flags);
  const options = {
    host,
    log: silentLog,
    parsed,
    input: environment,
    cwd: "/root",
    tell: (s: JoinStep) => void steps.push(s),
    runtimeSocket: () => Promise.resolve("/run/containerd/containerd.sock"),
  };
  const outcome = await joinCluster(options, asked, never());
  return { outcome, steps, ended: (name: string) => steps.findLast((s) => s.name === name) };
}
