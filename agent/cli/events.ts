/** `agent events`: what has happened, in order; as `agent get events`, with kubectl's own choices. */
import type { Event } from "../model/gen/v1.ts";
import { createApiClient } from "./client.ts";
import { type Command, type ParsedArgs, UsageError } from "./command.ts";
import { listFlags, outputFlag, showResource } from "./get.ts";
import { type Io, socketPath } from "./io.ts";

const kinds: Record<string, string> = {
  pod: "Pod",
  pods: "Pod",
  po: "Pod",
  node: "Node",
  nodes: "Node",
  no: "Node",
  plugin: "Plugin",
  plugins: "Plugin",
};

/** `pod/web`: the object that an event must be about. Throws UsageError. */
export function parseFor(word: string): { kind: string; name: string } {
  const [kind = "", ...rest] = word.split("/");
  const name = rest.join("/"); // resources of devices have one in their names
  const known = kinds[kind.toLowerCase()];
  if (known !== undefined && name !== "" && (rest.length === 1 || known === "Plugin")) {
    return { kind: known, name };
  }
  throw new UsageError(`--for: expected pod/NAME, node/NAME or plugin/NAME, found "${word}"`);
}

/** `Warning`, `normal,warning`, in any case. Throws UsageError. */
export function parseTypes(words: readonly string[]): string[] {
  return words.flatMap((word) => word.split(",")).map((word) => {
    const type = ["Normal", "Warning"].find((known) => known.toLowerCase() === word.trim().toLowerCase());
    if (type !== undefined) return type;
    throw new UsageError(`--types: expected Normal or Warning, found "${word}"`);
  });
}

const timeOf = (event: Event): number => Date.parse(event.lastTimestamp ?? event.firstTimestamp ?? "") || 0;

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const about = args.text("for") === undefined ? undefined : parseFor(args.text("for")!);
  const types = parseTypes(args.texts("types"));
  const client = createApiClient(socketPath(args, io));
  try {
    return await showResource("events", [], args, client, io, {
      keep: ({ type, involvedObject }: Event) =>
        (types.length === 0 || types.includes(type ?? "")) &&
        (about === undefined || (involvedObject.kind === about.kind && involvedObject.name === about.name)),
      order: (a: Event, b: Event) => timeOf(a) - timeOf(b),
    });
  } finally {
    client.close();
  }
}

export const events: Command = {
  name: "events",
  summary: "Show what has happened to pods, the newest last",
  arguments: [],
  flags: [
    ...listFlags,
    outputFlag,
    { name: "for", kind: "text", placeholder: "KIND/NAME", summary: "only of this object: pod/web" },
    {
      name: "types",
      kind: "text",
      placeholder: "TYPE",
      summary: "only Warning, or Normal; several with commas",
      complete: ["Warning", "Normal"],
      repeated: true,
    },
  ],
  examples: [
    { does: "What goes wrong, as it does", line: "agent events -A -w --types Warning" },
    { does: "Of one pod", line: "agent events --for pod/web" },
  ],
  run,
};
