/**
 * What anyone on this machine may ask without proving who they are: whether the agent lives and is ready. It gives no
 * names and no reasons. The full answers are on the unix socket (local.ts).
 */
import { Hono } from "hono";
import { statusOf } from "./v1.ts";

export interface Health {
  ok: boolean;
  /** Why not; one line each. */
  reasons: string[];
}

export interface HealthOptions {
  /** Whether the agent can take work. */
  ready(): Health;
  /** Whether the agent's loops go round; absent: alive when it answers. */
  live?(): Health;
}

export const healthPaths = ["/healthz", "/livez", "/readyz"] as const;

const alive = (): Health => ({ ok: true, reasons: [] });

/** The check behind each path. */
export const healthChecks = (options: HealthOptions): Record<typeof healthPaths[number], () => Health> => ({
  "/healthz": options.live ?? alive,
  "/livez": options.live ?? alive,
  "/readyz": options.ready,
});

export function createHealthApi(options: HealthOptions): Hono {
  const app = new Hono();
  for (const [path, check] of Object.entries(healthChecks(options))) {
    app.get(path, (c) => check().ok ? c.text("ok") : c.text("not ok", 503));
  }
  app.notFound((c) => c.json(statusOf("NotFound", `paths here: ${healthPaths.join(", ")}`), 404));
  return app;
}
