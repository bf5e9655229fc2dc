/** Named values in lines that line up, nested by indentation, as kubectl describe lays them out. Pure. */
import { oneLine } from "./text.ts";

/** A name with its value, a name with fields below it, or a line of its own. */
export type Field = string | readonly [name: string, value: string | readonly Field[]];

const nameWidth = (field: Field): number =>
  typeof field === "string" || typeof field[1] !== "string" ? 0 : field[0].length;

/** Values of a group line up, further lines of one below its first; what stands below a name is indented by two. */
export function formatFields(fields: readonly Field[], indent = ""): string {
  const width = Math.max(0, ...fields.map(nameWidth));
  return fields.map((field) => {
    if (typeof field === "string") return `${indent}${oneLine(field)}\n`;
    const [name, value] = [oneLine(field[0]), field[1]];
    if (typeof value !== "string") return `${indent}${name}:\n${formatFields(value, indent + "  ")}`;
    const margin = " ".repeat(width + 3);
    const lines = value.trimEnd().split("\n").map((line, i) =>
      (i === 0 ? (name + ":").padEnd(width + 3) : margin) + oneLine(line)
    );
    return lines.map((line) => `${indent}${line}`.trimEnd() + "\n").join("");
  }).join("");
}

/** Labels and annotations, below each other beside the name. */
export function keyed(
  name: string,
  values: Readonly<Record<string, string>> | undefined,
  sign: string,
): Field {
  const pairs = Object.entries(values ?? {}).map(([key, value]) => key + sign + value).sort();
  return [name, pairs.length === 0 ? "<none>" : pairs.join("\n")];
}

/** Lines below a name, or `<none>` beside it. */
export const listed = (
  name: string,
  texts: readonly string[],
): Field => [name, texts.length === 0 ? "<none>" : texts];
