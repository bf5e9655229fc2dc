/** The rows as text for people. Pure. */
import { aboveKubelet, isReached, type Row } from "./results.ts";
import type { Summary } from "./stats.ts";

const round = (n: number): string =>
  n >= 100 || Number.isInteger(n) ? n.toFixed(0) : n.toFixed(n < 1 ? 2 : 1);

const cell = (value: Summary | number | undefined): string =>
  value === undefined
    ? "–"
    : typeof value === "number"
    ? round(value)
    : `${round(value.p50)} / ${round(value.p90)}`;

function verdict(row: Row): string {
  const reached = isReached(row);
  const target = row.atMost === undefined || reached === undefined
    ? []
    : [`≤ ${round(row.atMost)} ${reached ? "ok" : "MISSED"}`];
  return [...target, ...aboveKubelet(row).map((name) => `${name}: ABOVE the kubelet`)].join("; ");
}

/** Two numbers in a cell are p50 / p90. */
export function renderTable(rows: readonly Row[], peers: readonly string[]): string {
  const lines = [
    ["", ...peers, "target"],
    ...rows.map((row) => [
      row.unit === "" ? row.what : `${row.what} [${row.unit}]`,
      ...peers.map((name) => cell(row.values[name])),
      verdict(row),
    ]),
  ];
  const widths = lines[0]!.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  return lines.map((line) =>
    line.map((text, i) => i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)).join("  ").trimEnd()
  ).join("\n");
}
