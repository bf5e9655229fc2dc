/**
 * Whether the agent's loops go round, told to systemd's watchdog and to /healthz: an agent that hangs is started again.
 * Not for: whether it can take work (readiness).
 */
import type { Host } from "../ports.ts";
import type { Service } from "../agent.ts";
import type { StatusStore } from "../status_store.ts";
import type { Notifier } from "../../plugins/systemd/mod.ts";

export interface Heartbeat {
  /** A loop went round. */
  beat(): void;
  live(): { ok: boolean; reasons: string[] };
}

/** The slowest loop that beats goes round each 10 s and gives a hanging runtime 10 s more. */
const patienceMs = 60_000;

export function createHeartbeat(host: Pick<Host, "monotonic">): Heartbeat {
  let last = host.monotonic();
  return {
    beat: () => last = host.monotonic(),
    live() {
      const silent = Math.round((host.monotonic() - last) / 1000);
      const ok = silent * 1000 < patienceMs;
      return { ok, reasons: ok ? [] : [`the agent's loops have not gone round for ${silent} s`] };
    },
  };
}

/** One line for `systemctl status`. */
function summary(store: StatusStore): string {
  const ready = store.status()?.conditions.find((c) => c.type === "Ready");
  const pods = store.pods();
  const running = pods.filter((p) => p.status?.phase === "Running").length;
  const problems = store.problems().length;
  return [
    `${running}/${pods.length} pods running`,
    ...(problems === 0 ? [] : [`${problems} problems`]),
    ...(ready?.status === "True" ? [] : [ready?.message ?? "starting"]),
  ].join(", ");
}

export function systemdService(notifier: Notifier, heartbeat: Heartbeat, store: StatusStore): Service {
  return {
    name: "systemd",
    start(signal) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = notifier.watchdogEveryMs === undefined ? undefined : setInterval(() => {
        if (!heartbeat.live().ok) return;
        notifier.ping();
        notifier.status(summary(store));
      }, notifier.watchdogEveryMs);
      signal.addEventListener("abort", () => {
        clearInterval(timer);
        notifier.stopping();
        resolve();
      }, { once: true });
      notifier.ready();
      notifier.status(summary(store));
      return { finished: promise };
    },
  };
}
