/** Named values in lines that line up, nested by indentation, as kubectl describe lays them out. Pure. */
import { oneLine } from "./text.ts";

/** A name with its value, a name with fields below it, or a line of its own. */
export type Field = string | readonly [name: string, value: string | readonly Field[]];

const nameWidth = (field: Field): number =>
  typeof field === "string" || typeof field[1] !== "string" ? 0 : field[0].length;

/** Values of a group line up; what stands below a name is indented by two. */
export function formatFields(fields: readonly Field[], indent = ""): string {
  const width = Math.max(0, ...fields.map(nameWidth));
  return fields.map((field) => {
    if (typeof field === "string") return `${indent}${oneLine(field)}\n`;
    const [name, value] = [oneLine(field[0]), field[1]];
    if (typeof value !== "string") return `${indent}${name}:\n${formatFields(value, indent + "  ")}`;
    return `${indent}${(name + ":").padEnd(width + 3)}${oneLine(value)}`.trimEnd() + "\n";
  }).join("");
}

/** Labels and annotations: the only one beside the name, several below it. */
export function keyed(
  name: string,
  values: Readonly<Record<string, string>> | undefined,
  sign: string,
): Field {
  const pairs = Object.entries(values ?? {}).map(([key, value]) => key + sign + value);
  if (pairs.length === 0) return [name, "<none>"];
  return [name, pairs.length === 1 ? pairs[0]! : pairs];
}

/** Lines below a name, or `<none>` beside it. */
export const listed = (
  name: string,
  texts: readonly string[],
): Field => [name, texts.length === 0 ? "<none>" : texts];
