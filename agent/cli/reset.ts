/** `agent reset`: this host is no node of a cluster any more. */
import { type Command, CommandError, type Flag } from "./command.ts";
import { type Io, wantsColour } from "./io.ts";
import { showOutcome } from "./join.ts";
import { objectOutput } from "./output.ts";
import { showSteps } from "./render/steps.ts";
import { createPaint } from "./render/text.ts";

async function confirm(question: string, io: Io): Promise<boolean> {
  if (!io.input.isTerminal) {
    throw new CommandError(`${question} Nobody is there to answer: give --force to go on`);
  }
  await io.err(`${question} [y/N] `);
  const decoder = new TextDecoder();
  let answer = "";
  for await (const chunk of io.input.chunks()) {
    answer += decoder.decode(chunk, { stream: true });
    if (answer.includes("\n")) break;
  }
  return /^y(es)?$/i.test(answer.trim());
}

export const resetCommand = (flags: readonly Flag[]): Command => ({
  name: "reset",
  summary: "Undo agent join: this host leaves its cluster",
  details:
    "Credentials, the cluster's configuration and the pods that it had bound here go; static pods and everything that is " +
    "not of the cluster stay. It can be run again until all is done, and joining again after it is a first join.",
  arguments: [],
  flags: [
    { name: "force", short: "f", kind: "boolean", summary: "do not ask" },
    objectOutput,
    ...flags.filter((flag) => flag.name === "root-dir"),
  ],
  examples: [{ does: "Leave, without a question", line: "agent reset --force" }],
  async run(args, io) {
    const steps = showSteps(io, createPaint(wantsColour(io)));
    const asked = {
      confirm: (question: string) => args.is("force") ? Promise.resolve(true) : confirm(question, io),
    };
    const outcome = await io.cluster.reset(args, asked, steps.tell);
    await steps.written();
    if (outcome === undefined) return 1;
    await showOutcome(io, args, outcome, steps.steps());
    return outcome.done ? 0 : 1;
  },
});
