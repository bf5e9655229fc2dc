/** `agent exec` and `agent attach`: a command in a container, or its own process, at this terminal. */
import type { Container, Pod } from "../model/gen/v1.ts";
import { type ApiClient, createApiClient } from "./client.ts";
import { type Command, type Flag, type ParsedArgs } from "./command.ts";
import { findPod, plainName } from "./describe.ts";
import { converse, sessionPath } from "./exec_session.ts";
import { namespaceFlag } from "./get.ts";
import { type Io, socketPath } from "./io.ts";
import { chooseContainer, containerFlag } from "./logs.ts";
import type { RemoteEnds } from "./remote_command.ts";

/** How the session is to be, and what of the typed flags could not be had. */
export interface SessionPlan {
  stdin: boolean;
  tty: boolean;
  /** Whether this terminal passes each key on. */
  raw: boolean;
  notes: string[];
}

/** A new command gets a terminal only where there is one here, and where its keys are passed on. */
export function planExec(stdin: boolean, tty: boolean, inputIsTerminal: boolean): SessionPlan {
  const note = !tty
    ? undefined
    : !stdin
    ? "-t without -i has no effect"
    : !inputIsTerminal
    ? "no terminal is used (-t): standard input is none"
    : undefined;
  const has = tty && note === undefined;
  return { stdin, tty: has, raw: has, notes: note === undefined ? [] : [note] };
}

/** A running container has a terminal and an input, or it has not: its manifest decides. */
export function planAttach(
  container: Pick<Container, "name" | "stdin" | "tty">,
  stdin: boolean,
  tty: boolean,
  inputIsTerminal: boolean,
): SessionPlan {
  const notes = [
    ...(stdin && container.stdin !== true
      ? [`container ${container.name} has no stdin: -i has no effect`]
      : []),
    ...(tty && container.tty !== true ? [`container ${container.name} has no tty: -t has no effect`] : []),
  ];
  const [hasInput, hasTty] = [stdin && container.stdin === true, container.tty === true];
  return { stdin: hasInput, tty: hasTty, raw: hasInput && hasTty && inputIsTerminal, notes };
}

/** Connects this terminal to the session, and leaves it as it was. Resolves to the exit status. */
export async function converseHere(
  client: ApiClient,
  path: string,
  plan: SessionPlan,
  io: Io,
): Promise<number> {
  const over = new AbortController();
  let toldToEnd: number | undefined;
  let restore = () => {};
  const opened = (session: { close(): void }) => {
    if (!plan.raw) return;
    io.input.onEnd((status) => {
      toldToEnd = status;
      session.close();
    }, over.signal);
    restore = io.input.makeRaw();
  };
  const ends: RemoteEnds = {
    ...(plan.stdin ? { input: io.input.chunks() } : {}),
    out: (bytes) => io.out(bytes),
    ...(plan.tty
      ? { sizes: (tell) => followSize(io, tell, over.signal) }
      : { err: (bytes) => io.err(bytes) }),
  };
  try {
    return await converse(client, path, ends, io.signal, opened);
  } catch (error) {
    if (toldToEnd !== undefined) return toldToEnd;
    throw error;
  } finally {
    over.abort();
    restore();
  }
}

function followSize(
  io: Io,
  tell: (size: { columns: number; rows: number }) => void,
  signal: AbortSignal,
): void {
  const look = () => {
    const size = io.input.size();
    if (size !== undefined) tell(size);
  };
  io.input.onResize(look, signal);
  look();
}

async function run(kind: "exec" | "attach", args: ParsedArgs, io: Io): Promise<number> {
  const [named = "", ...command] = args.positional;
  const [stdin, tty] = [args.is("stdin"), args.is("tty")];
  const namespace = args.text("namespace") ?? "default";
  const name = plainName(named);
  const client = createApiClient(socketPath(args, io));
  try {
    const pod = await findPod(client, namespace, name, io);
    const { name: container, note = "" } = chooseContainer(pod, args.text("container"));
    const plan = kind === "exec"
      ? planExec(stdin, tty, io.input.isTerminal)
      : planAttach(containerOf(pod, container), stdin, tty, io.input.isTerminal);
    if (!args.is("quiet")) await io.err(note + plan.notes.map((line) => `${line}\n`).join(""));
    const talks = kind === "attach" && plan.raw && !args.is("quiet");
    if (talks) await io.err("If you don't see a command prompt, try pressing enter.\n");
    const path = sessionPath(kind, { namespace, pod: name, container }, plan, command);
    const status = await converseHere(client, path, plan, io);
    if (talks) await io.err(`Session ended; attach again: agent attach ${name} -c ${container} -it\n`);
    if (status !== 0 && kind === "exec" && !args.is("quiet")) {
      await io.err(`command terminated with exit code ${status}\n`);
    }
    return status;
  } finally {
    client.close();
  }
}

function containerOf(pod: Pod, name: string): Pick<Container, "name" | "stdin" | "tty"> {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {};
  const all = [...initContainers, ...containers, ...ephemeralContainers];
  return all.find((container) => container.name === name) ?? { name };
}

const flags: readonly Flag[] = [
  namespaceFlag,
  containerFlag,
  { name: "stdin", short: "i", kind: "boolean", summary: "pass standard input on, up to its end" },
  { name: "tty", short: "t", kind: "boolean", summary: "use this terminal: its size, each key, Ctrl-C" },
  { name: "quiet", short: "q", kind: "boolean", summary: "print nothing but what the container writes" },
];

export const exec: Command = {
  name: "exec",
  summary: "Run a command in a container",
  details:
    "The exit status is the command's. The session is between this program and the runtime: it goes on when the agent stops.",
  arguments: [
    { name: "POD", required: true, complete: "pods" },
    { name: "COMMAND", required: true, repeated: true, summary: "after --, so that its flags are its own" },
  ],
  flags,
  examples: [
    { does: "A shell", line: "agent exec -it web -- sh" },
    { does: "A file into a container", line: "agent exec -i web -c app -- sh -c 'cat >/tmp/file' <file" },
  ],
  run: (args, io) => run("exec", args, io),
};

export const attach: Command = {
  name: "attach",
  summary: "Be at the terminal of a container that runs",
  arguments: [{ name: "POD", required: true, complete: "pods" }],
  flags,
  examples: [{ does: "A container with stdin and tty", line: "agent attach -it shell" }],
  run: (args, io) => run("attach", args, io),
};
