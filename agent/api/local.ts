/**
 * Everything the agent shows of itself, over the unix socket: pods, problems, events, objects, logs, images, metrics.
 * Who may open the socket may see it all, save the values of secrets. Not for: binding (serve.ts), the paths that
 * are open to everyone (health.ts).
 */
import { type Context, Hono } from "hono";
import { errorText } from "../model/errors.ts";
import { parseLogOptions } from "../model/cri_log.ts";
import type { DeviceReport } from "../model/device_report.ts";
import type { RuntimeClass } from "../model/gen/v1.ts";
import type { StatusStore } from "../status_store.ts";
import { healthChecks, type HealthOptions } from "./health.ts";
import { addImageRoutes, type ApiImages } from "./images.ts";
import { findLog, logBody, type PodLogs } from "./logs.ts";
import { isRefusal, podOf, refuse } from "./lookup.ts";
import { addPodRoutes, type PodRequests } from "./pods.ts";
import { storageLists } from "./storage.ts";
import { addStreamRoutes, type StreamRoutes } from "./streams.ts";
import {
  deviceObject,
  eventKey,
  eventObject,
  listOf,
  pluginObject,
  podObject,
  problemKey,
  problemObject,
} from "./v1.ts";
import { secretSummary, statusOf, withKind } from "./v1.ts";
import { addUsageRoutes, type ApiUsage } from "./usage.ts";
import { type Watched, watchStream } from "./watch.ts";

export interface LocalApiOptions extends HealthOptions {
  store: StatusStore;
  /** Whether the manifests have been read and each of their pods looked at: before that a list would be untrue. */
  settled(): boolean;
  /** Prometheus text. */
  metrics?(signal: AbortSignal): string | Promise<string>;
  /** The effective configuration, as `agent config` shows it; without secrets. */
  config(): unknown;
  logs: PodLogs;
  images: ApiImages;
  devices(): DeviceReport[];
  usage: ApiUsage;
  /** exec, attach and port-forward. */
  sessions: Pick<StreamRoutes, "runtime" | "streams">;
  requests: PodRequests;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Ends the open streams when the agent leaves. */
  signal: AbortSignal;
}

interface Listed<T> extends Watched<T> {
  kind: string;
}

/** Only here to keep the item type of each list together with its functions. */
const listed = <T>(list: Listed<T>): Listed<T> => list;

const objectKey = (object: { metadata?: { namespace?: string; name?: string } }): string =>
  `${object.metadata?.namespace}/${object.metadata?.name}`;

function lists({ store, devices }: LocalApiOptions) {
  return {
    "/pods": listed({
      kind: "PodList",
      items: () => store.pods(),
      key: (pod) => pod.metadata?.uid ?? "",
      object: podObject,
    }),
    "/problems": listed({
      kind: "ProblemList",
      items: () => store.problems(),
      key: problemKey,
      object: problemObject,
    }),
    "/events": listed({
      kind: "EventList",
      items: () => store.events(),
      key: eventKey,
      object: (event) => eventObject(event, store.status()?.nodeName ?? ""),
    }),
    "/configmaps": listed({
      kind: "ConfigMapList",
      items: () => [...store.objects().configMaps.values()],
      key: objectKey,
      object: (configMap) => withKind("ConfigMap", configMap),
    }),
    "/runtimeclasses": listed({
      kind: "RuntimeClassList",
      items: () => [...store.objects().runtimeClasses.values()],
      key: (runtimeClass) => runtimeClass.metadata?.name ?? "",
      object: (runtimeClass): RuntimeClass => runtimeClass,
    }),
    "/plugins": listed({
      kind: "PluginList",
      items: () => store.plugins(),
      key: ({ type, name, socket }) => `${type === "Driver" ? name : ""} ${socket}`,
      object: pluginObject,
    }),
    "/devices": listed({
      kind: "DeviceList",
      items: devices,
      key: ({ resource, id }) => `${resource} ${id}`,
      object: (device) => deviceObject(device, store.pods()),
    }),
    "/secrets": listed({
      kind: "SecretList",
      items: () => [...store.objects().secrets.values()],
      key: objectKey,
      object: secretSummary,
    }),
  };
}

