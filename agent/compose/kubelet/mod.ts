/** The kubelet's API on its own port, wired: certificate, who may, paths. Not for: what they answer (api/kubelet/). */
import type { AccessControl } from "../../api/kubelet/access.ts";
import type { EarlyConnection } from "../../api/kubelet/early.ts";
import { type KubeletServer, serveKubelet, type ServerIdentity } from "../../api/kubelet/server.ts";
import { parseCertificate } from "../../cluster/certificates/certificate.ts";
import { createReviews } from "../../cluster/reviews/reviews.ts";
import type { Config } from "../../config/config.ts";
import type { KubeletApiConfig } from "../../config/kubelet_api.ts";
import type { Log } from "../../lib/log.ts";
import type { Metrics } from "../../lib/metrics.ts";
import { pause } from "../../lib/pause.ts";
import { errorText, type Problem } from "../../model/errors.ts";
import type { User } from "../../model/kubelet_access.ts";
import type { Host } from "../../ports.ts";
import type { StatusStore } from "../../status_store.ts";
import type { SharedPages } from "../api.ts";
import type { ClusterLink } from "../cluster/link.ts";
import type { Heartbeat } from "../liveness.ts";
import type { Loop } from "../loop.ts";
import type { PodParts } from "../pods.ts";
import type { ChosenRuntime } from "../runtime.ts";
import { holdPort } from "./door.ts";
import { followIdentity } from "./identity.ts";
import { allRoutes, readOnlyRoutes } from "./pages.ts";
import { nodeNames, servingCertificate } from "./serving_certificate.ts";

export interface KubeletApiOptions {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
  metrics: Metrics;
  shownConfig: { values: Readonly<Record<string, unknown>> };
  link: ClusterLink | undefined;
  pages: SharedPages;
  parts: PodParts;
  chosen: ChosenRuntime;
  heartbeat: Heartbeat;
}

/** Nothing where it is turned off. */
export function kubeletApi(o: KubeletApiOptions): Loop[] {
  const { enabled, port, readOnlyPort } = o.config.kubeletApi;
  if (!enabled) return [];
  return [
    ...port === 0 ? [] : [{ name: "kubelet API", run: (signal: AbortSignal) => serve(o, signal) }],
    ...readOnlyPort === 0
      ? []
      : [{ name: "read-only kubelet API", run: (signal: AbortSignal) => serveReadOnly(o, signal) }],
  ];
}

/** For `agent status`. */
export const kubeletAddress = ({ enabled, address, port }: KubeletApiConfig): { kubeletApi?: string } =>
  enabled && port !== 0
    ? { kubeletApi: `https://${address.includes(":") ? `[${address}]` : address}:${port}` }
    : {};

async function serve(o: KubeletApiOptions, signal: AbortSignal): Promise<void> {
  const { store, config: { kubeletApi: api } } = o;
  const now: { identity?: ServerIdentity; server?: KubeletServer } = {};
  const { promise: known, resolve } = Promise.withResolvers<void>();
  const names = nodeNames(o, signal);
  const signed = servingCertificate(o, names, () => names.changes.tell());
  const following = followIdentity(
    {
      ...o,
      joined: o.link !== undefined,
      names: names.current,
      changes: names.changes,
      ...(signed === undefined ? {} : { signed: signed.current }),
      report: (found) => store.setProblems("kubelet API's certificate", found),
    },
    (next) => {
      now.identity = next;
      now.server?.renew(next);
      resolve();
    },
    signal,
  );
  const keeping = signed?.keep(signal);
  await Promise.race([known, following]);
  const place = { address: api.address, port: api.port, flag: "port" };
  const opened = signal.aborted ? undefined : await openPatiently(o, place, async (early) => {
    const identity = now.identity!;
    const server = await serveKubelet({
      ...{ address: api.address, port: api.port, early, identity, minVersion: api.minVersion },
      routes: allRoutes(o),
      control: accessControl(o, signal),
      userOf: (certificate) => userOfCertificate(certificate, o.host.now()),
      ...{ log: o.log, answered: countRequests(o.metrics, "readwrite"), signal },
    });
    if (now.identity !== identity) server.renew(now.identity!);
    return now.server = server;
  }, signal);
  await Promise.all([following, keeping, opened?.finished]);
}

