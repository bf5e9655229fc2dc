/** `agent completion`: scripts for shells, made from the command table. */
import type { Command } from "./command.ts";
import { bashCompletion } from "./render/completion_bash.ts";
import { fishCompletion } from "./render/completion_fish.ts";
import { zshCompletion } from "./render/completion_zsh.ts";

const shells = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

/** `commands` is asked for late: this command is one of them. */
export const completionCommand = (commands: () => readonly Command[]): Command => ({
  name: "completion",
  summary: "Print a completion script for bash, zsh or fish",
  arguments: [{
    name: "SHELL",
    required: true,
    values: Object.keys(shells),
    summary: Object.keys(shells).join(", "),
  }],
  flags: [],
  examples: [
    { does: "For this shell", line: "source <(agent completion bash)" },
    { does: "For every new one", line: "agent completion bash > /etc/bash_completion.d/agent" },
    { does: "fish", line: "agent completion fish > ~/.config/fish/completions/agent.fish" },
  ],
  async run(args, io) {
    await io.out(shells[args.positional[0] as keyof typeof shells](commands()));
    return 0;
  },
});