const stillStarting = statusOf("ServiceUnavailable", "the agent is still starting");

function addList<T>(app: Hono, path: string, list: Listed<T>, options: LocalApiOptions): void {
  app.get(path, (c) => {
    if (!options.settled()) return c.json(stillStarting, 503);
    const watch = c.req.query("watch");
    if (watch !== "true" && watch !== "1") return c.json(listOf(list.kind, list.items().map(list.object)));
    const subscribe = (listener: () => void, signal: AbortSignal) =>
      options.store.subscribe(listener, signal);
    const markInitialEnd = c.req.query("sendInitialEvents") === "true";
    const body = watchStream(list, subscribe, options.signal, { markInitialEnd });
    return new Response(body, { headers: { "content-type": "application/json-lines" } });
  });
}

function addHealth(app: Hono, options: LocalApiOptions): void {
  for (const [path, check] of Object.entries(healthChecks(options))) {
    app.get(path, (c) => {
      const { ok, reasons } = check();
      const verbose = c.req.query("verbose") !== undefined;
      if (ok) return c.text(verbose ? `${path} ok\n` : "ok");
      return c.text([`${path} not ok`, ...reasons.map((reason) => `- ${reason}`)].join("\n") + "\n", 503);
    });
  }
}

async function containerLogs(c: Context, options: LocalApiOptions): Promise<Response> {
  const container = c.req.param("container")!;
  const { store } = options;
  const { options: wanted, problems } = parseLogOptions(c.req.query(), options.now());
  if (problems.length > 0) return c.json(statusOf("BadRequest", problems.join("; ")), 400);
  const pod = podOf(c, store);
  if (isRefusal(pod)) return refuse(c, pod);
  const { directory, files } = options.logs;
  const found = await findLog(files, directory, pod, container, wanted.previous);
  if ("reason" in found) return refuse(c, found);
  const body = logBody(options, pod, container, found, wanted);
  return new Response(body, { headers: { "content-type": "text/plain; charset=utf-8" } });
}

export function createLocalApi(options: LocalApiOptions): Hono {
  const app = new Hono();
  addHealth(app, options);
  const all = lists(options);
  addList(app, "/pods", all["/pods"], options);
  addList(app, "/problems", all["/problems"], options);
  addList(app, "/events", all["/events"], options);
  addList(app, "/configmaps", all["/configmaps"], options);
  addList(app, "/secrets", all["/secrets"], options);
  addList(app, "/runtimeclasses", all["/runtimeclasses"], options);
  for (const [path, list] of storageLists(options.store)) addList(app, path, list, options);
  addList(app, "/plugins", all["/plugins"], options);
  addList(app, "/devices", all["/devices"], options);
  app.get("/status", (c) => {
    const status = options.store.status();
    if (status === undefined) {
      return c.json(stillStarting, 503);
    }
    return c.json(status);
  });
  app.get("/config", (c) => c.json(options.config() ?? null));
  app.get("/metrics", async (c) => {
    c.header("content-type", "text/plain; version=0.0.4; charset=utf-8");
    return c.body(await options.metrics?.(options.signal) ?? "");
  });
  app.get("/containerLogs/:ns/:pod/:container", (c) => containerLogs(c, options));
  addImageRoutes(app, options.images, options.signal);
  addUsageRoutes(app, options.usage, options.signal);
  addPodRoutes(app, options);
  addStreamRoutes(app, { store: options.store, signal: options.signal, ...options.sessions });
  const paths = [...new Set(app.routes.map((route) => route.path))];
  app.notFound((c) => c.json(statusOf("NotFound", `no such path; paths here: ${paths.join(", ")}`), 404));
  app.onError((error, c) => c.json(statusOf("InternalError", errorText(error)), 500));
  return app;
}