async function serveReadOnly(o: KubeletApiOptions, signal: AbortSignal): Promise<void> {
  const { address, readOnlyPort: port } = o.config.kubeletApi;
  const everybody = { anonymous: true, allows: () => Promise.resolve(true), log: o.log };
  const server = await openPatiently(o, { address, port, flag: "read-only-port" }, (early) =>
    serveKubelet({
      ...{ address, port, early, routes: readOnlyRoutes(o), control: everybody, log: o.log, signal },
      answered: countRequests(o.metrics, "readonly"),
      userOf: () => undefined,
    }), signal);
  await server?.finished;
}

const longRunning = new Set(["exec", "attach", "portforward", "debug"]);

/** Source: pkg/kubelet/server/metrics. */
function countRequests(metrics: Metrics, serverType: "readwrite" | "readonly") {
  const total = metrics.counter("kubelet_http_requests_total", "Number of the http requests received.");
  const seconds = metrics.histogram(
    "kubelet_http_requests_duration_seconds",
    "Duration in seconds to serve http requests.",
  );
  return (method: string, path: string, ms: number) => {
    const labels = { method, path, server_type: serverType, long_running: `${longRunning.has(path)}` };
    total.inc(labels);
    seconds.observe(ms / 1000, labels);
  };
}

const retryMs = 10_000;

/** A taken port is only a problem. Undefined when the signal came before anybody. */
async function openPatiently(
  { store, log }: KubeletApiOptions,
  { address, port, flag }: { address: string; port: number; flag: string },
  serve: (early: EarlyConnection[]) => Promise<KubeletServer>,
  signal: AbortSignal,
): Promise<KubeletServer | undefined> {
  const report = (problems: Problem[]) => store.setProblems(`kubelet API, ${flag}`, problems);
  while (!signal.aborted) {
    let early: EarlyConnection[] = [];
    try {
      const door = holdPort(address, port, signal);
      report([]);
      log.debug("the kubelet's API can be asked", { address, port });
      if (!await door.someone()) return undefined;
      early = await door.open();
      return await serve(early);
    } catch (error) {
      for (const { socket } of early) socket.destroy();
      report([portProblem(`${address}:${port}`, flag, error)]);
      await pause(retryMs, signal);
    }
  }
  return undefined;
}

function portProblem(where: string, flag: string, error: unknown): Problem {
  const taken = (error as { code?: unknown }).code === "EADDRINUSE";
  const why = taken
    ? `${where} is in use by another program (a kubelet, another agent?)`
    : `cannot listen on ${where}: ${errorText(error)}`;
  return {
    severity: "warning",
    file: `flag --${flag}`,
    field: "port",
    message: `${why}; the kubelet's API waits until it is free; another port, or 0 for none, can be set`,
  };
}

/** Whom a certificate names; undefined for one that does not hold now, or is none. */
function userOfCertificate(bytes: Uint8Array, now: number): User | undefined {
  try {
    const { subject, notBefore, notAfter } = parseCertificate(Uint8Array.from(bytes));
    if (subject.commonName === "" || now < notBefore || now > notAfter) return undefined;
    return { name: subject.commonName, groups: subject.organizations };
  } catch {
    return undefined;
  }
}

/** On a node of no cluster there is nobody to ask: its own authority's operators may do everything, and nobody else. */
function accessControl(
  { config, host, link, log }: KubeletApiOptions,
  signal: AbortSignal,
): AccessControl {
  const { tokens, tokenTTL, allowTTL, denyTTL, anonymous, alwaysAllow } = config.kubeletApi;
  const reviews = link === undefined ? undefined : createReviews({
    ...link,
    monotonic: () => host.monotonic(),
    ...{ tokenTTL, allowTTL, denyTTL, signal },
  });
  const operator = (user: User) => Promise.resolve(user.groups.includes("system:masters"));
  return {
    ...(reviews !== undefined && tokens ? { reviewToken: (token) => reviews.reviewToken(token) } : {}),
    allows: alwaysAllow
      ? () => Promise.resolve(true)
      : reviews === undefined
      ? operator
      : (user, asked) => reviews.allows(user, asked),
    anonymous,
    log,
  };
}
