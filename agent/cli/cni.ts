/**
 * `agent cni`: networks for people who debug them, by the plugins themselves and without an agent. Not for: what the
 * plugins are told (plugins/cni).
 */
import { resolve } from "@std/path";
import { type CniNetwork, isContainerId, isInterfaceName, isJson, type Json } from "../model/cni_config.ts";
import { formatProblem } from "../model/errors.ts";
import { md5 } from "../model/md5.ts";
import { didYouMean } from "../model/suggest.ts";
import type { CniAttachment, CniTool, FoundNetworks, RecordedAttachment } from "./cni_tool.ts";
import { type Command, CommandError, type Flag, type ParsedArgs, UsageError } from "./command.ts";
import { type Io, wantsColour } from "./io.ts";
import { objectOutput, toJson, toYaml } from "./output.ts";
import { attachmentTable, networkTable, resultText } from "./render/cni.ts";
import { createPaint, printable } from "./render/text.ts";

const actions = ["list", "add", "del", "check", "gc", "status", "version"] as const;
type Action = (typeof actions)[number];

const text = (name: string, placeholder: string, summary: string, more: Partial<Flag> = {}): Flag => ({
  name,
  kind: "text",
  placeholder,
  summary,
  ...more,
});

const flags: readonly Flag[] = [
  text("netns", "NAME|PATH", "network namespace, as ip netns names it or by its path", { complete: "files" }),
  text("container-id", "ID", "whose interface it is (default: one made of the namespace)"),
  text("ifname", "NAME", "the interface (default eth0)"),
  text("args", "KEY=VALUE", "CNI_ARGS; several with semicolons, or the flag again", { repeated: true }),
  text("capability-args", "JSON", `what plugins with that capability get: {"ips":["10.1.0.7/24"]}`),
  text("valid", "ID/IFNAME", "gc: an attachment that stays; may be given several times", { repeated: true }),
  { name: "all", kind: "boolean", summary: "gc: none stays" },
  text("conf-dir", "DIR", "directory of network configurations", { complete: "directories" }),
  text("bin-dir", "DIR", "directory of plugins, looked at first", {
    complete: "directories",
    repeated: true,
  }),
  text("cache-dir", "DIR", "directory of the record of attachments (default /var/lib/cni)", {
    complete: "directories",
  }),
  objectOutput,
];

/** Text for people, or the value as -o asks for it. */
async function say(args: ParsedArgs, io: Io, value: unknown, words: () => string): Promise<void> {
  const format = args.text("output");
  await io.out(format === "json" ? toJson(value) : format === "yaml" ? toYaml(value) : words());
}

const problemLines = ({ problems }: FoundNetworks): string =>
  problems.map((p) => printable(formatProblem(p)) + "\n").join("");

async function listAll(args: ParsedArgs, io: Io, tool: CniTool): Promise<number> {
  const [found, attachments] = [await tool.networks(), await tool.recorded()];
  await io.err(problemLines(found));
  const paint = createPaint(wantsColour(io));
  await say(args, io, { ...found, attachments }, () => {
    const networks = found.networks.length === 0
      ? `No network is configured in ${tool.confDir}.\n`
      : networkTable(found, paint);
    return attachments.length === 0 ? networks : `${networks}\n${attachmentTable(attachments, paint)}`;
  });
  return found.problems.length > 0 ? 1 : 0;
}

/** By name, from the directory, or by the path of its file. Throws CommandError. */
async function findNetwork(word: string, io: Io, tool: CniTool): Promise<CniNetwork> {
  const isPath = word.includes("/") || /\.(conflist|conf|json)$/.test(word);
  const found = isPath ? await tool.read(resolve(io.cwd(), word)) : await tool.networks();
  const match = found.networks.find(({ network }) => isPath || network.name === word);
  if (match !== undefined) return match.network;
  await io.err(problemLines(found));
  if (isPath) throw new CommandError(`${word} describes no network`);
  const names = found.networks.map(({ network }) => network.name);
  throw new CommandError(`no network "${word}" in ${tool.confDir}${didYouMean(word, names)}`);
}

const namespacePath = (word: string, io: Io): string =>
  word.includes("/") ? resolve(io.cwd(), word) : `/run/netns/${word}`;

function parseCapabilities(word: string | undefined): Json {
  try {
    const value: unknown = JSON.parse(word ?? "{}");
    if (isJson(value)) return value;
  } catch {
    // Told below.
  }
  throw new UsageError(`--capability-args: expected a JSON mapping, found ${word}`);
}

/** Throws UsageError. */
function attachmentOf(args: ParsedArgs, io: Io): CniAttachment {
  const netns = args.text("netns") === undefined ? "" : namespacePath(args.text("netns")!, io);
  const containerId = args.text("container-id") ??
    (netns === "" ? "" : `agent-cni-${md5(netns).slice(0, 12)}`);
  const ifname = args.text("ifname") ?? "eth0";
  if (!isContainerId(containerId)) {
    throw new UsageError("expected --netns, or --container-id of letters, digits, _ . -");
  }
  if (!isInterfaceName(ifname)) {
    throw new UsageError(`--ifname: expected at most 15 characters, found "${ifname}"`);
  }
  const pairs = args.texts("args").flatMap((word) => word.split(";")).map((word): [string, string] => {
    const at = word.indexOf("=");
    if (at <= 0) throw new UsageError(`--args: expected KEY=VALUE, found "${word}"`);
    return [word.slice(0, at), word.slice(at + 1)];
  });
  return {
    containerId,
    ifname,
    netns,
    args: pairs,
    capabilityArgs: parseCapabilities(args.text("capability-args")),
  };
}

