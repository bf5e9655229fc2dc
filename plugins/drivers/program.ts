/**
 * The processes of drivers: each bears in its environment whose it is and by which definition it runs, so that the next
 * run of the agent finds it without a file that could lie. Not for: when to start and stop them.
 */
import { dirname } from "@std/path";
import { sha256 } from "../../agent/lib/sha256.ts";
import { AgentError } from "../../agent/model/errors.ts";
import type { Host } from "../../agent/ports.ts";
import { startApart } from "../processes/launch.ts";
import {
  endProcess,
  environmentOf,
  findProcesses,
  killGroup,
  leadsSession,
  processAt,
  type RunningProcess,
} from "../processes/proc.ts";
import type { DriverSpec } from "./config.ts";
import { runAs } from "./user.ts";

export interface DriverProcess extends RunningProcess {
  name: string;
  /** Of the definition that it was started by. */
  hash: string;
  /** Between SIGTERM and SIGKILL, by that definition. */
  graceMs: number;
}

const MARK = "AGENT_DRIVER";
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const failed = (message: string, cause?: unknown): AgentError =>
  new AgentError("DriverFailed", message, { cause });

function identify(process: RunningProcess, instance: string): DriverProcess | undefined {
  const [owner, name, hash, grace] = environmentOf(process, MARK)?.split("\t") ?? [];
  if (owner !== instance || name === undefined || hash === undefined || !leadsSession(process.pid)) {
    return undefined;
  }
  return { ...process, name, hash, graceMs: Number(grace) || 0 };
}

/** The running drivers of an agent, which its root directory tells from others. */
export function findDrivers(instance: string): DriverProcess[] {
  return findProcesses((argv) => argv.length > 0).flatMap((p) => identify(p, instance) ?? []);
}

const GRACE_S = 10;

/** In milliseconds. */
export const graceOf = (spec: DriverSpec): number => (spec.terminationGracePeriodSeconds ?? GRACE_S) * 1000;

/** What of a definition takes a restart to change. */
export async function hashOf(spec: DriverSpec): Promise<string> {
  const { command, args = [], env = [], socket, user, group, workingDir } = spec;
  return (await sha256(JSON.stringify([command, args, env, socket, user, group, workingDir]))).slice(0, 16);
}

/** Throws AgentError with what is wrong with its definition or its surroundings. */
export async function startDriver(
  host: Host,
  of: { instance: string; name: string; hash: string; spec: DriverSpec; logPath: string },
): Promise<DriverProcess | undefined> {
  const { instance, name, hash, spec, logPath } = of;
  const accounts = {
    passwd: await host.readText("/etc/passwd") ?? "",
    group: await host.readText("/etc/group") ?? "",
  };
  const as = runAs(accounts, spec.user, spec.group);
  if (typeof as === "string") throw failed(as);
  if (spec.socket !== undefined) await clearSocket(host, spec.socket);
  await host.mkdir(dirname(logPath));
  try {
    const started = await startApart({
      argv: [...as.argv, ...spec.command, ...spec.args ?? []],
      env: {
        ...{ PATH: SYSTEM_PATH, HOME: as.home },
        ...Object.fromEntries((spec.env ?? []).map((v) => [v.name, v.value ?? ""])),
        [MARK]: [instance, name, hash, graceOf(spec)].join("\t"),
      },
      logPath,
      ...(spec.workingDir !== undefined && { workingDir: spec.workingDir }),
      find: (pid) => findProcess(pid, instance),
    });
    return started === undefined ? undefined : identify(started, instance);
  } catch (error) {
    throw failed(`cannot be started: ${error instanceof Error ? error.message : error}`, error);
  }
}

function findProcess(pid: number, instance: string): DriverProcess | undefined {
  const process = processAt(pid);
  return process === undefined ? undefined : identify(process, instance);
}

/** Takes a socket away that nobody serves any more; its directory is there afterwards. Throws AgentError. */
async function clearSocket(host: Host, socket: string): Promise<void> {
  const found = await host.lstat(socket);
  if (found === undefined) {
    if (await host.stat(dirname(socket)) === undefined) await host.mkdir(dirname(socket), 0o755);
    return;
  }
  if (found.kind !== "socket") throw failed(`${socket} is no socket: expected a path that is free`);
  if (!await fallsSilent(socket)) throw failed(`another program answers at ${socket}`);
  await host.remove(socket);
}

/** What a driver that has ended left at its socket would be taken for a driver that does not answer. */
export async function removeStaleSocket(host: Host, socket: string): Promise<void> {
  const found = await host.lstat(socket).catch(() => undefined);
  if (found?.kind === "socket" && await fallsSilent(socket)) await host.remove(socket);
}

const SILENT_MS = 2000;

/** A process counts as ended when its first thread has: the others may hold the socket a moment longer. */
async function fallsSilent(socket: string): Promise<boolean> {
  for (const end = performance.now() + SILENT_MS; await answers(socket);) {
    if (performance.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return true;
}

export const answers = (socket: string): Promise<boolean> =>
  Deno.connect({ transport: "unix", path: socket }).then((c) => (c.close(), true), () => false);

/** Ends it and whatever it has started in its process group. */
export async function endDriver(process: RunningProcess, graceMs: number): Promise<void> {
  await endProcess(process, graceMs).finally(() => killGroup(process));
}
