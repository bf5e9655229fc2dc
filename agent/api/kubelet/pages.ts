/** What the kubelet's API tells of the node and its pods, at the kubelet's paths. Not for: sessions and logs of containers. */
import { errorText } from "../../model/errors.ts";
import type { Pod } from "../../model/gen/v1.ts";
import type { HealthOptions } from "../health.ts";
import { json, type KubeletRequest, type Route, text } from "./routes.ts";

export interface PageOptions extends Pick<HealthOptions, "live"> {
  pods(): readonly Pod[];
  /** What the runtime runs. */
  runningPods(signal: AbortSignal): Promise<readonly Pod[]>;
  /** The effective KubeletConfiguration. */
  configz(): unknown;
  summary(signal: AbortSignal): Promise<object>;
  /** Prometheus text, by path. */
  metrics: Readonly<Record<string, (signal: AbortSignal) => string | Promise<string>>>;
}

const get = (path: string, answer: Route["answer"]): Route => ({ methods: ["GET"], path, answer });

/** Longest for what must be measured or asked for, in ms. */
const patience = 30_000;

/** What cannot be had is the node's failure. */
export const measured = (
  path: string,
  answer: (signal: AbortSignal, request: KubeletRequest) => Promise<Response>,
): Route =>
  get(path, async (request) => {
    try {
      return await answer(AbortSignal.any([request.signal, AbortSignal.timeout(patience)]), request);
    } catch (error) {
      return text(500, errorText(error));
    }
  });

const podList = (items: readonly Pod[]) => json({ kind: "PodList", apiVersion: "v1", metadata: {}, items });

/** What the kubelet also shows on its port without authentication. */
export function openRoutes(o: PageOptions): Route[] {
  return [
    ...healthRoutes(o),
    get("/pods", () => podList(o.pods())),
    measured("/stats/summary", async (signal, { query }) => {
      const summary = await o.summary(signal);
      return json(query.get("only_cpu_and_memory") === "true" ? onlyCpuAndMemory(summary) : summary);
    }),
    ...Object.entries(o.metrics).map(([path, page]) =>
      measured(path, async (signal) => {
        const headers = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };
        return new Response(await page(signal), { headers });
      })
    ),
  ];
}

/** What only those see who may. */
export const pageRoutes = (o: PageOptions): Route[] => [
  measured("/runningpods", async (signal) => podList(await o.runningPods(signal))),
  get("/configz", () => json({ kubeletconfig: o.configz() })),
];

/** In the place of what operators do with pods, where that is turned off. */
export const disabledRoutes = (): Route[] =>
  ["/run", "/exec", "/attach", "/portForward", "/containerLogs", "/runningpods", "/debug/pprof", "/logs"].map(
    (path) => closed(`${path}/*`, "Debug endpoints are disabled."),
  );

export const closed = (path: string, why: string): Route => ({
  methods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
  path,
  answer: () => text(405, `${why}\n`),
});

type Fields = Record<string, unknown>;

/** Source: pkg/kubelet/server/stats, GetCPUAndMemoryStats. */
function onlyCpuAndMemory(summary: object): object {
  const only = (from: unknown, ...names: string[]): Fields =>
    Object.fromEntries(Object.entries((from ?? {}) as Fields).filter(([name]) => names.includes(name)));
  const { node, pods } = summary as { node: Fields; pods: Fields[] };
  return {
    node: only(node, "nodeName", "startTime", "systemContainers", "cpu", "memory", "swap"),
    pods: pods.map((pod) => ({
      ...only(pod, "podRef", "startTime", "cpu", "memory", "swap"),
      containers: ((pod["containers"] ?? []) as Fields[]).map((c) =>
        only(c, "name", "startTime", "cpu", "memory", "swap")
      ),
    })),
  };
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
