/**
 * The Runtime port over CRI v1. Not for: translation (translate_*.ts, observe.ts), creation twice (create.ts).
 */
import { AgentError, type Reason } from "../../agent/model/errors.ts";
import type { ContainerSpec } from "../../agent/model/container.ts";
import type { ExecResult, Runtime, RuntimeStatus } from "../../agent/ports.ts";
import { CgroupDriver, type RuntimeHandlerFeatures, type StatusResponse } from "../rpc/gen/cri.ts";
import { REQUEST_TIMEOUT_MS, type RuntimeClient, within } from "./client.ts";
import { createCreator } from "./create.ts";
import { isNotFound, isTimeout, isUnimplemented, toAgentError } from "./errors.ts";
import type { Observer } from "./observer.ts";
import { toCriResourceUpdate } from "./resources.ts";
import { effectiveSecurity, type SecurityOptions } from "./security.ts";
import { listStats } from "./stats.ts";

export interface RuntimeOptions extends SecurityOptions {
  instance: string;
}

/** Runs one effect: failures become AgentErrors with this reason. */
async function effect<T>(reason: Reason, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw toAgentError(error, reason, signal);
  }
}

/** As `effect`, where the object's absence is what was wanted. */
function ending(reason: Reason, signal: AbortSignal, run: () => Promise<unknown>): Promise<void> {
  return effect(reason, signal, async () => {
    try {
      await run();
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  });
}

export function createRuntime(
  client: RuntimeClient,
  observer: Observer,
  events: Runtime["events"],
  options: RuntimeOptions,
): Runtime {
  const creator = createCreator(client, options.instance, options);
  const askStatus = createStatus(client);
  return {
    version: (signal) =>
      effect("Unknown", signal, async () => {
        const v = await client.version({ version: "v1" }, within(signal));
        return { name: v.runtimeName, version: v.runtimeVersion, apiVersion: v.runtimeApiVersion };
      }),
    status: (signal) => effect("Unknown", signal, () => askStatus(signal)),
    observe: (uid, signal) => effect("Unknown", signal, () => observer.observe(uid, signal)),
    runPodSandbox: (spec, signal) =>
      effect("CreatePodSandboxError", signal, async () => {
        const id = await creator.runPodSandbox(spec, signal).catch((error) =>
          explainHandler(error, spec.runtimeHandler, () => askStatus(signal))
        );
        observer.remember(id, spec.uid);
        return id;
      }),
    sandboxIds: (signal) =>
      effect("Unknown", signal, async () => {
        const { items } = await client.listPodSandbox({}, within(signal));
        return new Set(items.map(({ id }) => id));
      }),
    networkNamespace: (id, signal) =>
      effect("Unknown", signal, async () => {
        const { info } = await client.podSandboxStatus({ podSandboxId: id, verbose: true }, within(signal));
        return networkNamespaceIn(info["info"]);
      }),
    stopPodSandbox: (id, signal) =>
      ending("FailedKillPod", signal, () => client.stopPodSandbox({ podSandboxId: id }, within(signal))),
    removePodSandbox: (id, signal) =>
      ending("FailedKillPod", signal, () => client.removePodSandbox({ podSandboxId: id }, within(signal))),
    createContainer: (spec, signal) =>
      effect("CreateContainerError", signal, async () => {
        await checkSeccompFile(spec, options);
        const id = await creator.createContainer(spec, signal);
        observer.remember(id, spec.sandbox.uid);
        return id;
      }),
    startContainer: (id, signal) =>
      effect("RunContainerError", signal, async () => {
        await client.startContainer({ containerId: id }, within(signal));
      }),
    stopContainer: (id, graceSeconds, signal) =>
      ending("KillContainerError", signal, () => {
        const timeout = BigInt(Math.max(0, Math.ceil(graceSeconds)));
        return client.stopContainer({ containerId: id, timeout }, within(signal, Number(timeout) * 1000));
      }),
    removeContainer: (id, signal) =>
      ending("KillContainerError", signal, () => client.removeContainer({ containerId: id }, within(signal))),
    updateContainerResources: (id, resources, signal) =>
      effect("Unknown", signal, async () => {
        const linux = toCriResourceUpdate(resources);
        await client.updateContainerResources({ containerId: id, linux }, within(signal));
      }),
    stats: (signal) => effect("Unknown", signal, () => listStats(client, options.instance, signal)),
    reopenContainerLog: (id, signal) =>
      effect("Unknown", signal, async () => {
        await client.reopenContainerLog({ containerId: id }, within(signal));
      }),
    execSync: (id, command, timeoutSeconds, signal) =>
      effect("Unknown", signal, () => execSync(client, id, command, timeoutSeconds, signal)),
    events,
  };
}

/** containerd and CRI-O tell the sandbox's OCI configuration. */
export function networkNamespaceIn(info: string | undefined): string | undefined {
  interface Info {
    runtimeSpec?: { linux?: { namespaces?: { type?: unknown; path?: unknown }[] } };
  }
  try {
    const namespaces = (JSON.parse(info ?? "null") as Info | null)?.runtimeSpec?.linux?.namespaces;
    const path = namespaces?.find((n) => n.type === "network")?.path;
    return typeof path === "string" && path !== "" ? path : undefined;
  } catch {
    return undefined;
  }
}

const MAX_OUTPUT = 1024 * 1024;

async function execSync(
  client: RuntimeClient,
  containerId: string,
  command: readonly string[],
  timeoutSeconds: number,
  signal: AbortSignal,
): Promise<ExecResult> {
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes.subarray(0, MAX_OUTPUT));
  const timeout = BigInt(Math.ceil(timeoutSeconds));
  const deadline = performance.now() + timeoutSeconds * 1000 + REQUEST_TIMEOUT_MS;
  try {
    const request = { containerId, cmd: [...command], timeout };
    const { exitCode, stdout, stderr } = await client.execSync(
      request,
      within(signal, timeoutSeconds * 1000),
    );
    return { exitCode, output: decode(stdout) + decode(stderr) };
  } catch (error) {
    // A runtime that says nothing at all says nothing about the command either.
    if (signal.aborted || !isTimeout(error) || performance.now() >= deadline) throw error;
    return { exitCode: undefined, output: "" };
  }
}

