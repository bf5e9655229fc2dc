/** `agent logs`: what containers wrote. */
import type { Pod } from "../model/gen/v1.ts";
import { type ApiClient, createApiClient } from "./client.ts";
import { type Command, CommandError, type ParsedArgs, UsageError } from "./command.ts";
import { findPod, plainName } from "./describe.ts";
import { namespaceFlag } from "./get.ts";
import { type Io, socketPath } from "./io.ts";
import { parseSelector, selectorFlag } from "./selector.ts";

export const containerFlag = {
  name: "container",
  short: "c",
  kind: "text",
  placeholder: "NAME",
  summary: "which container of the pod",
} as const;

/** Names of all containers, in the order in which they are listed. */
function allNames({ spec }: Pod): string[] {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = spec ?? {};
  return [...initContainers, ...containers, ...ephemeralContainers].map((c) => c.name);
}

/** The container that is meant: named, the only one, or the one that the pod itself names as its default. */
export function chooseContainer(pod: Pod, named: string | undefined): { name: string; note?: string } {
  const { initContainers = [], containers = [] } = pod.spec ?? {};
  const names = [...initContainers, ...containers].map((c) => c.name);
  if (named !== undefined) {
    const all = allNames(pod);
    if (all.includes(named)) return { name: named };
    throw new CommandError(
      `container ${named} is not in pod ${pod.metadata?.name}; it has: ${all.join(", ")}`,
    );
  }
  const first = containers[0]?.name;
  if (first === undefined) throw new CommandError(`pod ${pod.metadata?.name} has no containers`);
  const preferred = pod.metadata?.annotations?.["kubectl.kubernetes.io/default-container"];
  if (preferred !== undefined && names.includes(preferred)) return { name: preferred };
  if (names.length === 1) return { name: first };
  return { name: first, note: `Defaulted container "${first}" out of: ${names.join(", ")}\n` };
}

/** Of many pods not everything is told unless it is asked for, as kubectl has it. */
const tailOfMany = 10;

/** The API's query for what was typed. */
export function logQuery(args: ParsedArgs): string {
  const query = new URLSearchParams();
  const tail = args.number("tail") ?? (args.text("selector") === undefined ? undefined : tailOfMany);
  const since = args.duration("since");
  if (args.is("follow")) query.set("follow", "true");
  if (args.is("previous")) query.set("previous", "true");
  if (args.is("timestamps")) query.set("timestamps", "true");
  if (tail !== undefined && tail >= 0) query.set("tailLines", String(tail));
  if (since !== undefined) query.set("sinceSeconds", String(Math.max(1, Math.ceil(since / 1000))));
  if (args.text("since-time") !== undefined) query.set("sinceTime", args.text("since-time")!);
  if (args.number("limit-bytes") !== undefined) query.set("limitBytes", String(args.number("limit-bytes")));
  return query.size === 0 ? "" : `?${query}`;
}

interface Source {
  pod: Pod;
  container: string;
}

async function podsOf(args: ParsedArgs, client: ApiClient, io: Io): Promise<Pod[]> {
  const namespace = args.text("namespace") ?? "default";
  const [named] = args.positional;
  const selector = args.text("selector");
  if ((named === undefined) === (selector === undefined)) {
    throw new UsageError('"agent logs" needs POD or --selector LABELS');
  }
  if (named !== undefined) return [await findPod(client, namespace, plainName(named), io)];
  const fits = parseSelector(selector);
  const { items } = await client.get<{ items: Pod[] }>("/pods", io.signal);
  return items.filter((pod) => pod.metadata?.namespace === namespace && fits(pod.metadata.labels ?? {}));
}

