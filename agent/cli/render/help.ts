/** Help texts out of the command table. Pure. */
import { type Argument, type Command, type Flag, flagsOf } from "../command.ts";
import { type Paint, printable } from "./text.ts";

const words = (argument: Argument): string => {
  const name = argument.name + (argument.repeated ? "..." : "");
  return argument.required ? name : `[${name}]`;
};

const flagWords = (flag: Flag): string => {
  const short = flag.short === undefined ? "    " : `-${flag.short}, `;
  const value = flag.kind === "boolean" ? "" : ` ${flag.placeholder ?? flag.kind.toUpperCase()}`;
  return `${short}--${flag.name}${value}`;
};

/** Two columns; a left side that is too long stands on its own line. */
function columns(rows: readonly (readonly [string, string])[], width = 30): string {
  return rows.map(([left, right]) => {
    const gap = left.length > width - 2 ? "\n" + " ".repeat(width + 2) : " ".repeat(width - left.length);
    return `  ${left}${right === "" ? "" : gap + right}\n`;
  }).join("");
}

export function commandHelp(command: Command, paint: Paint): string {
  const section = (title: string, body: string) => body === "" ? "" : `\n${paint(title, "bold")}\n${body}`;
  const usage = ["agent", command.name, ...command.arguments.map(words), "[flags]"].join(" ");
  const args = command.arguments.flatMap((a) =>
    a.summary === undefined ? [] : [[a.name, a.summary] as const]
  );
  const flags = flagsOf(command).filter((flag) => flag.supported !== false);
  return printable(
    `${command.summary}.\n` +
      (command.details === undefined ? "" : `\n${command.details}\n`),
  ) +
    section("Usage:", `  ${usage}\n`) +
    section("Arguments:", columns(args)) +
    section("Flags:", columns(flags.map((flag) => [flagWords(flag), flag.summary]))) +
    section("Examples:", command.examples.map(({ does, line }) => `  # ${does}\n  ${line}\n`).join("\n"));
}

export interface CommandGroup {
  title: string;
  commands: readonly Command[];
}

export function overview(groups: readonly CommandGroup[], paint: Paint): string {
  const body = groups.map(({ title, commands }) =>
    `${paint(title, "bold")}\n` + columns(commands.map((c) => [c.name, c.summary]), 14)
  ).join("\n");
  return `The node agent: a manifest dropped into a directory becomes a running pod.\n\n` +
    `${paint("Usage:", "bold")}\n  agent COMMAND [flags]\n\n${body}\n` +
    `"agent help COMMAND" tells more about a command.\n`;
}
