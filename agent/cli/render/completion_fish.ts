/** The completion script for fish. Pure. */
import type { Command, Completion } from "../command.ts";
import { completionOf, offeredFlags } from "./completion_bash.ts";

const quoted = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`;

/** Arguments of `complete` that offer what fits. */
function offer(completion: Completion, commands: readonly Command[]): string {
  if (typeof completion !== "string") return `-x -a ${quoted(completion.join(" "))}`;
  switch (completion) {
    case "commands":
      return `-x -a ${quoted(commands.map((command) => command.name).join(" "))}`;
    case "files":
      return "-r -F";
    case "directories":
      return "-x -a '(__fish_complete_directories)'";
    case "pods":
      return "-x -a '(__agent_pods)'";
    case "names":
      return "-x -a '(__agent_names)'";
    case "images":
      return "-x -a '(__agent_images)'";
    case "none":
      return "-x";
  }
}

function commandLines(command: Command, commands: readonly Command[]): string[] {
  const seen = `__fish_seen_subcommand_from ${command.name}`;
  const flags = offeredFlags(command).map((flag) => {
    const short = flag.short === undefined ? "" : ` -s ${flag.short}`;
    const value = flag.kind === "boolean" ? "" : ` ${offer(completionOf(flag), commands)}`;
    return `complete -c agent -n ${quoted(seen)}${short} -l ${flag.name}${value} -d ${quoted(flag.summary)}`;
  });
  const places = command.arguments.flatMap((argument, i) => {
    if (completionOf(argument) === "none") return [];
    const at = `test (__agent_place) ${argument.repeated === true ? "-ge" : "-eq"} ${i}`;
    return [
      `complete -c agent -n ${quoted(`${seen}; and ${at}`)} ${offer(completionOf(argument), commands)}`,
    ];
  });
  return [...flags, ...places];
}

export function fishCompletion(commands: readonly Command[]): string {
  return [
    "# fish completion for agent: agent completion fish | source",
    "",
    "function __agent_pods",
    "  agent get pods -o name 2>/dev/null | string replace 'pod/' ''",
    "end",
    "",
    "function __agent_names",
    "  set -l words (string match -v -- '-*' (commandline -opc))",
    "  agent get $words[3] -o name 2>/dev/null | string replace -r '^[a-z]+/' ''",
    "end",
    "",
    "function __agent_images",
    "  agent images -o name 2>/dev/null",
    "end",
    "",
    "# How many arguments that are no flags stand between the command and the cursor.",
    "function __agent_place",
    "  math (count (string match -v -- '-*' (commandline -opc))) - 2",
    "end",
    "",
    "complete -c agent -f",
    ...commands.map(({ name, summary }) =>
      `complete -c agent -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`
    ),
    ...commands.flatMap((command) => commandLines(command, commands)),
    "",
  ].join("\n");
}
