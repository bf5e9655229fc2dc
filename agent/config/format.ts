/** The effective configuration as text: `agent config`. What it prints as YAML or JSON, the agent reads. Not for: reading. */
import { stringify } from "@std/yaml";
import type { ParsedConfig } from "./config.ts";
import { documentKinds } from "./documents.ts";
import { keyByName, keys, type KeySpec } from "./keys.ts";

export type ConfigFormat = "table" | "yaml" | "json";

export function formatConfig(parsed: Pick<ParsedConfig, "values" | "origin">, format: ConfigFormat): string {
  if (format === "table") return formatTable(parsed);
  const documents = (["kubelet", "agent"] as const).map((owner) => toDocument(parsed.values, owner));
  if (format === "yaml") return documents.map((d) => stringify(d, { lineWidth: -1 })).join("---\n");
  return JSON.stringify({ apiVersion: "v1", kind: "List", items: documents }, undefined, 2) + "\n";
}

function formatTable({ values, origin }: Pick<ParsedConfig, "values" | "origin">): string {
  const rows = keys.filter((k) => values.has(k.key)).map((k) => [
    k.key,
    cell(values.get(k.key)),
    origin[k.key] ?? "",
  ]);
  const all = [["KEY", "VALUE", "FROM"], ...rows];
  const widths = [0, 1].map((column) => Math.max(...all.map((r) => r[column]!.length)));
  return all.map((r) => `${r[0]!.padEnd(widths[0]!)}  ${r[1]!.padEnd(widths[1]!)}  ${r[2]}`.trimEnd() + "\n")
    .join("");
}

function cell(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.join(",");
  return value === "" ? '""' : typeof value === "object" ? JSON.stringify(value) : String(value);
}

/**
 * As the kubelet shows its own (/configz): whole, so that who changes a value and writes it back loses nothing. What has no
 * effect here is shown as it is by default.
 */
export function kubeletConfiguration(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const others = keys.filter((k) => !k.supported && k.default !== undefined && k.default !== "");
  return toDocument(
    new Map([...others.map((k) => [k.key, k.default] as const), ...Object.entries(values)]),
    "kubelet",
  );
}

function toDocument(values: ReadonlyMap<string, unknown>, owner: KeySpec["owner"]): Record<string, unknown> {
  const document: Record<string, unknown> = { ...documentKinds[owner] };
  for (const [key, value] of values) {
    const spec = keyByName.get(key)!;
    if (spec.owner === owner && !(Array.isArray(value) && value.length === 0)) place(document, spec, value);
  }
  return document;
}

function place(document: Record<string, unknown>, spec: KeySpec, value: unknown): void {
  const path = spec.key.split(".");
  const last = path.pop()!;
  let at = document;
  for (const part of path) at = (at[part] ??= {}) as Record<string, unknown>;
  at[last] = spec.type === "cidrs" ? (value as string[]).join(",") : value;
}
