/** `agent top`: what pods, containers and the node use, as kubectl top tells it. */
import type { PodList } from "../model/gen/v1.ts";
import type { NodeMetrics, PodMetrics } from "../model/resource_metrics.ts";
import { type ApiClient, createApiClient } from "./client.ts";
import { type Command, CommandError, type ParsedArgs, UsageError } from "./command.ts";
import { namespaceFlag } from "./get.ts";
import { type Io, socketPath, wantsColour } from "./io.ts";
import { toJson, toYaml } from "./output.ts";
import { createPaint, formatTable } from "./render/text.ts";
import { nodeUsageTable, podUsageTable, type UsageTable } from "./render/usage.ts";

const group = "/apis/metrics.k8s.io/v1beta1";

interface List<T> {
  items: T[];
}

async function print(list: object, table: UsageTable, args: ParsedArgs, io: Io): Promise<number> {
  const output = args.text("output");
  if (output === "json") await io.out(toJson(list));
  else if (output === "yaml") await io.out(toYaml(list));
  else if (table.rows.length > 0) {
    const options = { header: !args.is("no-headers") };
    await io.out(formatTable(table.head, table.rows, createPaint(wantsColour(io)), options));
  }
  return 0;
}

async function topPods(
  name: string | undefined,
  args: ParsedArgs,
  client: ApiClient,
  io: Io,
): Promise<number> {
  const namespace = args.is("all-namespaces") ? undefined : args.text("namespace") ?? "default";
  const [list, pods] = await Promise.all([
    client.get<List<PodMetrics>>(`${group}/pods`, io.signal),
    client.get<PodList>("/pods", io.signal),
  ]);
  const items = list.items.filter(({ metadata }) =>
    (namespace === undefined || metadata.namespace === namespace) &&
    (name === undefined || metadata.name === name)
  );
  if (name !== undefined && items.length === 0) {
    throw new CommandError(`there is no pod "${name}" with a running container in namespace "${namespace}"`);
  }
  if (items.length === 0) {
    const where = namespace === undefined ? "" : ` in ${namespace} namespace`;
    await io.err(`No running pods found${where}.\n`);
  }
  const table = podUsageTable(items, pods.items, {
    containers: args.is("containers"),
    namespaces: namespace === undefined,
    shares: args.text("output") === "wide",
    sortBy: args.text("sort-by") as "cpu" | "memory" | undefined,
  });
  return await print({ ...list, items }, table, args, io);
}

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const [what = "", name, ...rest] = args.positional;
  if (rest.length > 0) throw new UsageError(`expected one name, found "${rest[0]}" as well`);
  const client = createApiClient(socketPath(args, io));
  try {
    if (["pods", "pod", "po"].includes(what)) return await topPods(name, args, client, io);
    const list = await client.get<List<NodeMetrics>>(`${group}/nodes`, io.signal);
    return await print(list, nodeUsageTable(list.items), args, io);
  } finally {
    client.close();
  }
}

export const top: Command = {
  name: "top",
  summary: "Show what pods or the node use of CPU and memory",
  details:
    "CPU is the mean between two looks: a second, or since the last question when that was less than two minutes ago\n" +
    "(-o json names the window). Memory is the working set: without file pages that were not used for long.",
  arguments: [
    {
      name: "WHAT",
      required: true,
      values: ["pods", "pod", "po", "node", "nodes", "no"],
      summary: "pods or node",
    },
    { name: "NAME", required: false, complete: "pods" },
  ],
  flags: [
    namespaceFlag,
    { name: "all-namespaces", short: "A", kind: "boolean", summary: "of all namespaces" },
    { name: "containers", kind: "boolean", summary: "each container of the pods" },
    {
      name: "sort-by",
      kind: "text",
      placeholder: "RESOURCE",
      summary: "most first",
      values: ["cpu", "memory"],
    },
    {
      name: "output",
      short: "o",
      kind: "text",
      placeholder: "FORMAT",
      summary: "wide (with the share of what was requested), json or yaml",
      values: ["wide", "json", "yaml"],
    },
    { name: "no-headers", kind: "boolean", summary: "leave the head of the table out" },
  ],
  examples: [
    { does: "Who uses most memory", line: "agent top pods -A --containers --sort-by memory" },
    { does: "The node", line: "agent top node" },
  ],
  run,
};
