/**
 * The container runtime that the agent drives: found, or a containerd of its own with the pause image that the binary
 * carries. Not for: the choice itself (node/runtime_probe.ts) or driving it (plugins/cri).
 */
import { join } from "@std/path";
import type { Config } from "../config/config.ts";
import type { Log } from "../lib/log.ts";
import type { Host } from "../ports.ts";
import { ensureBuiltinImage } from "../node/builtin_image.ts";
import { chooseEndpoint } from "../node/runtime_probe.ts";
import { createCri, createPauseImageArchive, type Cri, PAUSE_IMAGE } from "../../plugins/cri/mod.ts";
import {
  bridgeName,
  createManagedContainerd,
  detectHost,
  findBinaries,
  type ManagedContainerd,
} from "../../plugins/containerd/mod.ts";

export interface ChosenRuntime {
  /** Path of the socket. */
  endpoint: string;
  cri: Cri;
  /** Present when the runtime is the agent's own. */
  containerd?: ManagedContainerd;
}

async function answers(socket: string, instance: string, signal: AbortSignal): Promise<boolean> {
  const cri = createCri({ endpoint: socket, instance });
  try {
    await cri.runtime.version(signal);
    return true;
  } catch {
    return false;
  } finally {
    cri.close();
  }
}

/** Throws RuntimeUnavailable, which says what to install, when there is no runtime and none can be started. */
export async function chooseRuntime(
  o: { config: Config; host: Host; log: Log },
  signal: AbortSignal,
): Promise<ChosenRuntime> {
  const { config, host } = o;
  const managed = config.containerRuntimeEndpoint === "managed";
  const choice = managed ? { kind: "managed" as const } : await chooseEndpoint(
    {
      configured: config.containerRuntimeEndpoint,
      managedSocket: config.managedRuntime.socket,
      privateInstance: config.isPrivate,
      managedBefore: await host.stat(config.managedRuntime.configPath) !== undefined,
    },
    (socket, limit) => answers(socket, config.instanceId, limit),
    signal,
  );
  if (choice.kind === "managed") return await createManaged(o);
  return { endpoint: choice.endpoint, cri: connect(config, choice.endpoint) };
}

/** Path of the socket of the runtime that would be chosen; absent where there is none and none can be started. */
export async function runtimeSocket(
  o: { config: Config; host: Host; log: Log },
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const { cri, endpoint } = await chooseRuntime(o, signal);
    cri.close();
    return endpoint;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

const connect = (config: Config, endpoint: string, ctr?: string): Cri =>
  createCri({
    endpoint,
    ...(config.imageServiceEndpoint === "" ? {} : { imageEndpoint: config.imageServiceEndpoint }),
    instance: config.instanceId,
    seccompRoot: join(config.rootDir, "seccomp"),
    seccompDefault: config.seccompDefault,
    ...(ctr === undefined ? {} : { ctr }),
  });

async function createManaged(o: { config: Config; log: Log }): Promise<ChosenRuntime> {
  const { config, log } = o;
  const m = config.managedRuntime;
  const [binaries, detected] = await Promise.all([
    findBinaries({
      path: [...m.binDirs, Deno.env.get("PATH") ?? ""].join(":"),
      ...(m.cniBinDirs.length === 0 ? {} : { cniBinDirs: m.cniBinDirs }),
    }),
    detectHost(),
  ]);
  const instance = config.isPrivate ? config.rootDir : "";
  const containerd = createManagedContainerd({
    root: m.root,
    state: m.state,
    socket: m.socket,
    configPath: m.configPath,
    logPath: m.logPath,
    stateDir: config.stateDir,
    binaries,
    cniConfDir: m.cniConfDir,
    instance,
    bridge: bridgeName(instance),
    ...(m.podCIDR === undefined ? {} : { podCIDR: m.podCIDR }),
    ...(m.podCIDRv6 === undefined ? {} : { podCIDRv6: m.podCIDRv6 }),
    bandwidth: config.network.bandwidth,
    sandboxImage: PAUSE_IMAGE,
    cgroupDriver: config.cgroupDriver === "" ? detected.cgroupDriver : config.cgroupDriver,
    restrictOomScoreAdj: detected.restrictOomScoreAdj,
    cgroupRoot: config.cgroupRoot,
    registryConfigDir: m.registryConfigDir,
    cdiSpecDirs: config.cdi.specDirs,
    runtimes: m.runtimes,
    log: (level, message, fields) => log[level](message, fields),
  });
  return { endpoint: m.socket, cri: connect(config, m.socket, binaries.ctr), containerd };
}

/** Starts or adopts the agent's own containerd; the sandbox's image comes from inside the binary, not from a registry. */
export async function startManaged(
  o: { config: Config; host: Host; cri: Cri; containerd: ManagedContainerd },
  signal: AbortSignal,
): Promise<void> {
  await o.containerd.ensure(signal);
  const pause = {
    name: PAUSE_IMAGE,
    create: async () =>
      (await createPauseImageArchive(Deno.build.arch === "aarch64" ? "arm64" : "amd64")).archive,
  };
  await ensureBuiltinImage(
    { host: o.host, images: o.cri.images, directory: o.config.stateDir },
    pause,
    signal,
  );
}
