/**
 * The command line: the list of all commands, and from argv to an exit status (0 done, 1 failed, 2 typed wrongly).
 * Not for: what a single command means.
 */
import { errorText } from "../model/errors.ts";
import { didYouMean } from "../model/suggest.ts";
import { apply } from "./apply.ts";
import { check } from "./check.ts";
import { cniCommand } from "./cni.ts";
import { type Command, CommandError, parseCommandLine, UsageError } from "./command.ts";
import { completionCommand } from "./completion.ts";
import { configCommand } from "./config.ts";
import { cp } from "./cp.ts";
import { debug } from "./debug.ts";
import { deleteCommand } from "./delete.ts";
import { describe } from "./describe.ts";
import { events } from "./events.ts";
import { attach, exec } from "./exec.ts";
import { get } from "./get.ts";
import { images } from "./images.ts";
import { joinCommand } from "./join.ts";
import { type Io, wantsColour } from "./io.ts";
import { kubeletCommand } from "./kubelet.ts";
import { logs } from "./logs.ts";
import { portForward } from "./port_forward.ts";
import { type CommandGroup, commandHelp, overview } from "./render/help.ts";
import { createPaint, printable } from "./render/text.ts";
import { resetCommand } from "./reset.ts";
import { restart } from "./restart.ts";
import { status } from "./status.ts";
import { top } from "./top.ts";
import { waitCommand } from "./wait_command.ts";
import { version } from "./version.ts";

/** `agent run` is main's; its place in the table is here. */
const runCommand = (io: Io, argv: readonly string[]): Command => ({
  name: "run",
  summary: "Run the agent: keep the pods of the manifest directory running",
  ...io.run.details === undefined ? {} : { details: io.run.details },
  arguments: [],
  flags: io.run.flags,
  examples: [
    { does: "On this machine, with the usual directories", line: "agent run" },
    { does: "A private instance", line: "agent run --root-dir /tmp/a/root --socket /tmp/a/agent.sock" },
  ],
  run: (args) => io.run.run(args, argv),
});

/** So is `agent teardown`. */
const teardownCommand = (io: Io): Command => ({
  name: "teardown",
  summary: "Stop every pod of this instance, its own containerd and its network",
  details:
    "Takes the flags of `agent run`. Manifests and images stay: the next `agent run` starts the pods again.",
  arguments: [],
  flags: io.teardown.flags,
  examples: [{ does: "After a private instance was stopped", line: "agent teardown --root-dir /tmp/a/root" }],
  run: (args) => io.teardown.run(args),
});

const help = (io: Io): Command => ({
  name: "help",
  summary: "Show help for a command",
  arguments: [{ name: "COMMAND", required: false, complete: "commands" }],
  flags: [],
  examples: [],
  run: (args) => showHelp(args.positional[0], io),
});

export function commandGroups(io: Io, argv: readonly string[] = []): CommandGroup[] {
  const completion: Command = completionCommand(() => commandGroups(io).flatMap((group) => group.commands));
  return [
    {
      title: "The agent",
      commands: [runCommand(io, argv), status, configCommand(io.config.flags), teardownCommand(io), version],
    },
    {
      title: "Clusters",
      commands: [joinCommand(io.cluster.flags), resetCommand(io.cluster.flags), kubeletCommand(io)],
    },
    {
      title: "Pods",
      commands: [
        get,
        describe,
        events,
        top,
        logs,
        exec,
        attach,
        debug,
        cp,
        portForward,
        restart,
        waitCommand,
        apply,
        deleteCommand,
      ],
    },
    { title: "Manifests and images", commands: [check, images] },
    { title: "Networks", commands: [cniCommand] },
    { title: "The command line", commands: [completion, help(io)] },
  ];
}

async function showHelp(name: string | undefined, io: Io): Promise<number> {
  const groups = commandGroups(io);
  const paint = createPaint(wantsColour(io));
  if (name === undefined) {
    await io.out(overview(groups, paint));
    return 0;
  }
  await io.out(commandHelp(findCommand(groups, name), paint));
  return 0;
}

function findCommand(groups: readonly CommandGroup[], name: string): Command {
  const commands = groups.flatMap((group) => group.commands);
  const command = commands.find((c) => c.name === name);
  if (command !== undefined) return command;
  const known = commands.map((c) => c.name);
  throw new UsageError(`unknown command "${name}"${didYouMean(name, known)}`);
}

async function runCommandLine(argv: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === "--help" || name === "-h") return await showHelp(undefined, io);
  if (name === "--version") return await runCommandLine(["version"], io);
  if (name.startsWith("-")) throw new UsageError(`expected a command before ${name}`);
  const command = findCommand(commandGroups(io, rest), name);
  const args = parseCommandLine(command, rest);
  if (args.is("help")) return await showHelp(name, io);
  return await command.run(args, io);
}

/** Never throws for what users type or the agent answers. */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  try {
    return await runCommandLine(argv, io);
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return 141; // as the shell sees a program that SIGPIPE ended
    if (io.signal.aborted) return 130;
    if (error instanceof UsageError) {
      const known = commandGroups(io).some((group) => group.commands.some(({ name }) => name === argv[0]));
      const command = known ? ` ${argv[0]}` : "";
      await io.err(`Error: ${error.message}\nSee "agent help${command}".\n`);
      return 2;
    }
    if (error instanceof CommandError) {
      await io.err(`Error: ${printable(error.message)}\n`);
      return 1;
    }
    await io.err(`Error: ${errorText(error)}\n`);
    return 1;
  }
}