/** What is to be read, and what should be said of the choice. */
async function sourcesOf(args: ParsedArgs, client: ApiClient, io: Io): Promise<Source[]> {
  const sources: Source[] = [];
  for (const pod of await podsOf(args, client, io)) {
    if (args.is("all-containers")) {
      sources.push(...allNames(pod).map((container) => ({ pod, container })));
      continue;
    }
    const { name, note = "" } = chooseContainer(pod, args.text("container") ?? args.positional[1]);
    await io.err(note);
    sources.push({ pod, container: name });
  }
  return sources;
}

/** Whole lines, the last one also where its end is missing. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield `${line}\n`;
  }
  if (rest !== "") yield `${rest}\n`;
}

const defaultLimit = 5;

function checkLimit(count: number, args: ParsedArgs): void {
  const limit = args.number("max-log-requests") ?? defaultLimit;
  if (!args.is("follow") || count <= limit) return;
  throw new CommandError(
    `${count} logs would be followed at once, more than ${limit}: raise --max-log-requests, or choose fewer`,
  );
}

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const client = createApiClient(socketPath(args, io));
  try {
    const sources = await sourcesOf(args, client, io);
    checkLimit(sources.length, args);
    if (sources.length === 0) await io.err("No resources found.\n");
    const read = async ({ pod: { metadata }, container }: Source) => {
      const words = ["containerLogs", metadata?.namespace ?? "", metadata?.name ?? "", container];
      const chunks = client.bytes(`/${words.map(encodeURIComponent).join("/")}${logQuery(args)}`, io.signal);
      const prefix = args.is("prefix") ? `[pod/${metadata?.name}/${container}] ` : "";
      if (prefix === "" && sources.length === 1) { for await (const bytes of chunks) await io.out(bytes); }
      else for await (const line of linesOf(chunks)) await io.out(prefix + line);
    };
    const tryRead = async (source: Source) => {
      try {
        await read(source);
      } catch (error) {
        if (!args.is("ignore-errors") || !(error instanceof CommandError)) throw error;
        await io.err(`Error: ${error.message}\n`);
      }
    };
    if (args.is("follow")) await Promise.all(sources.map(tryRead));
    else for (const source of sources) await tryRead(source);
    return io.signal.aborted ? 130 : 0;
  } finally {
    client.close();
  }
}

export const logs: Command = {
  name: "logs",
  summary: "Print what containers wrote",
  arguments: [
    { name: "POD", required: false, complete: "pods", summary: "or --selector LABELS" },
    { name: "CONTAINER", required: false },
  ],
  flags: [
    namespaceFlag,
    containerFlag,
    selectorFlag,
    { name: "all-containers", kind: "boolean", summary: "of all containers" },
    { name: "prefix", kind: "boolean", summary: "each line with its pod and container" },
    { name: "follow", short: "f", kind: "boolean", summary: "go on until the container ends" },
    {
      name: "tail",
      kind: "number",
      placeholder: "LINES",
      summary: "only the last lines (-1: all, the default; 10 with --selector)",
    },
    { name: "since", kind: "duration", placeholder: "5m", summary: "only what is newer than this" },
    {
      name: "since-time",
      kind: "text",
      placeholder: "TIME",
      summary: "only what is newer than this RFC 3339 time",
    },
    { name: "previous", short: "p", kind: "boolean", summary: "of the container before its last restart" },
    { name: "timestamps", kind: "boolean", summary: "each line with its time" },
    { name: "limit-bytes", kind: "number", placeholder: "BYTES", summary: "stop after so many bytes" },
    {
      name: "max-log-requests",
      kind: "number",
      placeholder: "COUNT",
      summary: `how many logs may be followed at once (default ${defaultLimit})`,
    },
    { name: "ignore-errors", kind: "boolean", summary: "go on with the others when one cannot be read" },
  ],
  examples: [
    { does: "The last lines, then what comes", line: "agent logs -f --tail=20 web" },
    { does: "Why did it crash?", line: "agent logs --previous web -c app" },
    { does: "Of all pods of an application", line: "agent logs -l app=shop --all-containers --prefix -f" },
  ],
  run,
};
