/**
 * One call of one plugin: its environment, its input, its answer, its end when it takes too long. What it answers is
 * input like any other. Source: the CNI specification 1.1, sections 2 and "Error". Not for: lists of plugins (network.ts).
 */
import { join } from "@std/path";
import { isJson, type Json } from "../../agent/model/cni_config.ts";
import { AgentError } from "../../agent/model/errors.ts";
import type { CommandResult, Host } from "../../agent/ports.ts";

export type CniCommand = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS" | "VERSION";

export interface InvokeOptions {
  host: Pick<Host, "exec" | "stat">;
  /** CNI_PATH: directories of plugins, the first that has one wins. */
  binDirs: readonly string[];
  /** Of one call of one plugin. */
  timeoutMs: number;
}

/** What a call is about; without it, it is about the network as a whole. */
export interface CniTarget {
  containerId: string;
  /** Path of the network namespace; "" where it is gone. */
  netns: string;
  ifname: string;
  /** CNI_ARGS. */
  args: readonly (readonly [string, string])[];
}

/** An error that a plugin told, or that stands for one. */
export class CniError extends AgentError {
  /** Of the specification; 0 where the plugin gave none. Below 100 they are the specification's. */
  readonly code: number;
  readonly details: string;
  constructor(message: string, options: { code?: number; details?: string; cause?: unknown } = {}) {
    super("Unknown", message, { retry: !hopeless.has(options.code ?? 0), cause: options.cause });
    this.code = options.code ?? 0;
    this.details = options.details ?? "";
  }
}

/** Version, field, environment, input or configuration are wrong: they are so the next time, too. */
const hopeless = new Set([1, 2, 4, 6, 7]);

/** Output that long was cut off by the host. */
const outputLimit = 1 << 20;
const shownStderr = 500;

const environment = (command: CniCommand, { containerId, netns, ifname, args }: CniTarget, path: string) => ({
  CNI_COMMAND: command,
  CNI_CONTAINERID: containerId,
  CNI_NETNS: netns,
  CNI_IFNAME: ifname,
  CNI_ARGS: args.map(([key, value]) => `${key}=${value}`).join(";"),
  CNI_PATH: path,
});

export const noTarget: CniTarget = { containerId: "", netns: "", ifname: "", args: [] };

/** Plugins that are older than VERSION refuse it without these. */
const versionTarget: CniTarget = { containerId: "dummy", netns: "dummy", ifname: "dummy", args: [] };

async function findPlugin(o: InvokeOptions, type: string): Promise<string> {
  for (const directory of o.binDirs) {
    const path = join(directory, type);
    const found = await o.host.stat(path);
    if (found?.kind === "file") return path;
  }
  throw new CniError(`there is no CNI plugin "${type}" in ${o.binDirs.join(", ")}: install it there`);
}

/**
 * What the plugin printed, as JSON; undefined where it printed nothing. Throws CniError; DeadlineExceeded when it took
 * too long, and then its whole process group has been killed.
 */
export async function invokePlugin(
  o: InvokeOptions,
  call: { command: CniCommand; type: string; target: CniTarget; input: Json },
  signal: AbortSignal,
): Promise<unknown> {
  const { command, type } = call;
  const path = await findPlugin(o, type);
  const limit = AbortSignal.timeout(o.timeoutMs);
  const target = command === "VERSION" ? versionTarget : call.target;
  let result: CommandResult;
  try {
    result = await o.host.exec([path], {
      env: environment(command, target, o.binDirs.join(":")),
      stdin: new TextEncoder().encode(JSON.stringify(call.input)),
    }, AbortSignal.any([signal, limit]));
  } catch (error) {
    signal.throwIfAborted();
    if (!limit.aborted) throw error;
    const seconds = Math.round(o.timeoutMs / 1000);
    throw new AgentError(
      "DeadlineExceeded",
      `CNI plugin ${type} (${command}) did not end within ${seconds} s`,
    );
  }
  if (result.code !== 0) throw failureOf(`CNI plugin ${type} (${command})`, result);
  return answerOf(`CNI plugin ${type} (${command})`, result.stdout);
}

function parse(bytes: Uint8Array): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(new TextDecoder().decode(bytes)) };
  } catch {
    return undefined;
  }
}

function answerOf(who: string, stdout: Uint8Array): unknown {
  if (stdout.every((byte) => byte <= 32)) return undefined;
  if (stdout.length >= outputLimit) throw new CniError(`${who} answered with more than 1 MiB`);
  const parsed = parse(stdout);
  if (parsed === undefined) throw new CniError(`${who} answered with what is no JSON: ${excerpt(stdout)}`);
  return parsed.value;
}

/** In one line. */
const excerpt = (bytes: Uint8Array): string =>
  new TextDecoder().decode(bytes.subarray(0, shownStderr)).trim().split(/\s*\n\s*/).join(" | ");

function failureOf(who: string, { code, stdout, stderr }: CommandResult): CniError {
  const answer = parse(stdout)?.value;
  const said = excerpt(stderr) || excerpt(stdout);
  if (!isJson(answer) || typeof answer["msg"] !== "string") {
    return new CniError(`${who} ended with ${code}${said === "" ? " and said nothing" : `: ${said}`}`);
  }
  const number = typeof answer["code"] === "number" ? answer["code"] : 0;
  const details = typeof answer["details"] === "string" ? answer["details"].slice(0, shownStderr) : "";
  const message = [answer["msg"].slice(0, shownStderr), details].filter((s) => s !== "").join("; ");
  return new CniError(`${who}: ${message || `error ${number}`}`, { code: number, details });
}
