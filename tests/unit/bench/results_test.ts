import { assertEquals, assertStringIncludes } from "@std/assert";
import { createRows, isReached, type PeerResults, valueOf } from "../../bench/results.ts";
import { percentile, summarize } from "../../bench/stats.ts";
import { renderTable } from "../../bench/table.ts";

const life = (started: number) => ({
  started,
  shown: started + 1,
  reissued: undefined,
  restarted: undefined,
  gone: 9,
});
const peer = (name: string, started: number): PeerResults => ({
  name,
  lives: [life(started)],
  crowd: undefined,
  probed: undefined,
  probes: undefined,
  execs: undefined,
});
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

Deno.test("the cost of probes is told for 200 a second, however many were asked", () => {
  const load = (perSecond: number, cpu: number) => ({ perSecond, cpu });
  const probes = { http: load(190, 4), tcp: load(100, 2.6), exec: load(8, 1) };
  const execs = [120, 100, 110];
  const rows = createRows([{ ...peer("agent", 200), probes, execs }, peer("floor", 100)], binary);
  const row = (what: string) => rows.find((r) => r.what.startsWith(what))!;
  const [http, tcp] = [row("200 http"), row("200 tcp")];
  assertEquals([Number(http.values.agent).toFixed(2), isReached(http)], ["4.21", true]);
  assertEquals([Number(tcp.values.agent).toFixed(2), isReached(tcp)], ["5.20", false]);
  assertEquals(row("an exec probe").values, { agent: 1.25 });
  assertEquals(valueOf(row("a command").values.agent), 110);
  assertEquals(createRows([peer("agent", 200)], binary).some((r) => r.what.startsWith("200")), false);
});

Deno.test("a crowd with probes is held to what one without is", () => {
  const burst = { pods: 50, halfStarted: 1, started: 2, shown: 9000, gone: 3 };
  const probed = {
    ...burst,
    idle: { seconds: 9, cpu: 0.5, writtenBytes: 1 },
    rss: 60,
    truthful: 900,
    restarted: 1,
  };
  const rows = createRows([{ ...peer("agent", 200), probed }], binary);
  const verdicts = rows.filter((r) => /three probes|restarted/.test(r.what)).map(isReached);
  assertEquals(verdicts, [undefined, true, false, true, false, true]);
});
