/** `agent check`: the problems of manifests, without running anything. */
import { formatProblem, type Problem } from "../model/errors.ts";
import type { Command } from "./command.ts";
import { type Io, wantsColour } from "./io.ts";
import { toJson } from "./output.ts";
import { createPaint, printable } from "./render/text.ts";

/** One line each, and a last one that counts. */
export function formatCheck(problems: readonly Problem[], colours: boolean): string {
  const paint = createPaint(colours);
  const count = (severity: Problem["severity"], word: string) => {
    const n = problems.filter((problem) => problem.severity === severity).length;
    return n === 0 ? [] : [`${n} ${word}${n === 1 ? "" : "s"}`];
  };
  const lines = problems.map((p) =>
    paint(printable(formatProblem(p)), p.severity === "error" ? "red" : "yellow")
  );
  const counts = [...count("error", "error"), ...count("warning", "warning")];
  return [...lines, counts.length === 0 ? "No problems." : counts.join(", ")].join("\n") + "\n";
}

export const check: Command = {
  name: "check",
  summary: "Check manifests without running anything",
  details: "Directories are read as the manifest directory is. The exit status is 1 when there is an error.",
  arguments: [{
    name: "PATH",
    required: true,
    repeated: true,
    complete: "files",
    summary: "file or directory",
  }],
  flags: [{
    name: "output",
    short: "o",
    kind: "text",
    placeholder: "FORMAT",
    summary: "json: the problems as data",
    values: ["json"],
  }],
  examples: [
    { does: "Before it is dropped into the directory", line: "agent check web.yaml" },
    { does: "In a pipeline", line: "agent check -o json manifests/" },
  ],
  async run(args, io: Io) {
    const problems = await io.check(args.positional, io.signal);
    if (args.text("output") === "json") await io.out(toJson({ problems }));
    else await io.out(formatCheck(problems, wantsColour(io)));
    return problems.some((problem) => problem.severity === "error") ? 1 : 0;
  },
};