/** Throws CommandError where there is no such namespace. */
async function needNamespace({ netns }: CniAttachment, io: Io): Promise<void> {
  if (netns === "") throw new UsageError("--netns: expected the network namespace");
  if (await io.files.stat(netns) !== undefined) return;
  const name = netns.replace(/^\/run\/netns\//, "");
  throw new CommandError(`there is no network namespace ${netns}: make one by "ip netns add ${name}"`);
}

async function add(args: ParsedArgs, io: Io, tool: CniTool, word: string): Promise<number> {
  const of = attachmentOf(args, io);
  await needNamespace(of, io);
  const result = await tool.add(await findNetwork(word, io, tool), of, io.signal);
  await say(args, io, result, () => resultText(of.ifname, result));
  return 0;
}

const isSame = (of: CniAttachment, network: string) => (a: RecordedAttachment) =>
  a.network.name === network && a.containerId === of.containerId && a.ifname === of.ifname;

/** What is on record counts; only where nothing is, the configuration. */
async function del(args: ParsedArgs, io: Io, tool: CniTool, word: string): Promise<number> {
  const of = attachmentOf(args, io);
  const known = (await tool.recorded()).find(isSame(of, word));
  const network = known === undefined ? await findNetwork(word, io, tool) : word;
  await tool.del(network, { ...of, netns: of.netns || (known?.netns ?? "") }, io.signal);
  await say(args, io, {}, () => `${of.ifname} of ${of.containerId} detached from ${word}\n`);
  return 0;
}

async function check(args: ParsedArgs, io: Io, tool: CniTool, word: string): Promise<number> {
  const of = attachmentOf(args, io);
  const isKnown = (await tool.recorded()).some(isSame(of, word));
  await tool.check(isKnown ? word : await findNetwork(word, io, tool), of, io.signal);
  await say(args, io, {}, () => `${of.ifname} of ${of.containerId} is as it was attached\n`);
  return 0;
}

async function gc(args: ParsedArgs, io: Io, tool: CniTool, word: string): Promise<number> {
  const valid = args.texts("valid").map((pair) => {
    const [containerID = "", ifname = "", ...more] = pair.split("/");
    if (ifname !== "" && more.length === 0) return { containerID, ifname };
    throw new UsageError(`--valid: expected ID/IFNAME, found "${pair}"`);
  });
  if ((valid.length === 0) !== args.is("all")) {
    throw new UsageError('"agent cni gc" needs --valid ID/IFNAME for each attachment that stays, or --all');
  }
  const lost = await tool.gc(await findNetwork(word, io, tool), valid, io.signal);
  const told = lost.map(({ containerId, ifname }) => ({ containerId, ifname }));
  await say(
    args,
    io,
    { detached: told },
    () =>
      told.map((a) => `${a.ifname} of ${a.containerId} detached\n`).join("") ||
      "nothing on record was to be detached\n",
  );
  return 0;
}

async function status(args: ParsedArgs, io: Io, tool: CniTool, word: string): Promise<number> {
  const network = await findNetwork(word, io, tool);
  await tool.status(network, io.signal);
  const asked = network.cniVersion === "1.1.0";
  const hint = asked ? "" : ` as far as is known: version ${network.cniVersion} has no STATUS`;
  await say(
    args,
    io,
    { network: network.name, ready: true, asked },
    () => `${network.name} takes containers${hint}\n`,
  );
  return 0;
}

async function version(args: ParsedArgs, io: Io, tool: CniTool, word: string): Promise<number> {
  const versions = await tool.versions(word, io.signal);
  await say(args, io, { plugin: word, supportedVersions: versions }, () => versions.join(" ") + "\n");
  return 0;
}

const doing = { add, del, check, gc, status, version } satisfies Record<Exclude<Action, "list">, unknown>;

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const [action = "list", word] = args.positional as [Action?, string?];
  const [confDir, cacheDir] = [args.text("conf-dir"), args.text("cache-dir")]
    .map((path) => path === undefined ? undefined : resolve(io.cwd(), path));
  const binDirs = args.texts("bin-dir").map((path) => resolve(io.cwd(), path));
  const tool = await io.cni({ confDir, cacheDir, binDirs });
  if (tool === undefined) return 1;
  if (action === "list") return await listAll(args, io, tool);
  if (word === undefined) {
    throw new UsageError(
      `"agent cni ${action}" needs ${action === "version" ? "the name of a plugin" : "NETWORK"}`,
    );
  }
  return await doing[action](args, io, tool, word);
}

export const cniCommand: Command = {
  name: "cni",
  summary: "Attach, detach and check networks by their CNI plugins",
  details:
    "For people who debug networks: it works with or without an agent, and needs root. NETWORK is a name from the\n" +
    "directory of network configurations, or the path of a file. What is attached stays on record until it is\n" +
    "detached, also when its configuration is gone.",
  arguments: [
    { name: "ACTION", required: false, values: actions, summary: `${actions.join(", ")} (default list)` },
    { name: "NETWORK|PLUGIN", required: false },
  ],
  flags,
  examples: [
    { does: "Networks of this machine, and what is attached", line: "agent cni" },
    {
      does: "Try a network in a namespace of its own",
      line: "ip netns add lab && agent cni add lan --netns lab",
    },
    { does: "Whether it is still as it was attached", line: "agent cni check lan --netns lab" },
    { does: "And away", line: "agent cni del lan --netns lab && ip netns delete lab" },
  ],
  run,
};
