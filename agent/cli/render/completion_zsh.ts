/** The completion script for zsh. Pure. */
import type { Command, Completion } from "../command.ts";
import { completionOf, offeredFlags } from "./completion_bash.ts";

/** Inside single quotes, and without the signs that _arguments reads. */
const quoted = (text: string): string => text.replace(/[:[\]\\]/g, "\\$&").replaceAll("'", "'\\''");

function action(completion: Completion, commands: readonly Command[]): string {
  if (typeof completion !== "string") return `(${completion.join(" ")})`;
  switch (completion) {
    case "commands":
      return `(${commands.map((command) => command.name).join(" ")})`;
    case "files":
      return "_files";
    case "directories":
      return "_files -/";
    case "pods":
      return "_agent_pods";
    case "names":
      return "_agent_names";
    case "images":
      return "_agent_images";
    case "none":
      return " ";
  }
}

function commandCase(command: Command, commands: readonly Command[]): string {
  const flags = offeredFlags(command).map((flag) => {
    const names = flag.short === undefined ? `--${flag.name}` : `{-${flag.short},--${flag.name}}`;
    const repeated = flag.repeated === true
      ? "*"
      : flag.short === undefined
      ? ""
      : `(-${flag.short} --${flag.name})`;
    const sign = flag.kind === "boolean" ? "" : "=";
    const value = flag.kind === "boolean"
      ? ""
      : `:${quoted(flag.placeholder ?? flag.kind)}:${action(completionOf(flag), commands)}`;
    // Braces must stand outside the quotes: the shell makes two words of them.
    const [before, after] = flag.short === undefined
      ? [`'${repeated}${names}${sign}`, ""]
      : [`'${repeated}'${sign === "" ? names : names.replace(",", "+,").replace("}", "=}")}`, "'"];
    return `${before}${after}[${quoted(flag.summary)}]${value}'`;
  });
  const places = command.arguments.map((argument, i) =>
    `'${argument.repeated === true ? "*" : i + 1}:${quoted(argument.name)}:${
      action(completionOf(argument), commands)
    }'`
  );
  return `      ${command.name}) _arguments -s ${[...flags, ...places].join(" \\\n        ")} ;;\n`;
}

export function zshCompletion(commands: readonly Command[]): string {
  const names = commands.map((command) =>
    `'${command.name}:${command.summary.replaceAll("'", "'\\''").replaceAll(":", "\\:")}'`
  );
  return `#compdef agent
# zsh completion for agent: source <(agent completion zsh)

_agent_pods() {
  local -a pods
  pods=(\${(f)"$(agent get pods -o name 2>/dev/null)"})
  compadd -- \${pods#pod/}
}

_agent_names() {
  local -a names
  names=(\${(f)"$(agent get $line[1] -o name 2>/dev/null)"})
  compadd -- \${names#*/}
}

_agent_images() {
  local -a images
  images=(\${(f)"$(agent images -o name 2>/dev/null)"})
  compadd -- $images
}

_agent() {
  local curcontext="$curcontext" state line
  local -a commands
  commands=(
    ${names.join("\n    ")}
  )
  _arguments -C '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument) case $line[1] in
${commands.map((command) => commandCase(command, commands)).join("")}    esac ;;
  esac
}

if [ "$funcstack[1]" = _agent ]; then _agent "$@"; else compdef _agent agent; fi
`;
}
