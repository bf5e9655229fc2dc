/**
 * Drivers that the agent runs itself: watches the directory that names them, keeps those that it names running and ends
 * those that it does not. Not for: what they register (plugins/registry).
 */
import { join } from "@std/path";
import { listenForHints } from "../../agent/lib/hints.ts";
import type { Log } from "../../agent/lib/log.ts";
import { errorText, type Problem } from "../../agent/model/errors.ts";
import type { PlacedProblem } from "../../agent/model/finding.ts";
import type { PluginReport } from "../../agent/model/plugin_report.ts";
import type { Host } from "../../agent/ports.ts";
import { type Driver, parseDrivers } from "./config.ts";
import { endDriver, findDrivers, hashOf } from "./program.ts";
import { superviseDriver } from "./supervisor.ts";

export { parseDrivers } from "./config.ts";

export interface DriversOptions {
  host: Host;
  /** Of *.yaml, *.yml and *.json; it need not exist. */
  directory: string;
  /** The agent's root directory, which tells its drivers from another agent's. */
  instance: string;
  logsDir: string;
  log: Log;
  /** Finds the lines of problems. */
  locate(text: string, problems: readonly PlacedProblem[]): Promise<Problem[]>;
  problems(problems: readonly Problem[]): void;
  /** Told all drivers, by name, after each change. */
  report(drivers: readonly PluginReport[]): void;
  /** Told once for each change of a driver's state or error. */
  event(driver: PluginReport): void;
  backOff?: { initialMs: number; maxMs: number; forgottenMs: number };
}

const defaultBackOff = { initialMs: 1000, maxMs: 300_000, forgottenMs: 600_000 };
/** Covers lost hints. */
const rescanMs = 60_000;
/** A file that was written to just now may be half written. */
const settleMs = 200;

type NamedDriver = Driver & { file: string };

interface Kept {
  driver: NamedDriver;
  hash: string;
  report: PluginReport | undefined;
  gone: AbortController;
  ended: Promise<void>;
}

interface Look {
  files: { path: string; text: string }[];
  problems: Problem[];
  /** Some file is younger than it should be to be believed. */
  fresh: boolean;
}

/** Runs until the signal aborts, which ends those drivers that are to stop with the agent. */
export async function runDrivers(o: DriversOptions, signal: AbortSignal): Promise<void> {
  const kept = new Map<string, Kept>();
  const tell = () => {
    const reports = [...kept.values()].flatMap(({ report }) => report ?? []);
    o.report(reports.sort((a, b) => a.name < b.name ? -1 : 1));
  };
  const keep = (driver: NamedDriver, hash: string, before: Promise<void> | undefined): void => {
    const { name } = driver.metadata;
    const gone = new AbortController();
    const entry: Kept = { driver, hash, report: undefined, gone, ended: Promise.resolve() };
    const show = (report: PluginReport) => {
      const known = entry.report;
      entry.report = report;
      if (report.state !== known?.state || report.error !== known.error) o.event(report);
      if (kept.get(name) === entry) tell();
    };
    const live = async () => {
      await before;
      const options = { ...o, backOff: o.backOff ?? defaultBackOff, show };
      await superviseDriver(() => entry.driver, hash, options, gone.signal, signal);
    };
    entry.ended = live().catch((error) =>
      o.log.error("a driver was given up", { name, error: errorText(error) })
    );
    kept.set(name, entry);
  };
  const adopt = async (drivers: ReadonlyMap<string, NamedDriver>): Promise<void> => {
    const ending = new Map<string, Promise<void>>();
    for (const [name, entry] of [...kept]) {
      const driver = drivers.get(name);
      if (driver !== undefined && await hashOf(driver.spec) === entry.hash) {
        entry.driver = driver;
        continue;
      }
      kept.delete(name);
      entry.gone.abort();
      ending.set(name, entry.ended);
    }
    for (const [name, driver] of drivers) {
      if (!kept.has(name)) keep(driver, await hashOf(driver.spec), ending.get(name));
    }
    tell();
  };

  let first = true;
  const hints = listenForHints(o.host, () => o.directory, signal);
  while (!signal.aborted) {
    const look = await readDirectory(o.host, o.directory);
    if (!look.fresh) {
      const parsed = parseDrivers(look.files);
      const problems = [...look.problems, ...await locateAll(o, look, parsed.problems)];
      o.problems(problems);
      // A broken edit ends nobody.
      const broken = new Set(problems.filter((p) => p.severity === "error").map((p) => p.file));
      const drivers = new Map<string, NamedDriver>(parsed.drivers);
      for (const [name, { driver }] of kept) {
        if (!drivers.has(name) && (broken.has(driver.file) || broken.has(o.directory))) {
          drivers.set(name, driver);
        }
      }
      if (first && broken.size === 0) await endOrphans(o.instance, (name) => drivers.has(name));
      first &&= broken.size > 0;
      await adopt(drivers);
    }
    await hints.within(look.fresh ? settleMs : rescanMs);
  }
  await Promise.all([hints.ended, ...[...kept.values()].map(({ ended }) => ended)]);
}

/** Ends the drivers of an agent whose names are not kept: what was named while no agent ran, or all, for good. */
export async function endOrphans(instance: string, keeps: (name: string) => boolean): Promise<void> {
  const orphans = findDrivers(instance).filter(({ name }) => !keeps(name));
  await Promise.all(orphans.map((p) => endDriver(p, p.graceMs)));
}

async function locateAll(o: DriversOptions, { files }: Look, problems: PlacedProblem[]): Promise<Problem[]> {
  const located = files.map(({ path, text }) => o.locate(text, problems.filter((p) => p.file === path)));
  return (await Promise.all(located)).flat();
}

async function readDirectory(host: Host, directory: string): Promise<Look> {
  const look: Look = { files: [], problems: [], fresh: false };
  const wrong = (file: string, error: unknown) =>
    look.problems.push({ severity: "error", file, message: `cannot be read: ${errorText(error)}` });
  const names = await host.list(directory).catch((error) => void wrong(directory, error)) ?? [];
  for (const name of names.filter((n) => /^[^.].*\.(ya?ml|json)$/.test(n))) {
    const path = join(directory, name);
    try {
      const age = host.now() - ((await host.stat(path))?.mtimeMs ?? 0);
      if (age >= 0 && age < settleMs) look.fresh = true;
      const text = await host.readText(path);
      if (text !== undefined) look.files.push({ path, text });
    } catch (error) {
      wrong(path, error);
    }
  }
  return look;
}
