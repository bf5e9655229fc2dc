/**
 * `agent reset`: undoes `agent join`. What the cluster brought goes: credentials, configuration, what was kept for times
 * without it, the pods that the API server had bound here. Static pods, their volumes and what others left stay. Not for:
 * draining, which needs an administrator.
 */
import { join } from "@std/path";
import type { JoinOutcome, ResetAsked, TellStep } from "../../cli/join_steps.ts";
import { createApi } from "../../cluster/client/api.ts";
import { isReason } from "../../cluster/client/api_error.ts";
import { createConnection } from "../../cluster/client/client.ts";
import { createCredentials, readSource } from "../../cluster/client/credentials.ts";
import type { Kubeconfig } from "../../cluster/client/kubeconfig.ts";
import { trustOf } from "../../cluster/client/trust.ts";
import { readKubeconfig } from "../../cluster/identity/identity_facts.ts";
import { JoinFailure } from "../../cluster/join/join_failure.ts";
import { cachePath, keyPath } from "../../cluster/offline/cache.ts";
import type { Config } from "../../config/config.ts";
import { errorText } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";
import { answers } from "./host_facts.ts";
import { joinPlaces } from "./joined.ts";
import { hasSystemd, startService, stopService } from "./service.ts";
import { step, Stopped } from "./steps.ts";

export interface ResetOptions {
  host: Host;
  config: Config;
  tell: TellStep;
  /** Ends the pods that the API server had bound here, and no others; how many there were. */
  endPods(signal: AbortSignal): Promise<number>;
}

interface Leaving extends ResetOptions {
  places: ReturnType<typeof joinPlaces>;
  kubeconfig: Kubeconfig | undefined;
}

const deleteMs = 10_000;

/** Tells of each step; rejects only with the signal's reason. */
export async function resetNode(
  o: ResetOptions,
  asked: ResetAsked,
  signal: AbortSignal,
): Promise<JoinOutcome> {
  const { host, config } = o;
  const places = joinPlaces(config);
  const { kubeconfig } = await readKubeconfig(host, places.kubeconfig);
  const stopped: JoinOutcome = { done: false, nodeName: config.nodeName, next: [] };
  if (await host.stat(places.joined) === undefined) {
    const left = await host.stat(places.kubeconfig) === undefined
      ? "This host has not joined a cluster: there is nothing to undo."
      : `${places.kubeconfig} is not of \`agent join\`: what kubeadm made, \`kubeadm reset\` undoes.`;
    return { ...stopped, done: kubeconfig === undefined, next: [left] };
  }
  const server = kubeconfig?.server;
  const question =
    `${config.nodeName} leaves the cluster${
      server === undefined ? "" : ` at ${server}`
    }: its pods of the cluster ` +
    "end, and its credentials go. Static pods stay.\n" +
    `Nothing is drained: kubectl drain ${config.nodeName} --ignore-daemonsets does that, from where you administer the cluster.\nGo on?`;
  if (!await asked.confirm(question)) return { ...stopped, next: ["Nothing was changed."] };
  try {
    return await leave({ ...o, places, kubeconfig }, signal);
  } catch (error) {
    if (error instanceof Stopped) return stopped;
    throw error;
  }
}

async function leave(o: Leaving, signal: AbortSignal): Promise<JoinOutcome> {
  const { host, config, tell, kubeconfig } = o;
  const { nodeName } = config;
  const service = await step("service", tell, signal, () => stopAgent(o, signal));
  const node = await step("node", tell, signal, () => deleteNode(o, signal));
  await step("pods", tell, signal, async () => {
    const count = await o.endPods(signal);
    return { message: count === 0 ? "there were none of the cluster's" : `${count} of the cluster's ended` };
  });
  await step("files", tell, signal, () => removeFiles(o));
  if (service.wasRunning) {
    await step("standalone", tell, signal, async () => {
      await startService(host, signal);
      return { message: "agent.service runs again, for static pods alone" };
    });
  }
  return {
    done: true,
    nodeName,
    ...(kubeconfig === undefined ? {} : { server: kubeconfig.server }),
    next: node.gone
      ? []
      : [`Take its Node away from where you administer the cluster: kubectl delete node ${nodeName}`],
  };
}

/** What runs would make everything anew. */
async function stopAgent({ host, config }: Leaving, signal: AbortSignal) {
  const wasRunning = !config.isPrivate && await hasSystemd(host) && await stopService(host, signal);
  if (await answers(host, config.socket)) {
    throw new JoinFailure(
      `an agent runs (${config.socket})`,
      "stop it, then run `agent reset` again; its containers stay until then",
    );
  }
  return { message: wasRunning ? "agent.service is stopped" : "", wasRunning };
}

/** As the node itself, which few clusters allow. */
async function deleteNode({ host, config, kubeconfig }: Leaving, signal: AbortSignal) {
  const path = `/api/v1/nodes/${config.nodeName}`;
  try {
    if (kubeconfig === undefined) throw new Error("there are no credentials any more");
    const connection = createConnection(await trustOf(host, kubeconfig));
    const api = createApi({ connection, credentials: createCredentials(host, kubeconfig) });
    try {
      await api.ask({ method: "DELETE", path, deadline: deleteMs, signal });
    } finally {
      api.close();
    }
    return { message: "its Node is deleted", gone: true };
  } catch (error) {
    signal.throwIfAborted();
    if (isReason(error, "NotFound")) return { message: "the cluster has no Node of this name", gone: true };
    return { message: `its Node stays: ${errorText(error)}`, gone: false };
  }
}

async function removeFiles({ host, config, places, kubeconfig }: Leaving) {
  const authority = kubeconfig?.ca === undefined
    ? undefined
    : await readSource(host, kubeconfig.ca).catch(() => undefined);
  const isOurs = authority !== undefined && await host.readText(places.ca) === authority;
  const certificates = await host.list(places.certificates) ?? [];
  const own = /^kubelet-(client|server)(-.*\.pem|\.key\.tmp)$/;
  const paths = [
    places.bootstrapKubeconfig,
    ...certificates.filter((name) => own.test(name)).map((name) => join(places.certificates, name)),
    // The kubeconfig tells that it is ours.
    ...(isOurs ? [places.ca] : []),
    places.kubeconfig,
    places.clusterConfig,
    places.kubeadmFlags,
    places.instanceConfig,
    cachePath(config.stateDir),
    keyPath(config.stateDir),
    // Last: as long as it is there, this can be run again.
    places.joined,
  ];
  const removed: string[] = [];
  for (const path of paths) {
    if (await host.lstat(path) === undefined) continue;
    await host.remove(path);
    removed.push(path);
  }
  return { message: "credentials and configuration of the cluster are gone", details: removed };
}
