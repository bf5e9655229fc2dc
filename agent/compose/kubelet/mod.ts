/** The kubelet's API on its own port, wired: certificate, who may, paths. Not for: what they answer (api/kubelet/). */
import type { AccessControl } from "../../api/kubelet/access.ts";
import { pageRoutes } from "../../api/kubelet/pages.ts";
import type { Route } from "../../api/kubelet/routes.ts";
import { type KubeletServer, serveKubelet, type ServerIdentity } from "../../api/kubelet/server.ts";
import { parseCertificate } from "../../cluster/certificates/certificate.ts";
import { createReviews } from "../../cluster/reviews/reviews.ts";
import type { Config } from "../../config/config.ts";
import type { Log } from "../../lib/log.ts";
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
import { followIdentity } from "./identity.ts";
import { sessionRoutes } from "./sessions.ts";

export interface KubeletApiOptions {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
  link: ClusterLink | undefined;
  pages: SharedPages;
  parts: PodParts;
  chosen: ChosenRuntime;
  heartbeat: Heartbeat;
}

/** All paths; what operators do with pods only where that is not turned off. */
function routesOf(o: KubeletApiOptions): Route[] {
  const { store, pages, heartbeat } = o;
  return [
    ...pageRoutes({ ...pages, live: heartbeat.live, pods: () => store.pods() }),
    ...o.config.kubeletApi.debugging ? sessionRoutes(o) : [],
  ];
}

/** Nothing where it is turned off. */
export function kubeletApi(o: KubeletApiOptions): Loop[] {
  const { enabled, port } = o.config.kubeletApi;
  return enabled && port !== 0 ? [{ name: "kubelet API", run: (signal) => serve(o, signal) }] : [];
}

async function serve(o: KubeletApiOptions, signal: AbortSignal): Promise<void> {
  const { config, host, link, store } = o;
  const problems = { identity: [] as Problem[], port: [] as Problem[] };
  const report = (of: keyof typeof problems, found: Problem[]) => {
    problems[of] = found;
    store.setProblems("kubelet API", [...problems.identity, ...problems.port]);
  };
  const now: { identity?: ServerIdentity; server?: KubeletServer } = {};
  const { promise: known, resolve } = Promise.withResolvers<void>();
  const following = followIdentity(
    {
      config,
      host,
      joined: link !== undefined,
      addresses: () => o.parts.node.hostIPs,
      report: (found) => report("identity", found),
    },
    (next) => {
      now.identity = next;
      now.server?.renew(next);
      resolve();
    },
    signal,
  );
  await Promise.race([known, following]);
  if (signal.aborted) return await following;
  const server = await listenPatiently(o, () => now.identity!, (found) => report("port", found), signal);
  if (server !== undefined) now.server = server;
  await Promise.all([following, server?.finished]);
}

const retryMs = 10_000;

/** A taken port is only a problem. Undefined when the signal came first. */
async function listenPatiently(
  o: KubeletApiOptions,
  identity: () => ServerIdentity,
  report: (problems: Problem[]) => void,
  signal: AbortSignal,
): Promise<KubeletServer | undefined> {
  const { address, port, minVersion } = o.config.kubeletApi;
  const control = accessControl(o, signal);
  const routes = routesOf(o);
  const userOf = (certificate: Uint8Array) => userOfCertificate(certificate, o.host.now());
  while (!signal.aborted) {
    try {
      const { log } = o;
      const now = identity();
      const server = await serveKubelet({
        ...{ address, port, minVersion, identity: now },
        ...{ routes, control, userOf, log, signal },
      });
      if (identity() !== now) server.renew(identity());
      report([]);
      return server;
    } catch (error) {
      report([portProblem(`${address}:${port}`, error)]);
      await pause(retryMs, signal);
    }
  }
  return undefined;
}

function portProblem(where: string, error: unknown): Problem {
  const taken = (error as { code?: unknown }).code === "EADDRINUSE";
  const why = taken
    ? `${where} is in use by another program (a kubelet, another agent?)`
    : `cannot listen on ${where}: ${errorText(error)}`;
  return {
    severity: "warning",
    file: "flag --port",
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
