/**
 * Starts services in order, and ends when all have ended. A service that is absent is absent from the list. Not for:
 * what the services are (main.ts).
 */
import type { Log } from "./lib/log.ts";
import { aborted } from "./lib/pause.ts";
import { errorText } from "./model/errors.ts";

export interface Service {
  name: string;
  /** Resolves when the service is up, with what resolves when it has ended after the signal. */
  start(signal: AbortSignal): Promise<{ finished: Promise<unknown> }> | { finished: Promise<unknown> };
}

/**
 * Runs until the signal, then waits for the services, last started first, but no longer than `patienceMs`: containers
 * do not need us, and a runtime that hangs must not keep the agent from leaving. A service that cannot start ends all.
 */
export async function runAgent(
  services: readonly Service[],
  o: { signal: AbortSignal; log: Log; patienceMs: number; onStarted(): void },
): Promise<void> {
  const leave = new AbortController();
  const follow = () => leave.abort(o.signal.reason);
  o.signal.addEventListener("abort", follow, { once: true });
  const running: { name: string; finished: Promise<unknown> }[] = [];
  try {
    for (const service of services) {
      if (o.signal.aborted) break;
      const { finished } = await service.start(leave.signal);
      finished.catch((error) =>
        o.log.error("a service broke", { service: service.name, error: errorText(error) })
      );
      running.push({ name: service.name, finished });
      o.log.debug("service is up", { service: service.name });
    }
    if (!o.signal.aborted) {
      o.onStarted();
      await aborted(o.signal);
    }
  } finally {
    leave.abort();
    o.signal.removeEventListener("abort", follow);
    await endAll(running.reverse(), o);
  }
}

async function endAll(
  running: { name: string; finished: Promise<unknown> }[],
  o: { log: Log; patienceMs: number },
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const open = new Set(running.map((r) => r.name));
  const ended = (name: string) => {
    open.delete(name);
    o.log.debug("service has ended", { service: name });
  };
  const all = Promise.allSettled(running.map((r) => r.finished.finally(() => ended(r.name))));
  const late = new Promise((resolve) => timer = setTimeout(resolve, o.patienceMs));
  await Promise.race([all, late]);
  clearTimeout(timer);
  if (open.size > 0) o.log.info("left without waiting", { services: [...open].join(", ") });
}
