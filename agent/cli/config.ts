/** `agent config`: the effective configuration of the running agent, and where each value came from. */
import { createApiClient } from "./client.ts";
import type { Command } from "./command.ts";
import { socketPath } from "./io.ts";
import { toJson, toYaml } from "./output.ts";

export const config: Command = {
  name: "config",
  summary: "Show the effective configuration and where each value came from",
  arguments: [],
  flags: [{
    name: "output",
    short: "o",
    kind: "text",
    placeholder: "FORMAT",
    summary: "yaml (default) or json",
    values: ["yaml", "json"],
  }],
  examples: [{ does: "What the running agent goes by", line: "agent config" }],
  async run(args, io) {
    const client = createApiClient(socketPath(args, io));
    try {
      const value = await client.get<unknown>("/config", io.signal);
      // The agent may have laid its configuration out itself, with comments on where values came from.
      if (typeof value === "string" && args.text("output") !== "json") await io.out(value);
      else await io.out(args.text("output") === "json" ? toJson(value) : toYaml(value));
      return 0;
    } finally {
      client.close();
    }
  },
};
