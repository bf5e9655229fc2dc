/** `agent version`: what this program is. */
import type { Command } from "./command.ts";
import { objectOutput, toJson, toYaml } from "./output.ts";

export const version: Command = {
  name: "version",
  summary: "Show version, commit, Deno version and packaging",
  arguments: [],
  flags: [objectOutput],
  examples: [{ does: "For scripts", line: "agent version -o json" }],
  async run(args, io) {
    const { version, commit, deno, packaging, target } = io.build;
    const build = { version, commit, deno, packaging, target };
    const output = args.text("output");
    if (output === "json") await io.out(toJson(build));
    else if (output === "yaml") await io.out(toYaml(build));
    else await io.out(`agent ${version} (commit ${commit}, deno ${deno}, ${packaging})\n`);
    return 0;
  },
};
