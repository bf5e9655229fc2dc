import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { readOptions } from "../../bench/options.ts";
import { aboveKubelet, createRows, isReached, type PeerResults } from "../../bench/results.ts";
import { percentile, summarize } from "../../bench/stats.ts";
import { renderTable } from "../../bench/table.ts";

const life = (started: number) => ({
  started,
  shown: started + 1,
  reissued: undefined,
  restarted: undefined,
  gone: 9,
});
const peer = (name: string, started: number): PeerResults => ({ name, lives: [life(started)] });
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

Deno.test("each is held against the kubelet in its own place, and the table says where it is worse", () => {
  const all = [peer("agent", 300), peer("kubelet", 299), peer("joined", 200), peer("joined kubelet", 100)];
  const rows = createRows(all);
  assertEquals(aboveKubelet(rows[0]!), ["joined"]);
  assertStringIncludes(renderTable(rows, all.map(({ name }) => name)), "joined: ABOVE the kubelet");
  assertEquals(aboveKubelet(createRows([peer("agent", 300)])[0]!), []);
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
  const rows = createRows([{ ...peer("agent", 200), probes }, peer("floor", 100)], binary);
  const row = (what: string) => rows.find((r) => r.what.startsWith(what))!;
  const [http, tcp] = [row("200 http"), row("200 tcp")];
  assertEquals([Number(http.values.agent).toFixed(2), isReached(http)], ["4.21", true]);
  assertEquals([Number(tcp.values.agent).toFixed(2), isReached(tcp)], ["5.20", false]);
  assertEquals(row("an exec probe").values, { agent: 1.25 });
  assertEquals(createRows([peer("agent", 200)], binary).some((r) => r.what.startsWith("200")), false);
});

Deno.test("what rests is told by number of pods, and its requests are summed", () => {
  const rest = (cpu: number) => ({
    memory: { rss: 50, anonymous: 20, pss: 45 },
    cpu,
    writtenBytes: 0,
    requests: { "update leases": 6, "patch nodes/status": 2 },
  });
  const rows = createRows([{
    name: "joined",
    rest: { rests: new Map([[0, rest(0.2)], [110, rest(0.4)]]) },
  }]);
  const value = (what: string) => rows.find((r) => r.what === what)?.values.joined;
  assertEquals(value("at rest with 110 pods: CPU of a core"), 0.4);
  assertEquals(value("at rest with 0 pods: requests of the API server"), 8);
  assertEquals(rows.some((r) => Object.keys(r.values).length === 0), false, "no row without a number");
});

Deno.test("what is measured of whom is told by names, and a wrong one is told with those that there are", () => {
  const all = { peers: ["agent", "joined"], measures: ["lives", "rest", "probes"] };
  const options = readOptions({ PEERS: "joined", MEASURES: "rest", PODS: "50" }, all);
  assertEquals([options.peers, options.measures, options.rest.count], [["joined"], ["rest"], 50]);
  assertEquals(readOptions({}, all).measures, ["lives", "rest", "binary"], "probes take long");
  const wrong = (env: Record<string, string>, message: string) =>
    assertThrows(() => readOptions(env, all), Error, message);
  wrong({ MEASURES: "live" }, "MEASURES: there is no live; there are lives, rest, probes, binary");
  wrong({ PODS: "many" }, 'PODS: "many" is not a count');
});
