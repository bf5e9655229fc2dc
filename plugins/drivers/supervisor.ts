/**
 * The life of one driver that the agent runs: adopted or started, waited for, started again with growing pauses when it
 * ends, ended when it is no longer wanted. Not for: which drivers there are.
 */
import { pause } from "../../agent/lib/pause.ts";
import { errorText } from "../../agent/model/errors.ts";
import type { PluginReport, PluginState } from "../../agent/model/plugin_report.ts";
import type { Host } from "../../agent/ports.ts";
import { untilExit } from "../processes/exit.ts";
import { capLog, lastLines } from "../processes/launch.ts";
import { isAlive, killGroup } from "../processes/proc.ts";
import type { Driver } from "./config.ts";
import {
  answers,
  type DriverProcess,
  endDriver,
  findDrivers,
  graceOf,
  removeStaleSocket,
  startDriver,
} from "./program.ts";

export interface SupervisorOptions {
  host: Host;
  /** The agent's root directory. */
  instance: string;
  logsDir: string;
  /** Pauses before a driver that ended is started again; they double, and begin anew after `forgottenMs` of life. */
  backOff: { initialMs: number; maxMs: number; forgottenMs: number };
  show(report: PluginReport): void;
}

const SOCKET_MS = 30_000;
const SOCKET_PAUSE_MS = 20;
/** How often the size of a log is looked at. */
const LOG_MS = 30_000;
/** The agent is not waited for longer than that when it stops. */
const LEAVE_GRACE_MS = 3_000;

/**
 * `current` is asked anew when it matters: what takes no restart may change. `gone`: the driver ends; `leave`: the agent
 * does.
 */
export async function superviseDriver(
  current: () => Driver,
  hash: string,
  o: SupervisorOptions,
  gone: AbortSignal,
  leave: AbortSignal,
): Promise<void> {
  const supervisor = new Supervisor(current, hash, o, AbortSignal.any([gone, leave]));
  await supervisor.run();
  if (gone.aborted) await supervisor.end(graceOf(current().spec));
  else if (current().spec.stop === "WithAgent") {
    await supervisor.end(Math.min(graceOf(current().spec), LEAVE_GRACE_MS));
  }
}

class Supervisor {
  readonly #current: () => Driver;
  readonly #hash: string;
  readonly #o: SupervisorOptions;
  readonly #ended: AbortSignal;
  #process: DriverProcess | undefined;
  #state: PluginState = "starting";
  #since: number;
  /** How it ended last. */
  #failure = "";

  constructor(current: () => Driver, hash: string, o: SupervisorOptions, ended: AbortSignal) {
    this.#current = current;
    this.#hash = hash;
    this.#o = o;
    this.#ended = ended;
    this.#since = o.host.now();
  }

  async run(): Promise<void> {
    const { initialMs, maxMs, forgottenMs } = this.#o.backOff;
    let waitMs = initialMs;
    while (!this.#ended.aborted) {
      const begun = performance.now();
      const error = await this.#live().catch(errorText);
      if (this.#ended.aborted) return;
      this.#show("failed", this.#failure = error);
      if (performance.now() - begun > forgottenMs) waitMs = initialMs;
      await pause(waitMs, this.#ended);
      waitMs = Math.min(2 * waitMs, maxMs);
    }
  }

  async end(graceMs: number): Promise<void> {
    if (this.#process === undefined || !isAlive(this.#process)) return;
    this.#show("stopping", "");
    await endDriver(this.#process, graceMs);
    const { socket } = this.#current().spec;
    if (socket !== undefined) await removeStaleSocket(this.#o.host, socket);
  }

  /** From start or adoption to its end; returns how it ended. */
  async #live(): Promise<string> {
    this.#show("starting", this.#failure);
    const process = await this.#adopt() ?? await this.#start();
    if (process === undefined) return `it ended at its start${await this.#lastWords()}`;
    this.#process = process;
    const over = new AbortController();
    const life = AbortSignal.any([this.#ended, over.signal]);
    const tasks = [this.#untilReady(process, life), this.#keepLog(life)];
    await untilExit(process, this.#ended).finally(() => over.abort());
    await Promise.all(tasks);
    if (!this.#ended.aborted) killGroup(process);
    return `it ended${await this.#lastWords()}`;
  }

  /** The one that an earlier run of the agent started; another definition's is ended. */
  async #adopt(): Promise<DriverProcess | undefined> {
    const { name } = this.#current().metadata;
    for (const process of findDrivers(this.#o.instance).filter((p) => p.name === name)) {
      if (process.hash === this.#hash) return process;
      await endDriver(process, process.graceMs);
    }
    return undefined;
  }

  #start(): Promise<DriverProcess | undefined> {
    const { metadata: { name }, spec } = this.#current();
    const { host, instance } = this.#o;
    return startDriver(host, { instance, name, hash: this.#hash, spec, logPath: this.#logPath() });
  }

  async #untilReady(process: DriverProcess, life: AbortSignal): Promise<void> {
    const { socket } = this.#current().spec;
    if (socket === undefined) return this.#show("running", "");
    const late = performance.now() + SOCKET_MS;
    while (!life.aborted && isAlive(process)) {
      if (await answers(socket)) return this.#show("running", "");
      if (performance.now() > late) {
        this.#show("starting", `it runs, but nobody answers at ${socket}${await this.#lastWords()}`);
      }
      await pause(performance.now() > late ? 50 * SOCKET_PAUSE_MS : SOCKET_PAUSE_MS, life);
    }
  }

  async #keepLog(life: AbortSignal): Promise<void> {
    for (; !life.aborted; await pause(LOG_MS, life)) await capLog(this.#logPath());
  }

  #logPath(): string {
    return `${this.#o.logsDir}/${this.#current().metadata.name}.log`;
  }

  async #lastWords(): Promise<string> {
    const words = await lastLines(this.#logPath(), 3);
    return `; see ${this.#logPath()}${words === "" ? "" : `: ${words}`}`;
  }

  #show(state: PluginState, error: string): void {
    if (state !== this.#state) this.#since = this.#o.host.now();
    this.#state = state;
    const { metadata: { name }, spec } = this.#current();
    this.#o.show({
      ...{ name, type: "Driver", state, socket: spec.socket ?? "", endpoint: "", versions: [], error },
      since: this.#since,
    });
  }
}
