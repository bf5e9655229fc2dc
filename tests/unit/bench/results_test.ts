import { assertEquals, assertStringIncludes } from "@std/assert";
import { createRows, isReached } from "../../bench/results.ts";
import { percentile, summarize } from "../../bench/stats.ts";
import { renderTable } from "../../bench/table.ts";

const life = (started: number) => ({
  started,
  shown: started + 1,
  reissued: undefined,
  restarted: undefined,
  gone: 9,
});
const peer = (name: string, started: number) => ({ name, lives: [life(started)], crowd: undefined });
const binary = { size: 40, firstStart: 900, laterStarts: [70, 80, 90] };

Deno.test("percentiles are samples, by nearest rank", () => {
  const samples = [50, 10, 40, 20, 30];
  assertEquals([50, 95, 99].map((p) => percentile(samples, p)), [30, 50, 50]);
  assertEquals(percentile([7], 50), 7);
  assertEquals(summarize([]).p50, NaN);
});

Deno.test("a start is held against the floor of the same run", () => {
  const startRow = (floor: number) => createRows([peer("agent", 200), peer("floor", floor)], binary)[0]!;
  assertEquals(isReached(startRow(150)), true);
  assertEquals(isReached(startRow(149)), false);
  assertEquals(isReached(createRows([peer("agent", 200)], binary)[0]!), undefined, "no floor, no verdict");
});

Deno.test("the table has a dash for what a peer has not got, and says what was missed", () => {
  const rows = createRows([peer("agent", 200), peer("floor", 100)], binary);
  const table = renderTable(rows, ["agent", "floor"]);
  assertStringIncludes(table, "≤ 150 MISSED");
  assertEquals(/size of the binary \[MiB\] +40 +–/.test(table), true, table);
});
