/** All rows of the coverage table, by type and field. */
import { admission, security } from "./security.ts";
import { container } from "./container.ts";
import { metadata } from "./metadata.ts";
import { pod } from "./pod.ts";
import { resources } from "./resources.ts";
import { status } from "./status.ts";
import { volumes } from "./volumes.ts";
import type { Row, Rows } from "./row.ts";

/** Sections may share a type, never a field. */
function joined(sections: readonly Rows[]): Rows {
  const all: Record<string, Record<string, Row>> = {};
  for (const section of sections) {
    for (const [type, fields] of Object.entries(section)) {
      for (const [name, row] of Object.entries(fields)) {
        const of = all[type] ??= {};
        if (Object.hasOwn(of, name)) throw new Error(`two rows for ${type}.${name}`);
        of[name] = row;
      }
    }
  }
  return all;
}

export const rows: Rows = joined([metadata, pod, container, security, admission, volumes, resources, status]);
