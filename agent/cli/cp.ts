/** `agent cp`: files and directories between this machine and a container. Not for: doing it (copy.ts). */
import { createApiClient } from "./client.ts";
import { type Command, type ParsedArgs, UsageError } from "./command.ts";
import { findPod } from "./describe.ts";
import { namespaceFlag } from "./get.ts";
import { type Io, socketPath } from "./io.ts";
import { chooseContainer, containerFlag } from "./logs.ts";
import { createTransfer } from "./render/transfer.ts";

/** Where something is copied from or to; `stream` is standard input or output with a tar archive. */
export type Place =
  | { kind: "stream" }
  | { kind: "local"; path: string }
  | { kind: "remote"; namespace?: string; pod: string; path: string };

/** `POD:PATH`, `NAMESPACE/POD:PATH`, a path of this machine, or `-`. What begins with `/` or `.` is no pod. */
export function parsePlace(word: string): Place {
  const wrong = () =>
    new UsageError(`expected [NAMESPACE/]POD:PATH, a path of this machine, or -, found "${word}"`);
  const colon = word.indexOf(":");
  if (word === "-") return { kind: "stream" };
  if (word === "") throw wrong();
  if (colon < 0 || /^[/.]/.test(word)) return { kind: "local", path: word };
  const [names, path] = [word.slice(0, colon).split("/"), word.slice(colon + 1)];
  const pod = names.at(-1)!;
  if (names.length > 2 || names.includes("") || path === "") throw wrong();
  return { kind: "remote", ...(names.length === 2 ? { namespace: names[0]! } : {}), pod, path };
}

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const [from, to] = args.positional.map(parsePlace) as [Place, Place];
  const [remote, other] = [from, to].filter((place) => place.kind === "remote");
  if (remote === undefined || other !== undefined) {
    throw new UsageError("expected one place in a pod (POD:PATH) and one on this machine");
  }
  // Loaded here, since the agent itself never needs it.
  const { copy } = await import("./copy.ts");
  const client = createApiClient(socketPath(args, io));
  const transfer = createTransfer(args.positional.join(" -> "), io);
  try {
    const namespace = remote.namespace ?? args.text("namespace") ?? "default";
    const pod = await findPod(client, namespace, remote.pod, io);
    const { name: container, note = "" } = chooseContainer(pod, args.text("container"));
    await io.err(note);
    const target = { namespace, pod: remote.pod, container };
    await copy(from, to, { client, target, preserve: !args.is("no-preserve"), io, transfer });
    return 0;
  } finally {
    await transfer.end();
    client.close();
  }
}

export const cp: Command = {
  name: "cp",
  summary: "Copy files and directories into and out of a container",
  details:
    "Needs tar in the container's image. A directory's content goes into the destination, which is made " +
    "where it is missing; a file goes into a directory that is there. A `-` is a tar archive on standard input " +
    "or output. From a container come modes but no owners, no devices, and of symbolic links those that stay " +
    "within what is copied; a link that is named itself is followed.",
  arguments: [
    { name: "SRC", required: true, complete: "files", summary: "[NAMESPACE/]POD:PATH, a path here, or -" },
    { name: "DST", required: true, complete: "files", summary: "the same; one of both is in a pod" },
  ],
  flags: [
    namespaceFlag,
    containerFlag,
    { name: "no-preserve", kind: "boolean", summary: "do not keep modes and owners" },
  ],
  examples: [
    { does: "A file into a pod", line: "agent cp page.html web:/www/index.html" },
    { does: "A directory out of one", line: "agent cp web:/www ./www" },
    { does: "Straight into another program", line: "agent cp web:/www - | tar t" },
  ],
  run,
};
