/**
 * `agent join`: this host becomes a node of a cluster, step by step, each of which can be done again. Source: kubeadm join.
 * Not for: the steps themselves (cluster/join/), nor for being a node (compose/cluster/).
 */
import { dirname } from "@std/path";
import type { JoinAsked, JoinOutcome, TellStep } from "../../cli/join_steps.ts";
import { parseBootstrapToken } from "../../cluster/join/cluster_info.ts";
import { discoverByFile, discoverByToken } from "../../cluster/join/discovery.ts";
import { enroll, type Enrolled, writeKubeletFiles } from "../../cluster/join/enroll.ts";
import type { JoinConfiguration } from "../../cluster/join/join_configuration.ts";
import { JoinFailure } from "../../cluster/join/join_failure.ts";
import { preflight } from "../../cluster/join/preflight.ts";
import { createCredentials, fixedCredentials } from "../../cluster/client/credentials.ts";
import type { Credentials } from "../../cluster/client/api.ts";
import { type Config, type ConfigInput, parseConfig, type ParsedConfig } from "../../config/config.ts";
import type { Log } from "../../lib/log.ts";
import { formatProblem } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";
import { readJoin } from "./asked.ts";
import { answers, readHostFacts } from "./host_facts.ts";
import { joinPlaces, nodeSettings } from "./joined.ts";
import { kubeadmFiles } from "./kubeadm_files.ts";
import { hasSystemd, startService } from "./service.ts";
import { Refusal, step, Stopped } from "./steps.ts";
import { waitUntilReady } from "./wait_ready.ts";

export interface JoinOptions {
  host: Host;
  log: Log;
  /** Of `agent run` on this host. */
  parsed: ParsedConfig;
  /** Of the same, to be read again with what joining brings. */
  input: Pick<ConfigInput, "env" | "hostname">;
  cwd: string;
  tell: TellStep;
  /** Path of the socket of the runtime that the agent would take; absent where there is none. */
  runtimeSocket(config: Config): Promise<string | undefined>;
}

interface Joining extends JoinOptions {
  asked: JoinAsked;
  join: JoinConfiguration;
  places: ReturnType<typeof joinPlaces>;
  nodeName: string;
}

interface Found {
  message: string;
  server: string;
  /** PEM */
  ca: string;
  proxyUrl?: string;
  credentials: Credentials;
}

const usualWait = 4 * 60_000;

/** Tells of each step; rejects only with the signal's reason. */
export async function joinCluster(
  o: JoinOptions,
  asked: JoinAsked,
  signal: AbortSignal,
): Promise<JoinOutcome> {
  const stopped: JoinOutcome = { done: false, nodeName: o.parsed.config.nodeName, next: [] };
  try {
    const { join } = await step("flags", o.tell, signal, () => readJoin(o, asked));
    const given = asked.nodeFlags["hostname-override"]?.at(-1);
    const nodeName = (join.nodeName ?? given ?? o.parsed.config.nodeName).trim().toLowerCase();
    const defaultCa = "/etc/kubernetes/pki/ca.crt";
    const places = joinPlaces(o.parsed.config, join.caCertPath === defaultCa ? undefined : join.caCertPath);
    const both = {
      ...asked,
      skipPhases: [...join.skipPhases, ...asked.skipPhases],
      dryRun: join.dryRun || asked.dryRun,
    };
    return await joinSteps({ ...o, asked: both, join, places, nodeName }, signal);
  } catch (error) {
    if (error instanceof Stopped) return stopped;
    throw error;
  }
}

async function joinSteps(o: Joining, signal: AbortSignal): Promise<JoinOutcome> {
  const { asked, tell, nodeName } = o;
  if (!skips(asked, "preflight")) await step("preflight", tell, signal, () => checkHost(o, signal));
  const found = await step("discovery", tell, signal, (say) => discover(o, say, signal));
  const outcome = { done: true, nodeName, server: found.server };
  if (asked.dryRun) {
    return {
      ...outcome,
      done: false,
      next: ["Nothing was changed: --dry-run ends before a certificate is asked for."],
    };
  }
  const enrolled = await step("certificate", tell, signal, (say) => getCertificate(o, found, say, signal));
  await step("configuration", tell, signal, () => writeConfiguration(o, found, enrolled, signal));
  if (skips(asked, "kubelet-start")) return { ...outcome, next: startByHand(o) };
  const started = await step("service", tell, signal, () => startAgent(o, signal));
  if (skips(asked, "kubelet-wait-bootstrap") || asked.wait === 0) return { ...outcome, next: started.next };
  if (!started.runs && asked.wait === undefined) return { ...outcome, next: started.next };
  for (const line of started.next) tell({ name: "service", state: "running", message: line, details: [] });
  const { ready } = await step("node", tell, signal, (say) => waitForNode(o, say, signal));
  return { ...outcome, ready, next: ["See it from where you administer the cluster: kubectl get nodes"] };
}

