/** What the kubelet's API tells of the node and its pods, at the kubelet's paths. Not for: sessions and logs. */
import { errorText } from "../../model/errors.ts";
import type { Pod } from "../../model/gen/v1.ts";
import type { HealthOptions } from "../health.ts";
import type { ApiUsage } from "../usage.ts";
import { json, type KubeletRequest, type Route, text } from "./routes.ts";

export interface PageOptions extends Pick<HealthOptions, "live"> {
  pods(): readonly Pod[];
  /** Prometheus text. */
  metrics(signal: AbortSignal): Promise<string>;
  usage: Pick<ApiUsage, "summary" | "resource">;
}

const exposition = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };

const get = (path: string, answer: Route["answer"]): Route => ({ methods: ["GET"], path, answer });

/** Longest for what must be measured, in ms. */
const patience = 30_000;

/** What cannot be had is the node's failure. */
const measured = (path: string, answer: (signal: AbortSignal) => Promise<Response>): Route =>
  get(path, async ({ signal }: KubeletRequest) => {
    try {
      return await answer(AbortSignal.any([signal, AbortSignal.timeout(patience)]));
    } catch (error) {
      return text(500, errorText(error));
    }
  });

export function pageRoutes(o: PageOptions): Route[] {
  return [
    ...healthRoutes(o),
    get("/pods", () => json({ kind: "PodList", apiVersion: "v1", metadata: {}, items: o.pods() })),
    measured("/stats/summary", async (signal) => json(await o.usage.summary(signal))),
    measured("/metrics", async (signal) => new Response(await o.metrics(signal), { headers: exposition })),
    measured(
      "/metrics/resource",
      async (signal) => new Response(await o.usage.resource(signal), { headers: exposition }),
    ),
  ];
}

/** Source: k8s.io/apiserver/pkg/server/healthz; the checks are the kubelet's. */
function healthRoutes({ live }: PageOptions): Route[] {
  const good = { ok: true, reasons: [] };
  const checks = { ping: () => good, log: () => good, syncloop: live ?? (() => good) };
  const one = (check: () => { ok: boolean; reasons: string[] }) => {
    const { ok, reasons } = check();
    return ok ? text(200, "ok") : text(500, `internal server error: ${reasons.join("; ")}\n`);
  };
  const all = ({ query }: KubeletRequest) => {
    const lines = Object.entries(checks).map(([name, check]) =>
      check().ok ? `[+]${name} ok` : `[-]${name} failed: reason withheld`
    );
    const ok = !lines.some((line) => line.startsWith("[-]"));
    if (ok && !query.has("verbose")) return text(200, "ok");
    return text(ok ? 200 : 500, `${lines.join("\n")}\nhealthz check ${ok ? "passed" : "failed"}\n`);
  };
  return [
    get("/healthz", all),
    ...Object.entries(checks).map(([name, check]) => get(`/healthz/${name}`, () => one(check))),
  ];
}
