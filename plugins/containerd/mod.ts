/**
 * The managed runtime: a containerd of the agent's own, for machines where none answers. It is started apart from the
 * agent and outlives it; the next agent finds it by its configuration file and adopts it. Not for: CRI calls.
 */
import { join } from "@std/path";
import { pause } from "../../agent/lib/pause.ts";
import { sha256 } from "../../agent/lib/sha256.ts";
import { AgentError, errorText } from "../../agent/model/errors.ts";
import { answers, endPods, untilClosed } from "./calls.ts";
import { type RuntimeBinaries } from "./binaries.ts";
import { type ContainerdConfig, generateConfig, parseContainerdVersion } from "./config.ts";
import { chooseSnapshotter, runProgram } from "./detect.ts";
import { capLog, lastLines } from "../processes/launch.ts";
import { startContainerd } from "./start.ts";
import { type DefaultNetwork, removeDefaultNetwork, writeDefaultNetwork } from "./network.ts";
import { findContainerd, findShims } from "./processes.ts";
import { endProcess, environmentOf, isAlive, type RunningProcess, wasReplaced } from "../processes/proc.ts";

import { clearOrphans } from "./orphans.ts";
import { endShims, removeShimSockets, unmountBelow } from "./teardown.ts";

export { answers } from "./calls.ts";
export { bridgeName, choosePodCIDR, preferredPodCIDR } from "./cni.ts";
export { CNI_BIN_DIRS, findBinaries, type RuntimeBinaries } from "./binaries.ts";
export { addressesInUse, type DefaultNetwork, removeDefaultNetwork, writeDefaultNetwork } from "./network.ts";
export { detectHost } from "./detect.ts";

export interface ManagedRuntimeOptions {
  /** Persistent and volatile directory of containerd; its socket, configuration and log. Absolute paths. */
  root: string;
  state: string;
  socket: string;
  configPath: string;
  logPath: string;
  /** Of the agent, for what this plugin must remember (private, persistent). */
  stateDir: string;
  binaries: RuntimeBinaries;
  /** The default network is written here when nothing else is. */
  cniConfDir: string;
  /** "" for the node's one agent, else what tells instances on one machine apart (the root directory). */
  instance: string;
  bridge: string;
  /** Absent: a range that is free on this machine. */
  podCIDR?: string;
  podCIDRv6?: string;
  /** The default network obeys the annotations of pods that limit it. */
  bandwidth?: boolean;
  sandboxImage: string;
  cgroupDriver: "cgroupfs" | "systemd";
  restrictOomScoreAdj: boolean;
  /** The cgroup below which `kubepods` lies. */
  cgroupRoot: string;
  /** `HOST/hosts.toml` files; containerd reads them at each pull. */
  registryConfigDir: string;
  /** Directories of CDI specs; the later ones win. */
  cdiSpecDirs: string[];
  /** OCI runtimes besides the default one, by the handler's name. */
  runtimes?: Readonly<Record<string, string>>;
  maxConcurrentDownloads?: number;
  logLevel?: "debug" | "info" | "warn";
  /** Told of starts, adoptions, deaths. */
  log?: (level: "info" | "warn", message: string, fields: Record<string, string | number>) => void;
}

export interface ManagedContainerd {
  /** Adopts the running containerd or starts one; returns when its socket answers. Throws RuntimeUnavailable. */
  ensure(signal: AbortSignal): Promise<void>;
  /** Keeps it running until the signal aborts, which leaves it running. */
  run(signal: AbortSignal): Promise<void>;
  /**
   * Ends containerd and every container below it, and takes its mounts, cgroups and network away. Keeps `root`. To be
   * called when `run` has ended. Pods are stopped without grace through CRI; what is left after that is killed.
   */
  stopForGood(signal: AbortSignal): Promise<void>;
}

