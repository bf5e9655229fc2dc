/** Text for a terminal: widths, tables, colours, and nothing that could command the terminal. Pure. */

export type Colour = "red" | "green" | "yellow" | "cyan" | "dim" | "bold";

const codes: Record<Colour, number> = { red: 31, green: 32, yellow: 33, cyan: 36, dim: 2, bold: 1 };

export type Paint = (text: string, colour: Colour | undefined) => string;

/** A painter that paints, or one that leaves text as it is. */
export const createPaint = (colours: boolean): Paint => (text, colour) =>
  !colours || colour === undefined || text === "" ? text : `\x1b[${codes[colour]}m${text}\x1b[0m`;

// deno-lint-ignore no-control-regex -- control characters are what is looked for; tab and newline stay
const control = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Control characters made visible: what a pod says must not move the reader's cursor or retitle the window. */
export const printable = (text: string): string =>
  text.replace(control, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);

/** The same, on one line. */
export const oneLine = (text: string): string =>
  printable(text.trimEnd().replace(/\s*\n\s*/g, " ").replaceAll("\t", " "));

const segments = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const ascii = /^[\x20-\x7e]*$/;
// East Asian wide and fullwidth blocks, and pictographs shown in two cells (UAX #11).
const wide =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1b000}-\u{1b2ff}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation})/u;

/** Cells that a text takes on a terminal. */
export function cellWidth(text: string): number {
  if (ascii.test(text)) return text.length;
  let width = 0;
  for (const { segment } of segments.segment(text)) {
    if (/^[\p{Mn}\p{Me}\p{Cf}]+$/u.test(segment)) continue;
    width += wide.test(segment) || segment.includes("\ufe0f") ? 2 : 1;
  }
  return width;
}

export interface Cell {
  text: string;
  colour?: Colour | undefined;
}

export type Row = readonly (string | Cell)[];

export const cell = (text: string, colour?: Colour): Cell => ({ text, colour });

const cellOf = (value: string | Cell): Cell => {
  const given = typeof value === "string" ? { text: value } : value;
  return { ...given, text: oneLine(given.text) };
};

/** Columns lined up with three spaces between (`gap`), as kubectl's; the last one is not padded. Ends with a newline. */
export function formatTable(
  head: readonly string[],
  rows: readonly Row[],
  paint: Paint,
  options: { widths?: number[]; header?: boolean; indent?: string; gap?: number } = {},
): string {
  const all = [
    ...options.header === false ? [] : [head.map((text) => cell(text))],
    ...rows.map((row) => row.map(cellOf)),
  ];
  const widths = options.widths ?? [];
  for (const row of all) {
    for (const [i, { text }] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cellWidth(text));
  }
  const line = (row: readonly Cell[]) =>
    row.map(({ text, colour }, i) => {
      const padding = i === row.length - 1
        ? ""
        : " ".repeat(widths[i]! - cellWidth(text) + (options.gap ?? 3));
      return paint(text, colour) + padding;
    }).join("");
  return all.map((row) => (options.indent ?? "") + line(row).trimEnd() + "\n").join("");
}

/** `12.3 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(value < 100 ? 1 : 0)} ${units[unit]}`;
}

/** Every line moved to the right. */
export const indentLines = (text: string, indent: string): string => text.replace(/^(?=.)/gm, indent);