function createStatus(client: RuntimeClient): (signal: AbortSignal) => Promise<RuntimeStatus> {
  let driver: RuntimeStatus["cgroupDriver"];
  let driverAsked = false;
  let configured: string[] = [];
  let takesCdiNames: boolean | undefined;
  return async (signal) => {
    const askDriver = !driverAsked;
    const response = await client.status({ verbose: askDriver }, within(signal));
    if (askDriver) {
      driver = await askCgroupDriver(client, response, signal);
      configured = handlersIn(response.info["config"]);
      takesCdiNames = takesCdiNamesIn(response.info["config"]);
      driverAsked = true;
    }
    const told = response.runtimeHandlers.map((h) => h.name).filter((name) => name !== "");
    const handlers = told.length > 0 ? told : configured;
    const conditions = response.status?.conditions ?? [];
    const isTrue = (type: string): boolean => conditions.some((c) => c.type === type && c.status);
    return {
      runtimeReady: isTrue("RuntimeReady"),
      networkReady: isTrue("NetworkReady"),
      message: conditions.filter((c) => !c.status).map((c) => c.message || c.reason).join("; "),
      runtimeHandlers: handlers,
      recursiveReadOnlyHandlers: handlersWith("recursiveReadOnlyMounts", response),
      userNamespaceHandlers: handlersWith("userNamespaces", response),
      supplementalGroupsPolicy: response.features?.supplementalGroupsPolicy === true,
      ...(driver === undefined ? {} : { cgroupDriver: driver }),
      ...(takesCdiNames === undefined ? {} : { takesCdiNames }),
    };
  };
}

/** The runtimes say that a file is missing, but not what it is for. */
async function checkSeccompFile(spec: ContainerSpec, { seccompRoot }: SecurityOptions): Promise<void> {
  const { seccompProfile, privileged } = effectiveSecurity(spec.sandbox.pod, spec.container);
  if (seccompProfile?.type !== "Localhost" || privileged === true) return;
  const path = `${seccompRoot}/${seccompProfile.localhostProfile}`;
  if ((await Deno.stat(path).catch(() => undefined))?.isFile === true) return;
  throw new AgentError(
    "CreateContainerConfigError",
    `the seccomp profile ${path} does not exist: expected the file that seccompProfile.localhostProfile names`,
  );
}

/** A handler that the runtime does not know is the reason, whatever words it has for that. */
async function explainHandler(
  error: unknown,
  handler: string,
  ask: () => Promise<RuntimeStatus>,
): Promise<never> {
  if (handler === "") throw error;
  const known = await ask().then((status) => status.runtimeHandlers, (): string[] => []);
  if (known.length === 0 || known.includes(handler)) throw error;
  throw new AgentError(
    "CreatePodSandboxError",
    `the runtime has no handler "${handler}": it has ${
      known.join(", ")
    }; name one of them in the RuntimeClass, ` +
      "or add it to the runtime's configuration",
    { cause: error },
  );
}

const handlersWith = (feature: keyof RuntimeHandlerFeatures, response: StatusResponse): string[] =>
  response.runtimeHandlers.filter((h) => h.features?.[feature] === true).map((h) => h.name);

async function askCgroupDriver(
  client: RuntimeClient,
  response: StatusResponse,
  signal: AbortSignal,
): Promise<RuntimeStatus["cgroupDriver"]> {
  try {
    const { linux } = await client.runtimeConfig({}, within(signal));
    if (linux === undefined) return undefined;
    return linux.cgroupDriver === CgroupDriver.SYSTEMD ? "systemd" : "cgroupfs";
  } catch (error) {
    if (!isUnimplemented(error)) throw error;
    return cgroupDriverIn(response.info["config"]);
  }
}

/** containerd before 2.0 has no RuntimeConfig, but tells its configuration: the default runtime's SystemdCgroup. */
export function cgroupDriverIn(config: string | undefined): RuntimeStatus["cgroupDriver"] {
  const containerd = containerdIn(config);
  const runtime = containerd?.runtimes?.[containerd.defaultRuntimeName ?? "runc"];
  if (runtime === undefined) return undefined;
  return runtime?.options?.SystemdCgroup === true ? "systemd" : "cgroupfs";
}

/** The names of the handlers, where the runtime's status does not list them: containerd before 2.0. */
export const handlersIn = (config: string | undefined): string[] =>
  Object.keys(containerdIn(config)?.runtimes ?? {}).sort();

/** What containerd from 1.7 on tells of its `enable_cdi`; older ones and other runtimes tell nothing. */
export const takesCdiNamesIn = (config: string | undefined): boolean | undefined => {
  const enabled = configIn(config)?.enableCDI;
  return typeof enabled === "boolean" ? enabled : undefined;
};

interface ContainerdConfig {
  defaultRuntimeName?: string;
  runtimes?: Record<string, { options?: { SystemdCgroup?: unknown } | null } | undefined>;
}

const containerdIn = (config: string | undefined): ContainerdConfig | undefined =>
  configIn(config)?.containerd;

function configIn(
  config: string | undefined,
): { containerd?: ContainerdConfig; enableCDI?: unknown } | undefined {
  try {
    return JSON.parse(config ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}
