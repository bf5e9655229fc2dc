/** `agent get`: lists what the agent has, once or as it changes. */
import { type ApiClient, createApiClient } from "./client.ts";
import { type Command, type Flag, type ParsedArgs, UsageError } from "./command.ts";
import { type Io, socketPath, wantsColour } from "./io.ts";
import { parseSelector, selectorFlag } from "./selector.ts";
import { asList, nameOf, outputFormats, toJson, toYaml } from "./output.ts";
import { podHead, podRow, type TableOptions } from "./render/pods.ts";
import {
  configMapTable,
  deviceTable,
  eventTable,
  imageRows,
  pluginTable,
  problemTable,
  runtimeClassTable,
  secretTable,
  type Table,
} from "./render/tables.ts";
import { claimTable, csiDriverTable, storageClassTable, volumeTable } from "./render/storage.ts";
import { createPaint, formatTable, type Paint } from "./render/text.ts";

/** What every item has, as far as `get` itself looks into it. */
interface Item {
  metadata?: { name?: string; namespace?: string; labels?: Record<string, string> };
  involvedObject?: { namespace?: string };
}

interface Resource {
  path: string;
  /** The kind of one item. */
  kind: string;
  table: Table<never>;
  namespaced: boolean;
}

const resource = <T>(path: string, kind: string, table: Table<T>, namespaced = true): Resource => ({
  path,
  kind,
  table: table as Table<never>,
  namespaced,
});

const resources: Record<string, Resource> = {
  pods: resource("/pods", "Pod", { head: podHead, row: podRow }),
  configmaps: resource("/configmaps", "ConfigMap", configMapTable),
  secrets: resource("/secrets", "Secret", secretTable),
  runtimeclasses: resource("/runtimeclasses", "RuntimeClass", runtimeClassTable, false),
  persistentvolumeclaims: resource("/persistentvolumeclaims", "PersistentVolumeClaim", claimTable),
  persistentvolumes: resource("/persistentvolumes", "PersistentVolume", volumeTable, false),
  storageclasses: resource("/storageclasses", "StorageClass", storageClassTable, false),
  csidrivers: resource("/csidrivers", "CSIDriver", csiDriverTable, false),
  plugins: resource("/plugins", "Plugin", pluginTable, false),
  devices: resource("/devices", "Device", deviceTable, false),
  events: resource("/events", "Event", eventTable),
  problems: resource("/problems", "Problem", problemTable, false),
};

/** Short and singular forms, as kubectl knows them. */
const alias: Record<string, string> = {
  pod: "pods",
  po: "pods",
  configmap: "configmaps",
  cm: "configmaps",
  secret: "secrets",
  runtimeclass: "runtimeclasses",
  persistentvolumeclaim: "persistentvolumeclaims",
  pvc: "persistentvolumeclaims",
  persistentvolume: "persistentvolumes",
  pv: "persistentvolumes",
  storageclass: "storageclasses",
  sc: "storageclasses",
  csidriver: "csidrivers",
  plugin: "plugins",
  device: "devices",
  event: "events",
  ev: "events",
  problem: "problems",
  image: "images",
};

export const resourceNames = [...Object.keys(resources), "images"];

/** Where the API has them, and what one is; undefined: nothing of that name, or what is only listed. */
export const namedResource = (word: string): Pick<Resource, "path" | "kind" | "namespaced"> | undefined =>
  ["events", "problems"].includes(word) ? undefined : resources[word];

export const resourceOf = (word: string): string => alias[word] ?? word;

/** `pods web`, `pod/web`, `pods/web db`: the resource and the names. */
export function parseTarget(positional: readonly string[]): { resource: string; names: string[] } {
  const [first = "", ...rest] = positional;
  const slash = first.indexOf("/");
  if (slash < 0) return { resource: resourceOf(first), names: rest };
  const names = positional.map((word) => word.slice(word.indexOf("/") + 1));
  return { resource: resourceOf(first.slice(0, slash)), names };
}

interface Wanted {
  resource: Resource;
  names: readonly string[];
  /** `undefined`: all. */
  namespace: string | undefined;
  output: string | undefined;
  header: boolean;
  paint: Paint;
  choice: Choice<Item>;
}

/** Which items are shown beyond names and namespace, and in which order. */
export interface Choice<T> {
  keep?(item: T): boolean;
  order?(a: T, b: T): number;
}

const namespaceOf = (item: Item): string | undefined =>
  item.involvedObject?.namespace ?? item.metadata?.namespace;

function matches(item: Item, { names, namespace, resource, choice }: Wanted): boolean {
  if (choice.keep?.(item) === false) return false;
  if (resource.namespaced && namespace !== undefined && (namespaceOf(item) ?? "default") !== namespace) {
    return false;
  }
  return names.length === 0 || names.includes(item.metadata?.name ?? "");
}

const tableOptions = (wanted: Wanted, now: number): TableOptions => ({
  wide: wanted.output === "wide",
  namespaces: wanted.resource.namespaced && wanted.namespace === undefined,
  now,
});

function present(items: readonly Item[], wanted: Wanted, now: number): string {
  const { resource, names, output } = wanted;
  if (output === "json" || output === "yaml") {
    const value = names.length === 1 && items.length === 1 ? items[0] : asList(items);
    return output === "json" ? toJson(value) : toYaml(value);
  }
  if (output === "name") {
    return items.map((item) => nameOf(resource.kind, item.metadata?.name ?? "") + "\n").join("");
  }
  const options = tableOptions(wanted, now);
  const rows = items.map((item) => resource.table.row(item as never, options));
  return formatTable(resource.table.head(options), rows, wanted.paint, { header: wanted.header });
}

