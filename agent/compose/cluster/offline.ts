/**
 * A node of a cluster without its API server: what it keeps for that time, and how long its pods go on. Between what the API
 * server says and those who act on it. Not for: how (cluster/offline/).
 */
import type { Api } from "../../cluster/client/api.ts";
import { ApiError } from "../../cluster/client/api_error.ts";
import type { Tokens } from "../../cluster/objects/tokens.ts";
import type { Kubeconfig } from "../../cluster/client/kubeconfig.ts";
import { heardApi } from "../../cluster/offline/heard.ts";
import { cachePath, createCache } from "../../cluster/offline/cache.ts";
import { createKeeping } from "../../cluster/offline/keeping.ts";
import { createRenewals } from "../../cluster/offline/tokens.ts";
import { createWithholding } from "../../cluster/offline/withholding.ts";
import type { Config } from "../../config/config.ts";
import type { Log } from "../../lib/log.ts";
import { type DesiredPod, isTerminating, type Snapshot } from "../../model/wish.ts";
import type { Host } from "../../ports.ts";
import type { StatusStore } from "../../status_store.ts";
import type { Loop } from "../loop.ts";

export interface OfflineParts {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
  api: Api;
  kubeconfig(): Kubeconfig | undefined;
}

export interface Offline {
  /** For who asks on. */
  api: Api;
  tokens(source: Tokens): Tokens;
  /** What the API server wants goes in; what may run, also while it is silent, comes out. */
  between(publish: (snapshot: Snapshot) => void): (snapshot: Snapshot) => void;
  services: Loop[];
}

/** The Lease is renewed every ten seconds. In ms. */
const ofLate = 30_000;

export function createOffline(o: OfflineParts): Offline {
  const { config, host, log, store } = o;
  const { keyFile, maxSize, ...rules } = config.offline;
  const path = cachePath(config.stateDir);
  const report = (owner: string) => (sentences: readonly string[]) =>
    store.setProblems(owner, sentences.map((message) => ({ severity: "warning", file: path, message })));
  const clock = { now: () => host.now(), monotonic: () => host.monotonic() };
  let heardAt = -Infinity;
  let renew: (uid: string) => void = () => {};
  const renewals = createRenewals(clock, (uid) => renew(uid));
  let publish: (snapshot: Snapshot) => void = () => {};
  const api = heardApi(o.api, () => {
    heardAt = host.monotonic();
    withholding?.heard();
    renewals.heard();
  });
  const limited = rules.maxSilence > 0 || rules.obeyTolerations;
  const withholding = limited
    ? createWithholding({
      rules,
      monotonic: clock.monotonic,
      log,
      publish: (snapshot) => publish(snapshot),
      isWanted: (pod, signal) => isWanted(api, pod, signal),
    })
    : undefined;
  const keeping = createKeeping({
    cache: createCache({
      host,
      stateDir: config.stateDir,
      keyFile,
      context: () => [config.nodeName, o.kubeconfig()?.server ?? ""],
      report: (sentence) => report("offline, kept")([sentence]),
    }),
    limits: { pods: 2 * config.maxPods, size: maxSize },
    clock,
    log,
    answers: () => host.monotonic() - heardAt < ofLate,
    publish: (snapshot) => withholding === undefined ? publish(snapshot) : withholding.publish(snapshot),
    report: report("offline"),
  });
  return {
    api,
    tokens(source) {
      renew = (uid) => source.due.tell(uid);
      return { ...source, ...keeping.tokens(source, renewals.lent) };
    },
    between(next) {
      publish = next;
      return keeping.publish;
    },
    services: [
      { name: "what is kept of the cluster", run: keeping.run },
      ...(withholding === undefined ? [] : [{ name: "silence of the cluster", run: withholding.run }]),
    ],
  };
}

async function isWanted(api: Api, { pod, uid }: DesiredPod, signal: AbortSignal): Promise<boolean> {
  const { namespace = "default", name = "" } = pod.metadata ?? {};
  try {
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    const found = await api.ask({ path, signal }) as DesiredPod["pod"];
    return found.metadata?.uid === uid && !isTerminating({ pod: found, uid, source: "api", origin: "" });
  } catch (error) {
    if (error instanceof ApiError && (error.code === 404 || error.code === 403)) return false;
    throw error;
  }
}