const skips = ({ skipPhases }: JoinAsked, phase: string) => skipPhases.includes(phase);

async function checkHost(o: Joining, signal: AbortSignal) {
  const { host, log, parsed, join, places, nodeName } = o;
  const endpoint = join.discovery.kind === "token"
    ? join.discovery.endpoint
    : await discoverByFile(host, join.discovery.path).then(({ server }) => new URL(server).host, () =>
      undefined);
  const socket = join.criSocket ?? parsed.config.containerRuntimeEndpoint;
  const config = { ...parsed.config, nodeName, containerRuntimeEndpoint: socket };
  const kubelet = parsed.values.get("port") ?? (config.isPrivate ? 0 : 10250);
  const ports = [kubelet as number, config.healthzPort].filter((port) => port !== 0);
  const facts = await readHostFacts({ config, host, log, places, endpoint, ports }, signal);
  const { findings, unknown } = preflight(facts, join.ignorePreflightErrors);
  const line = (f: (typeof findings)[number]) => `[${f.severity} ${f.check}] ${f.message}; ${f.remedy}`;
  const errors = findings.filter((f) => f.severity === "error");
  const details = [
    ...findings.map(line),
    ...unknown.map((name) => `[warning] --ignore-preflight-errors ${name}: there is no such check`),
  ];
  if (errors.length > 0) {
    const names = [...new Set(errors.map((f) => f.check))].join(",");
    throw new Refusal(
      `this host is not fit to be a node (${errors.length} error${errors.length === 1 ? "" : "s"})`,
      details,
      `mend that; what you know to be harmless is passed over by --ignore-preflight-errors=${names}`,
    );
  }
  return { message: "this host can be a node", details };
}

async function discover(o: Joining, say: (message: string) => void, signal: AbortSignal): Promise<Found> {
  const { host, join: { discovery, timeouts, tlsBootstrapToken } } = o;
  if (discovery.kind === "token") {
    const info = await discoverByToken({
      endpoint: discovery.endpoint,
      token: parseBootstrapToken(discovery.token)!,
      pins: discovery.pins,
      timeout: timeouts.discovery,
      progress: say,
    }, signal);
    return found(info.server, info.ca, fixedCredentials({ token: tlsBootstrapToken! }));
  }
  const { server, ca, kubeconfig } = await discoverByFile(host, discovery.path);
  const { certificate, key, token, tokenFile, exec, proxyUrl } = kubeconfig;
  const anonymous = [certificate ?? key, token, tokenFile, exec].every((way) => way === undefined);
  if (tlsBootstrapToken === undefined && anonymous) {
    throw new JoinFailure(
      `${discovery.path} has no credentials to ask for a certificate with`,
      "give --tls-bootstrap-token, or a file with credentials",
    );
  }
  const credentials = tlsBootstrapToken === undefined
    ? createCredentials(host, kubeconfig)
    : fixedCredentials({ token: tlsBootstrapToken });
  return found(server, ca, credentials, proxyUrl);
}

const found = (server: string, ca: string, credentials: Credentials, proxyUrl?: string): Found => ({
  message: `the cluster is at ${server}, and is the one that was meant`,
  server,
  ca,
  credentials,
  ...(proxyUrl === undefined ? {} : { proxyUrl }),
});

const clusterOf = ({ server, ca, proxyUrl }: Found) => ({
  server,
  ca,
  ...(proxyUrl === undefined ? {} : { proxyUrl }),
});

