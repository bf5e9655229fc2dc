/**
 * The entry point: argv, environment, signals and exit status meet the parts here. Not for: deciding anything.
 */
import { runAgent } from "./agent.ts";
import { buildInfo, calledAs } from "./build_info.ts";
import type { ParsedArgs } from "./cli/command.ts";
import type { Io } from "./cli/io.ts";
import type { JoinAsked, JoinOutcome, ResetAsked, TellStep } from "./cli/join_steps.ts";
import { runCli } from "./cli/mod.ts";
import { createTerminal } from "./cli/terminal.ts";
import { checkAll } from "./compose/check.ts";
import { loadConfig } from "./compose/config.ts";
import { joinCluster } from "./compose/join/join.ts";
import { resetNode } from "./compose/join/reset.ts";
import { createCniTool } from "./compose/networks.ts";
import { createServices } from "./compose/run.ts";
import { runtimeSocket } from "./compose/runtime.ts";
import { endClusterPods, teardown } from "./compose/teardown.ts";
import { readMachine } from "./compose/machine.ts";
import type { Config, ParsedConfig } from "./config/config.ts";
import { configFlags } from "./config/flags.ts";
import { createHost } from "./host.ts";
import { createLog, type Log, silentLog } from "./lib/log.ts";
import { errorText, formatProblem } from "./model/errors.ts";
import { parseManifest } from "./model/manifest.ts";
import { locateProblems } from "./sources/locate.ts";
import { readManifests } from "./sources/manifest_files.ts";
import { createNotifier } from "../plugins/systemd/mod.ts";

const host = createHost();
const terminal = createTerminal();

/** Aborts on the first SIGINT or SIGTERM; the second ends the program at once. */
function untilSignal(): AbortSignal {
  const leave = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => {
      if (leave.signal.aborted) Deno.exit(130);
      leave.abort();
    });
  }
  return leave.signal;
}

const writeLine = (line: string) => {
  Deno.stderr.writeSync(new TextEncoder().encode(line));
};

function createAgentLog(parsed: ParsedConfig): Log {
  const { logFormat: format, verbosity } = parsed.config;
  return createLog({ write: writeLine, format, verbosity, now: () => host.now() });
}

const flagValues = (args: Pick<ParsedArgs, "boolean" | "texts">): Record<string, unknown> =>
  Object.fromEntries(configFlags.map((f) => {
    const values = f.kind === "boolean" ? [args.boolean(f.name) ?? []].flat() : args.texts(f.name);
    return [f.name, values.length === 0 ? undefined : [...values]];
  }));

const surroundings = () => ({ env: Deno.env.toObject(), hostname: readMachine([]).hostname });

/** The configuration of flags, files and environment; `undefined` when it has errors, which are printed. */
async function readConfig(
  args: Pick<ParsedArgs, "boolean" | "texts">,
  { quiet = false, ...options }: { asKubelet?: boolean; quiet?: boolean } = {},
): Promise<ParsedConfig | undefined> {
  const parsed = await loadConfig(host, { flags: flagValues(args), ...surroundings(), ...options });
  const errors = parsed.problems.filter((p) => p.severity === "error").length;
  for (const p of parsed.problems) {
    if (!quiet || p.severity === "error") writeLine(formatProblem(p) + "\n");
  }
  if (errors === 0) return parsed;
  writeLine(`Error: the configuration has ${errors} error${errors === 1 ? "" : "s"}; nothing was started\n`);
  return undefined;
}

const noArgs: Pick<ParsedArgs, "boolean" | "texts"> = { boolean: () => undefined, texts: () => [] };

async function runCommand(args: ParsedArgs, asKubelet = false): Promise<number> {
  const parsed = await readConfig(args, { asKubelet });
  if (parsed === undefined) return 1;
  const notifier = createNotifier(Deno.env);
  const signal = untilSignal();
  const log = createAgentLog(parsed);
  const { config, values, origin, problems } = parsed;
  const build = buildInfo();
  log.info("agent starts", { version: build.version, root: config.rootDir, manifests: config.staticPodPath });
  const shownConfig = { values: Object.fromEntries(values), origin };
  try {
    const services = await createServices({ config, host, log, shownConfig, problems, notifier }, signal);
    await runAgent(services, {
      signal,
      log,
      patienceMs: 5000,
      onStarted: () => log.info("agent is up", { socket: config.socket }),
    });
    log.info("agent left; containers go on");
    return 0;
  } catch (error) {
    if (signal.aborted) return 0;
    writeLine(`Error: ${errorText(error)}\n`);
    return 1;
  }
}

async function teardownCommand(args: ParsedArgs): Promise<number> {
  const parsed = await readConfig(args);
  if (parsed === undefined) return 1;
  const report = (text: string) => writeLine(`${text}\n`);
  await teardown({ config: parsed.config, host, log: createAgentLog(parsed), report }, untilSignal());
  return 0;
}

/** The places alone: what else is typed is of joining, and said when the cluster is known. */
const instanceOnly = (args: ParsedArgs): Pick<ParsedArgs, "boolean" | "texts"> => ({
  boolean: () => undefined,
  texts: (name) => ["root-dir", "socket"].includes(name) ? args.texts(name) : [],
});

async function joinCommand(
  args: ParsedArgs,
  asked: JoinAsked,
  tell: TellStep,
): Promise<JoinOutcome | undefined> {
  const parsed = await readConfig(instanceOnly(args), { quiet: true });
  if (parsed === undefined) return undefined;
  const options = {
    ...{ host, log: silentLog, parsed, input: surroundings(), cwd: Deno.cwd(), tell },
    runtimeSocket: (config: Config) => runtimeSocket({ config, host, log: silentLog }, io.signal),
  };
  return await joinCluster(options, asked, io.signal);
}

async function resetCommand(
  args: ParsedArgs,
  asked: ResetAsked,
  tell: TellStep,
): Promise<JoinOutcome | undefined> {
  const parsed = await readConfig(instanceOnly(args), { quiet: true });
  if (parsed === undefined) return undefined;
  const { config } = parsed;
  const log = createAgentLog(parsed);
  const endPods = (signal: AbortSignal) => endClusterPods({ config, host, log, report: () => {} }, signal);
  return await resetNode({ host, config, tell, endPods }, asked, io.signal);
}

const io: Io = {
  ...terminal,
  now: () => host.now(),
  build: buildInfo(),
  files: host,
  async parseManifest(file, text) {
    const manifest = parseManifest(file, text);
    return { ...manifest, problems: await locateProblems(text, manifest.problems) };
  },
  readManifests: (directory) => readManifests(host, directory),
  check: (paths) => checkAll(host, paths),
  run: {
    flags: configFlags,
    run: (args) => runCommand(args),
    asKubelet: (args) => runCommand(args, true),
  },
  config: { flags: configFlags, read: readConfig },
  teardown: { flags: configFlags, run: teardownCommand },
  cluster: { flags: configFlags, join: joinCommand, reset: resetCommand },
  async cni(places) {
    const parsed = await readConfig(noArgs);
    return parsed && createCniTool({ config: parsed.config, host }, places);
  },
  signal: new AbortController().signal,
};

const isKubelet = calledAs()?.split("/").at(-1) === "kubelet";
const status = await runCli(isKubelet ? ["kubelet", ...Deno.args] : Deno.args, io);
// All that was to be said is written; a timeout that nobody waits for any more must not keep the process.
Deno.exit(status);
