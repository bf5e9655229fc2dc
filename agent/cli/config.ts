/**
 * `agent config`: the effective configuration and where each value came from; of the running agent, or, with flags or
 * where none runs, what `agent run` would go by.
 */
import { type ConfigFormat, formatConfig } from "../config/format.ts";
import { createApiClient } from "./client.ts";
import { type Command, CommandError, type Flag, type ParsedArgs } from "./command.ts";
import { type EffectiveConfig, type Io, socketPath } from "./io.ts";

/** The API's answer: the same, as JSON carries it. */
interface ShownConfig {
  values: Record<string, unknown>;
  origin: Record<string, string>;
}

async function ofRunningAgent(args: ParsedArgs, io: Io): Promise<EffectiveConfig> {
  const client = createApiClient(socketPath(args, io));
  try {
    const { values, origin } = await client.get<ShownConfig>("/config", io.signal);
    return { values: new Map(Object.entries(values)), origin };
  } finally {
    client.close();
  }
}

const given = (args: ParsedArgs, flag: Flag): boolean =>
  flag.name !== "socket" && (args.texts(flag.name).length > 0 || args.boolean(flag.name) !== undefined);

async function effectiveConfig(args: ParsedArgs, io: Io): Promise<EffectiveConfig | undefined> {
  if (io.config.flags.some((flag) => given(args, flag))) return await io.config.read(args);
  try {
    return await ofRunningAgent(args, io);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    await io.err(`${error.message}\nThis is what "agent run" would go by:\n`);
    return await io.config.read(args);
  }
}

export const configCommand = (flags: readonly Flag[]): Command => ({
  name: "config",
  summary: "Show the effective configuration and where each value came from",
  details: 'Of the running agent; with flags of "agent run", what it would go by with them.',
  arguments: [],
  flags: [
    {
      name: "output",
      short: "o",
      kind: "text",
      placeholder: "FORMAT",
      summary: "table (default), yaml or json; yaml can be given to --config",
      values: ["table", "yaml", "json"],
    },
    ...flags,
  ],
  examples: [
    { does: "What the running agent goes by", line: "agent config" },
    { does: "What a private instance would", line: "agent config --root-dir /tmp/a/root -o yaml" },
  ],
  async run(args, io) {
    const config = await effectiveConfig(args, io);
    if (config === undefined) return 1;
    await io.out(formatConfig(config, (args.text("output") ?? "table") as ConfigFormat));
    return 0;
  },
});