async function getOnce(wanted: Wanted, client: ApiClient, io: Io): Promise<number> {
  const { resource, names, namespace, output } = wanted;
  const list = await client.get<{ items: Item[] }>(resource.path, io.signal);
  const items = list.items.filter((item) => matches(item, wanted));
  if (wanted.choice.order !== undefined) items.sort(wanted.choice.order);
  const missing = names.filter((name) => !items.some((item) => item.metadata?.name === name));
  const readable = output === undefined || output === "wide";
  if (items.length > 0 || (!readable && missing.length === 0)) await io.out(present(items, wanted, io.now()));
  else if (missing.length === 0) {
    const where = resource.namespaced && namespace !== undefined ? ` in ${namespace} namespace` : "";
    await io.err(resource.kind === "Problem" ? "No problems.\n" : `No resources found${where}.\n`);
  }
  for (const name of missing) await io.err(`Error: ${resource.path.slice(1)} "${name}" not found\n`);
  return missing.length > 0 ? 1 : 0;
}

interface WatchLine {
  type: "ADDED" | "MODIFIED" | "DELETED";
  object: Item;
}

/** Each change a row of its own, under one head, as kubectl does; other formats print the object. */
async function getWatching(wanted: Wanted, client: ApiClient, io: Io): Promise<number> {
  const widths: number[] = [];
  let header = wanted.header;
  for await (
    const { object } of client.lines<WatchLine>(`${wanted.resource.path}?watch=true`, undefined, io.signal)
  ) {
    if (!matches(object, wanted)) continue;
    if (wanted.output !== undefined && wanted.output !== "wide") {
      const one = { ...wanted, names: [object.metadata?.name ?? ""] };
      await io.out((wanted.output === "yaml" ? "---\n" : "") + present([object], one, io.now()));
      continue;
    }
    const options = tableOptions(wanted, io.now());
    const row = wanted.resource.table.row(object as never, options);
    await io.out(formatTable(wanted.resource.table.head(options), [row], wanted.paint, { header, widths }));
    header = false;
  }
  return io.signal.aborted ? 130 : 0;
}

export async function listImages(args: ParsedArgs, client: ApiClient, io: Io): Promise<number> {
  const list = await client.get<{ items: Parameters<typeof imageRows>[0] }>("/images", io.signal);
  const output = args.text("output");
  if (output === "json") await io.out(toJson(list));
  else if (output === "yaml") await io.out(toYaml(list));
  else if (output === "name") {
    await io.out(list.items.flatMap((i) => i.repoTags).map((tag) => tag + "\n").join(""));
  } else {
    const { head, rows } = imageRows(list.items, output === "wide");
    await io.out(formatTable(head, rows, createPaint(wantsColour(io)), { header: !args.is("no-headers") }));
  }
  return 0;
}

/** Lists a resource, or watches it, as the flags say. */
export async function showResource<T extends Item>(
  name: keyof typeof resources,
  names: readonly string[],
  args: ParsedArgs,
  client: ApiClient,
  io: Io,
  choice: Choice<T> = {},
): Promise<number> {
  const wanted: Wanted = {
    resource: resources[name]!,
    names,
    namespace: args.is("all-namespaces") ? undefined : args.text("namespace") ?? "default",
    output: args.text("output"),
    header: !args.is("no-headers"),
    paint: createPaint(wantsColour(io)),
    choice: choice as Choice<Item>,
  };
  return await (args.is("watch") ? getWatching : getOnce)(wanted, client, io);
}

export const outputFlag = {
  name: "output",
  short: "o",
  kind: "text",
  placeholder: "FORMAT",
  summary: "wide, json, yaml or name",
  values: outputFormats,
} as const;

export const namespaceFlag = {
  name: "namespace",
  short: "n",
  kind: "text",
  placeholder: "NAMESPACE",
  summary: 'namespace (default "default")',
} as const;

/** Of commands that list things, once or as they change. */
export const listFlags: readonly Flag[] = [
  namespaceFlag,
  { name: "all-namespaces", short: "A", kind: "boolean", summary: "of all namespaces" },
  { name: "watch", short: "w", kind: "boolean", summary: "then show each change, until Ctrl-C" },
  { name: "no-headers", kind: "boolean", summary: "leave the head of the table out" },
];

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const { resource: word, names } = parseTarget(args.positional);
  const client = createApiClient(socketPath(args, io));
  try {
    if (word === "images") return await listImages(args, client, io);
    if (resources[word] === undefined) {
      throw new UsageError(
        `expected one of ${resourceNames.join(", ")}, found "${args.positional[0] ?? ""}"`,
      );
    }
    const fits = parseSelector(args.text("selector"));
    return await showResource(word, names, args, client, io, {
      keep: ({ metadata }) => fits(metadata?.labels ?? {}),
    });
  } finally {
    client.close();
  }
}

export const get: Command = {
  name: "get",
  summary: "List pods and whatever else the agent has: volumes, plugins, devices, events, problems, images",
  arguments: [
    { name: "RESOURCE", required: true, complete: resourceNames, summary: resourceNames.join(", ") },
    { name: "NAME", required: false, repeated: true, complete: "names" },
  ],
  flags: [...listFlags, selectorFlag, outputFlag],
  examples: [
    { does: "All pods, with their addresses", line: "agent get pods -A -o wide" },
    { does: "See what changes", line: "agent get pods -w" },
    { does: "One pod as the agent knows it", line: "agent get pod web -o yaml" },
    { does: "What is wrong with the manifests", line: "agent get problems" },
    { does: "Which devices there are, and who has them", line: "agent get devices" },
  ],
  run,
};
