/** Tables of everything but pods, as kubectl shows them. Pure. */
import type { Problem } from "../../model/errors.ts";
import type { ConfigMap, Event, RuntimeClass } from "../../model/gen/v1.ts";
import { ageOf } from "./duration.ts";
import { cell, formatBytes, type Row } from "./text.ts";
import type { TableOptions } from "./pods.ts";

/** How the items of one kind become a table. */
export interface Table<T> {
  head(options: TableOptions): string[];
  row(item: T, options: TableOptions): Row;
}

const inNamespace = (namespaces: boolean, namespace: string | undefined): string[] =>
  namespaces ? [namespace ?? ""] : [];

export const configMapTable: Table<ConfigMap> = {
  head: ({ namespaces }) => [...inNamespace(namespaces, "NAMESPACE"), "NAME", "DATA", "AGE"],
  row: ({ metadata, data, binaryData }, { namespaces, now }) => [
    ...inNamespace(namespaces, metadata?.namespace),
    metadata?.name ?? "",
    String(Object.keys(data ?? {}).length + Object.keys(binaryData ?? {}).length),
    ageOf(metadata?.creationTimestamp, now),
  ],
};

export const runtimeClassTable: Table<RuntimeClass> = {
  head: () => ["NAME", "HANDLER"],
  row: ({ metadata, handler }) => [metadata?.name ?? "", handler],
};

/** What the API tells of a plugin. */
export interface PluginItem {
  metadata: { name: string };
  type?: string;
  state: string;
  socket?: string;
  endpoint?: string;
  versions?: string[];
  error?: string;
  since: string;
}

const stateColour = {
  registered: "green",
  running: "green",
  registering: "yellow",
  starting: "yellow",
  stopping: "yellow",
  failed: "red",
} as const;

export const pluginTable: Table<PluginItem> = {
  head: (
    { wide },
  ) => ["NAME", "TYPE", "STATE", "AGE", ...(wide ? ["VERSIONS", "SOCKET", "ENDPOINT"] : []), "ERROR"],
  row: ({ metadata, type, state, socket, endpoint, versions, error, since }, { wide, now }) => [
    metadata.name,
    type ?? "<unknown>",
    cell(state, stateColour[state as keyof typeof stateColour]),
    ageOf(since, now),
    ...(wide ? [versions?.join(",") ?? "", socket ?? "", endpoint === socket ? "" : endpoint ?? ""] : []),
    error ?? "",
  ],
};

/** What the API tells of a device. */
export interface DeviceItem {
  metadata: { name: string };
  resource: string;
  source?: string;
  health: string;
  numaNodes?: number[];
  shares: number;
  usedBy: { namespace?: string; pod?: string; uid: string; container: string }[];
}

const healthColour = { Healthy: "green", Unhealthy: "red", Unknown: "yellow" } as const;

export const deviceTable: Table<DeviceItem> = {
  head: ({ wide }) => ["RESOURCE", "DEVICE", "HEALTH", "USED", ...(wide ? ["SOURCE", "NUMA"] : []), "BY"],
  row: ({ metadata, resource, source, health, numaNodes, shares, usedBy }, { wide }) => [
    resource,
    metadata.name,
    cell(health, healthColour[health as keyof typeof healthColour]),
    `${usedBy.length}/${shares}`,
    ...(wide ? [source ?? "<none>", numaNodes?.join(",") ?? "<any>"] : []),
    usedBy.map(({ namespace, pod, uid, container }) =>
      `${pod === undefined ? uid : `${namespace}/${pod}`}/${container}`
    )
      .join(", "),
  ],
};

/** What the API tells of a Secret. */
export interface SecretItem {
  metadata: { name: string; namespace: string };
  type: string;
  keys: Record<string, number>;
}

export const secretTable: Table<SecretItem> = {
  head: ({ namespaces }) => [...inNamespace(namespaces, "NAMESPACE"), "NAME", "TYPE", "DATA"],
  row: ({ metadata, type, keys }, { namespaces }) => [
    ...inNamespace(namespaces, metadata.namespace),
    metadata.name,
    type,
    String(Object.keys(keys).length),
  ],
};

/** `12s`, or `12s (x4 over 3m)` when it happened more than once. */
export function lastSeen(event: Event, now: number): string {
  const last = ageOf(event.lastTimestamp ?? event.firstTimestamp, now);
  const count = event.count ?? 1;
  return count > 1 ? `${last} (x${count} over ${ageOf(event.firstTimestamp, now)})` : last;
}

export const eventTable: Table<Event> = {
  head: ({ namespaces }) => [
    ...inNamespace(namespaces, "NAMESPACE"),
    ...["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"],
  ],
  row: (event, { namespaces, now }) => [
    ...inNamespace(namespaces, event.involvedObject.namespace ?? event.metadata.namespace),
    lastSeen(event, now),
    cell(event.type ?? "", event.type === "Warning" ? "yellow" : undefined),
    event.reason ?? "",
    `${(event.involvedObject.kind ?? "").toLowerCase()}/${event.involvedObject.name}`,
    event.message ?? "",
  ],
};

const position = ({ line, column }: Problem): string =>
  line === undefined ? "" : `:${line}${column === undefined ? "" : `:${column}`}`;

export const problemTable: Table<Problem> = {
  head: () => ["SEVERITY", "WHERE", "OBJECT", "FIELD", "MESSAGE"],
  row: (problem) => [
    cell(problem.severity, problem.severity === "error" ? "red" : "yellow"),
    problem.file + position(problem),
    problem.object ?? "",
    problem.field ?? "",
    problem.message,
  ],
};

/** An image as the API lists it. */
export interface ImageItem {
  id: string;
  repoTags: string[];
  repoDigests: string[];
  size: number;
}

/** One row for each name: `[repository, tag]`. */
function imageNames({ repoTags, repoDigests }: ImageItem): [string, string][] {
  const split = (name: string): [string, string] => {
    const colon = name.lastIndexOf(":");
    return colon > name.lastIndexOf("/") ? [name.slice(0, colon), name.slice(colon + 1)] : [name, "<none>"];
  };
  if (repoTags.length > 0) return repoTags.map(split);
  const repository = repoDigests[0]?.split("@")[0];
  return [[repository ?? "<none>", "<none>"]];
}

export function imageRows(images: readonly ImageItem[], wide: boolean): { head: string[]; rows: Row[] } {
  const rows = images.flatMap((image) =>
    imageNames(image).map(([repository, tag]): Row => [
      repository,
      tag,
      wide ? image.id : image.id.replace(/^sha256:/, "").slice(0, 12),
      formatBytes(image.size),
    ])
  );
  const key = (row: Row) => row.slice(0, 2).join("\0");
  return { head: ["IMAGE", "TAG", "IMAGE ID", "SIZE"], rows: rows.sort((a, b) => key(a) < key(b) ? -1 : 1) };
}