async function getCertificate(
  { host, log, places, nodeName, join }: Joining,
  found: Found,
  say: (message: string) => void,
  signal: AbortSignal,
): Promise<Enrolled & { message: string }> {
  const enrolled = await enroll({
    host,
    places,
    cluster: clusterOf(found),
    credentials: found.credentials,
    nodeName,
    patience: join.timeouts.tlsBootstrap,
    log,
    progress: say,
  }, signal);
  const message = enrolled.again
    ? `system:node:${nodeName} has one already that serves`
    : `the cluster knows this host as system:node:${nodeName}`;
  return { ...enrolled, message };
}

async function writeConfiguration(o: Joining, found: Found, enrolled: Enrolled, signal: AbortSignal) {
  const { host, parsed, places, join, asked, input } = o;
  const cluster = enrolled.kubeletConfiguration;
  const wishes = { join, flags: asked.nodeFlags, cluster, hasSystemd: await hasSystemd(host) };
  const resolver = /^resolvConf:\s*["']?([^"'\s]+)/m.exec(cluster ?? "")?.[1];
  const missing = resolver !== undefined && await host.stat(resolver) === undefined;
  const settings = nodeSettings(parsed.config, places.kubeconfig, places.ca, {
    ...wishes,
    hasFile: (path) => !(missing && path === resolver),
  });
  const files = [
    ...(cluster === undefined ? [] : [{ path: places.clusterConfig, text: cluster, lenient: true }]),
    { path: places.joined, text: settings.text },
  ];
  const read = parseConfig({ ...input, files, dropIns: [], flags: { "root-dir": parsed.config.rootDir } });
  const problems = [...settings.problems, ...read.problems];
  if (problems.some((p) => p.severity === "error")) {
    throw new Refusal(
      "the agent cannot go by the configuration of this cluster",
      problems.map(formatProblem),
      "look at `kubectl -n kube-system get configmap kubelet-config -o yaml`, and at what was given for this node",
    );
  }
  const socket = await o.runtimeSocket(read.config);
  const kubeadms = parsed.config.isPrivate || socket === undefined
    ? []
    : kubeadmFiles(places, socket, settings.args);
  // First that this host has joined: what comes after it can be undone, and done again, wherever this ends.
  for (const { path, text } of [...files.toReversed(), ...kubeadms]) {
    if (await host.readText(path) === text) continue;
    await host.mkdir(dirname(path), path === places.joined ? 0o700 : 0o755);
    await host.writeFileAtomic(path, text, path === places.joined ? 0o600 : 0o644);
  }
  await writeKubeletFiles({ host, places, cluster: clusterOf(found) });
  signal.throwIfAborted();
  const none = cluster === undefined
    ? ["the cluster shows no kubelet-config: the agent goes by its defaults"]
    : [];
  return {
    message: files.map(({ path }) => path).join(", "),
    details: [...none, ...settings.notes, ...problems.map(formatProblem)],
  };
}

const startByHand = ({ parsed: { config } }: JoinOptions): string[] => [
  `Start the agent, or start it anew where it runs: agent run${
    config.isPrivate ? ` --root-dir ${config.rootDir}` : ""
  }`,
  "Then see it from where you administer the cluster: kubectl get nodes",
];

async function startAgent(o: Joining, signal: AbortSignal) {
  const { host, parsed: { config } } = o;
  if (await hasSystemd(host) && !config.isPrivate) {
    const { installed } = await startService(host, signal);
    return {
      message: `agent.service ${installed ? "is installed, " : ""}is enabled and runs`,
      runs: true,
      next: [],
    };
  }
  const why = config.isPrivate ? "this is a private instance" : "systemd does not run here";
  const runs = await answers(host, config.socket);
  return {
    message: `${why}: the agent is yours to start${
      runs ? " anew, for one runs that knows nothing of this" : ""
    }`,
    runs: false,
    next: startByHand(o),
  };
}

async function waitForNode(o: Joining, say: (message: string) => void, signal: AbortSignal) {
  const { host, log, places, nodeName, asked } = o;
  const patience = asked.wait ?? usualWait;
  const { ready, stands } = await waitUntilReady({
    host,
    log,
    kubeconfig: places.kubeconfig,
    nodeName,
    patience,
    say,
  }, signal);
  if (ready) return { ready, message: `${nodeName} is Ready` };
  throw new JoinFailure(
    `${nodeName} was not Ready within ${Math.round(patience / 1000)} seconds: ${stands}`,
    "look at `agent status` and `agent get problems`; it may become so by itself (a network plugin that is still being pulled, for instance)",
  );
}