const START_MS = 30_000;
const STOP_MS = 10_000;
const HUNG_STOP_MS = 500;
const PROBE_MS = 5_000;
/** How often a connected runtime is asked for a sign of life, and how many silences make it hung. */
const WATCH_MS = 30_000;
const SILENCES = 4;
/** Between two looks, so that a socket that closes at once is no busy loop. */
const PAUSE_MS = 20;
const BACKOFF_MS = { first: 250, most: 30_000, forgottenAfter: 60_000 };
/** sun_path holds 108 bytes, and containerd listens at SOCKET.ttrpc too. */
const MAX_SOCKET_PATH = 107 - ".ttrpc".length;
/** Carries the hash of its configuration in containerd's environment. */
export const CONFIG_HASH = "AGENT_CONTAINERD_CONFIG_SHA256";

function unavailable(message: string, cause?: unknown): AgentError {
  return new AgentError("RuntimeUnavailable", message, { cause });
}

export function createManagedContainerd(options: ManagedRuntimeOptions): ManagedContainerd {
  const log = options.log ?? (() => {});
  const network: DefaultNetwork = {
    confDir: options.cniConfDir,
    binDir: options.binaries.cniBinDir,
    bridge: options.bridge,
    stateDir: options.stateDir,
    instance: options.instance,
    bandwidth: options.bandwidth === true,
    ...(options.podCIDR === undefined ? {} : { podCIDR: options.podCIDR }),
    ...(options.podCIDRv6 === undefined ? {} : { podCIDRv6: options.podCIDRv6 }),
  };

  /** The one that was announced last. */
  let known: number | undefined;

  async function ensure(signal: AbortSignal): Promise<void> {
    await prepare(options);
    const [config] = await Promise.all([createConfig(options), writeDefaultNetwork(network)]);
    const text = generateConfig(config);
    const hash = await sha256(text);
    signal.throwIfAborted();
    const running = findContainerd(options.configPath);
    if (running !== undefined && await adopt(running, hash, signal)) return;
    await writeIfChanged(options.configPath, text);
    await start(hash, signal);
  }

  /** False when it has been ended, because only a restart helps; containers live on in their shims. */
  async function adopt(running: RunningProcess, hash: string, signal: AbortSignal): Promise<boolean> {
    const hangs = !await untilAnswers(running, PROBE_MS, signal);
    const reason = hangs
      ? "it does not answer"
      : environmentOf(running, CONFIG_HASH) !== hash
      ? "its configuration changed"
      : wasReplaced(running)
      ? "its program was replaced"
      : undefined;
    signal.throwIfAborted();
    if (reason === undefined) {
      if (running.pid !== known) log("info", "adopted the running containerd", { pid: running.pid });
      known = running.pid;
      return true;
    }
    log("warn", "restarting containerd; containers go on", { pid: running.pid, reason });
    await endProcess(running, hangs ? HUNG_STOP_MS : STOP_MS);
    return false;
  }

  async function start(hash: string, signal: AbortSignal): Promise<void> {
    const begin = performance.now();
    const started = await startContainerd(options, { [CONFIG_HASH]: hash });
    if (started !== undefined && await untilAnswers(started, START_MS, signal)) {
      known = started.pid;
      log("info", "started containerd", { pid: started.pid, ms: Math.round(performance.now() - begin) });
      return;
    }
    signal.throwIfAborted();
    const said = await lastLines(options.logPath, 5);
    const how = started !== undefined && isAlive(started) ? "does not answer" : "ended at its start";
    throw unavailable(`containerd ${how}; the end of ${options.logPath}: ${said}`);
  }

  /** Asks until it answers, dies, or the time is over. */
  async function untilAnswers(running: RunningProcess, ms: number, signal: AbortSignal): Promise<boolean> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ms)]);
    while (!limit.aborted && isAlive(running)) {
      if (await answers(options.socket, limit)) return true;
      await pause(5, limit);
    }
    return false;
  }

  async function run(signal: AbortSignal): Promise<void> {
    let delay = 0;
    while (!signal.aborted) {
      const begin = performance.now();
      try {
        await ensure(signal);
        await duringLife(untilGone, signal);
        if (!signal.aborted) log("warn", "containerd ended; starting it again", {});
      } catch (error) {
        if (!signal.aborted) log("warn", "containerd cannot be started", { error: errorText(error) });
      }
      if (performance.now() - begin > BACKOFF_MS.forgottenAfter) delay = 0;
      await pause(delay, signal);
      delay = Math.min(Math.max(delay * 2, BACKOFF_MS.first), BACKOFF_MS.most);
    }
  }

  /** Clears up beside `live`, and ends with it. */
  async function duringLife(
    live: (signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const over = new AbortController();
    const { bridge: network, binaries } = options;
    const place = { ...options, network, ipamDir: join(options.stateDir, "ipam"), ctr: binaries.ctr };
    const clearing = clearOrphans(place, log, AbortSignal.any([signal, over.signal]));
    await live(signal).finally(() => over.abort());
    await clearing;
  }

  /** Returns when containerd is dead: seen at once by its socket's end, or killed because it was silent for long. */
  async function untilGone(signal: AbortSignal): Promise<void> {
    const running = findContainerd(options.configPath);
    let silences = 0;
    while (running !== undefined && !signal.aborted && isAlive(running)) {
      const look = AbortSignal.any([signal, AbortSignal.timeout(WATCH_MS)]);
      await untilClosed(options.socket, look);
      await pause(PAUSE_MS, signal);
      if (signal.aborted || !isAlive(running)) return;
      await capLog(options.logPath);
      const alive = await untilAnswers(running, PROBE_MS, signal);
      silences = alive ? 0 : silences + 1;
      if (silences < SILENCES || signal.aborted) continue;
      log("warn", "containerd hangs; killing it", { pid: running.pid });
      await endProcess(running, HUNG_STOP_MS);
    }
  }

  async function stopForGood(signal: AbortSignal): Promise<void> {
    const running = findContainerd(options.configPath);
    if (running !== undefined) {
      await endPods(options.socket, signal);
      await endProcess(running, STOP_MS);
    }
    signal.throwIfAborted();
    await endShims(findShims(options.socket));
    await unmountBelow(options.state);
    await unmountBelow(options.root);
    await removeShimSockets(options.state);
    await removeDefaultNetwork(network);
    await Deno.remove(options.state, { recursive: true }).catch(() => undefined);
    for (const path of [options.socket, `${options.socket}.ttrpc`]) {
      await Deno.remove(path).catch(() => undefined);
    }
  }

  return { ensure, run, stopForGood };
}

