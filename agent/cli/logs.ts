/** `agent logs`: what a container wrote. */
import type { Pod } from "../model/gen/v1.ts";
import { createApiClient } from "./client.ts";
import { type Command, CommandError, type ParsedArgs } from "./command.ts";
import { findPod, plainName } from "./describe.ts";
import { namespaceFlag } from "./get.ts";
import { type Io, socketPath } from "./io.ts";

export const containerFlag = {
  name: "container",
  short: "c",
  kind: "text",
  placeholder: "NAME",
  summary: "which container of the pod",
} as const;

/** The container that is meant: named, the only one, or the one that the pod itself names as its default. */
export function chooseContainer(pod: Pod, named: string | undefined): { name: string; note?: string } {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {};
  const names = [...initContainers, ...containers].map((c) => c.name);
  if (named !== undefined) {
    const all = [...names, ...ephemeralContainers.map((c) => c.name)];
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

/** The API's query for what was typed. */
export function logQuery(args: ParsedArgs): string {
  const query = new URLSearchParams();
  const tail = args.number("tail");
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

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const client = createApiClient(socketPath(args, io));
  try {
    const namespace = args.text("namespace") ?? "default";
    const name = plainName(args.positional[0]!);
    const pod = await findPod(client, namespace, name, io);
    const container = chooseContainer(pod, args.text("container") ?? args.positional[1]);
    if (container.note !== undefined) await io.err(container.note);
    const path = ["containerLogs", namespace, name, container.name].map(encodeURIComponent).join("/");
    for await (const bytes of client.bytes(`/${path}${logQuery(args)}`, io.signal)) await io.out(bytes);
    return io.signal.aborted ? 130 : 0;
  } finally {
    client.close();
  }
}

export const logs: Command = {
  name: "logs",
  summary: "Print what a container wrote",
  arguments: [
    { name: "POD", required: true, complete: "pods" },
    { name: "CONTAINER", required: false },
  ],
  flags: [
    namespaceFlag,
    containerFlag,
    { name: "follow", short: "f", kind: "boolean", summary: "go on until the container ends" },
    { name: "tail", kind: "number", placeholder: "LINES", summary: "only the last lines (-1: all)" },
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
  ],
  examples: [
    { does: "The last lines, then what comes", line: "agent logs -f --tail=20 web" },
    { does: "Why did it crash?", line: "agent logs --previous web -c app" },
  ],
  run,
};
