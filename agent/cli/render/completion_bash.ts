/** The completion script for bash. Pure. */
import type { Argument, Command, Completion, Flag } from "../command.ts";
import { flagsOf } from "../command.ts";

/** The flags worth offering. */
export const offeredFlags = (command: Command): Flag[] =>
  flagsOf(command).filter((flag) => flag.supported !== false);

export const completionOf = (place: Flag | Argument): Completion => place.complete ?? place.values ?? "none";

const flagWords = (
  flag: Flag,
): string[] => [`--${flag.name}`, ...flag.short === undefined ? [] : [`-${flag.short}`]];

/** The shell's words that offer what fits. */
function offer(completion: Completion, commands: readonly Command[]): string {
  const words = (list: readonly string[]) => `COMPREPLY=($(compgen -W '${list.join(" ")}' -- "$cur"))`;
  if (typeof completion !== "string") return words(completion);
  switch (completion) {
    case "commands":
      return words(commands.map((command) => command.name));
    case "files":
      return `compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur"))`;
    case "directories":
      return `compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur"))`;
    case "pods":
      return `COMPREPLY=($(compgen -W "$(agent get pods -o name 2>/dev/null | sed 's,^pod/,,')" -- "$cur"))`;
    case "names":
      return `COMPREPLY=($(compgen -W "$(agent get "$kind" -o name 2>/dev/null | sed 's,^[a-z]*/,,')" -- "$cur"))`;
    case "images":
      return `COMPREPLY=($(compgen -W "$(agent images -o name 2>/dev/null)" -- "$cur"))`;
    case "none":
      return "return";
  }
}

function commandCase(command: Command, commands: readonly Command[]): string {
  const flags = offeredFlags(command);
  const valued = flags.filter((flag) => flag.kind !== "boolean");
  const values = valued.map((flag) =>
    `        ${flagWords(flag).join("|")}) ${offer(completionOf(flag), commands)}; return ;;\n`
  ).join("");
  const places = command.arguments.map((argument, i) =>
    `        ${argument.repeated === true ? "*" : i}) ${offer(completionOf(argument), commands)} ;;\n`
  ).join("");
  return `    ${command.name})
      valued=' ${valued.flatMap(flagWords).join(" ")} '
      case "$prev" in
${values}      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W '${flags.flatMap(flagWords).join(" ")}' -- "$cur"))
        return
      fi
      _agent_place "$valued"
      case "$place" in
${places}        *) ;;
      esac ;;
`;
}

export function bashCompletion(commands: readonly Command[]): string {
  return `# bash completion for agent: source <(agent completion bash)

# How many arguments that are no flags stand between the command and the cursor, and the first of them.
_agent_place() {
  local i word
  place=0 kind=
  for ((i = 2; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$word" in
      =) i=$((i + 1)) ;;
      -*) if [[ $1 == *" $word "* && \${COMP_WORDS[i + 1]} != = ]]; then i=$((i + 1)); fi ;;
      *)
        if [[ $place -eq 0 ]]; then kind=$word; fi
        place=$((place + 1))
        ;;
    esac
  done
}

_agent() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} place kind valued
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W '${commands.map((command) => command.name).join(" ")}' -- "$cur"))
    return
  fi
  # --flag=value comes as three words
  if [[ $cur == = ]]; then cur=; fi
  if [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  case "\${COMP_WORDS[1]}" in
${commands.map((command) => commandCase(command, commands)).join("")}  esac
}

complete -F _agent agent
`;
}