async function prepare(options: ManagedRuntimeOptions): Promise<void> {
  if (new TextEncoder().encode(options.socket).length > MAX_SOCKET_PATH) {
    throw unavailable(
      `the path of containerd's socket is longer than ${MAX_SOCKET_PATH} bytes: ${options.socket}`,
    );
  }
  await Deno.mkdir(options.root, { recursive: true, mode: 0o711 });
  await Deno.mkdir(options.state, { recursive: true, mode: 0o711 });
  for (const path of [options.socket, options.configPath, options.logPath]) {
    await Deno.mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
  }
  await Deno.mkdir(options.registryConfigDir, { recursive: true, mode: 0o755 });
}

async function createConfig(options: ManagedRuntimeOptions): Promise<ContainerdConfig> {
  const { binaries } = options;
  const [said, snapshotter] = await Promise.all([
    runProgram([binaries.containerd, "--version"]),
    chooseSnapshotter(options.root),
  ]);
  const version = parseContainerdVersion(said.stdout);
  if (version === undefined) {
    throw unavailable(
      `${binaries.containerd} --version said what no containerd says: ${said.stdout}${said.stderr}`,
    );
  }
  return {
    version,
    snapshotter,
    root: options.root,
    state: options.state,
    socket: options.socket,
    runc: binaries.runc,
    cniBinDir: binaries.cniBinDir,
    cniConfDir: options.cniConfDir,
    sandboxImage: options.sandboxImage,
    cgroupDriver: options.cgroupDriver,
    restrictOomScoreAdj: options.restrictOomScoreAdj,
    registryConfigDir: options.registryConfigDir,
    cdiSpecDirs: options.cdiSpecDirs,
    runtimes: options.runtimes ?? {},
    maxConcurrentDownloads: options.maxConcurrentDownloads ?? 3,
    logLevel: options.logLevel ?? "warn",
  };
}

async function writeIfChanged(path: string, text: string): Promise<void> {
  if (await Deno.readTextFile(path).catch(() => undefined) === text) return;
  await Deno.writeTextFile(`${path}.new`, text, { mode: 0o600 });
  await Deno.rename(`${path}.new`, path);
}
