/** Routes of usage, in the forms of the kubelet and of metrics-server. Not for: measuring. */
import type { Context, Hono } from "hono";
import { errorText } from "../model/errors.ts";
import type { NodeMetrics, PodMetrics } from "../model/resource_metrics.ts";
import { statusOf } from "./v1.ts";

export interface ApiUsage {
  /** The kubelet's stats summary. */
  summary(signal: AbortSignal): Promise<object>;
  /** Prometheus text. */
  resource(signal: AbortSignal): Promise<string>;
  pods(signal: AbortSignal): Promise<PodMetrics[]>;
  node(signal: AbortSignal): Promise<NodeMetrics>;
}

const group = "/apis/metrics.k8s.io/v1beta1";
const timeoutMs = 30_000;

export function addUsageRoutes(app: Hono, usage: ApiUsage, signal: AbortSignal): void {
  const route = (path: string, answer: (c: Context, signal: AbortSignal) => Promise<Response>) =>
    app.get(path, async (c) => {
      try {
        return await answer(c, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
      } catch (error) {
        return c.json(statusOf("ServiceUnavailable", `usage cannot be measured: ${errorText(error)}`), 503);
      }
    });
  const list = (kind: string, items: readonly object[]) => ({
    kind: `${kind}List`,
    apiVersion: "metrics.k8s.io/v1beta1",
    metadata: {},
    items,
  });
  route("/stats/summary", async (c, signal) => c.json(await usage.summary(signal)));
  route("/metrics/resource", async (c, signal) => {
    c.header("content-type", "text/plain; version=0.0.4; charset=utf-8");
    return c.body(await usage.resource(signal));
  });
  route(`${group}/pods`, async (c, signal) => c.json(list("PodMetrics", await usage.pods(signal))));
  route(`${group}/nodes`, async (c, signal) => c.json(list("NodeMetrics", [await usage.node(signal)])));
}
