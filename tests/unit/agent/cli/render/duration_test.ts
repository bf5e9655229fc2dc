import { assertEquals } from "@std/assert";
import { ageOf, humanDuration, parseDuration } from "../../../../../agent/cli/render/duration.ts";

const s = 1000, m = 60 * s, h = 60 * m, d = 24 * h, y = 365 * d;

Deno.test("durations read as kubectl's, at each boundary", () => {
  const cases: [number, string][] = [
    [-2 * s, "<invalid>"],
    [-2 * s + 1, "0s"],
    [0, "0s"],
    [s - 1, "0s"],
    [70 * s, "70s"],
    [2 * m - 1, "119s"],
    [2 * m, "2m"],
    [2 * m + s, "2m1s"],
    [190 * s, "3m10s"],
    [10 * m - 1, "9m59s"],
    [10 * m, "10m"],
    [10 * m + s, "10m"],
    [3 * h - 1, "179m"],
    [3 * h, "3h"],
    [3 * h + m, "3h1m"],
    [8 * h - 1, "7h59m"],
    [8 * h, "8h"],
    [8 * h + 59 * m, "8h"],
    [2 * d - 1, "47h"],
    [2 * d, "2d"],
    [2 * d + h, "2d1h"],
    [8 * d - 1, "7d23h"],
    [8 * d, "8d"],
    [8 * d + 23 * h, "8d"],
    [2 * y - 1, "729d"],
    [2 * y, "2y"],
    [2 * y + 23 * h, "2y"],
    [2 * y + d, "2y1d"],
    [8 * y - 1, "7y364d"],
    [8 * y, "8y"],
    [8 * y + 364 * d, "8y"],
    [9 * y, "9y"],
  ];
  assertEquals(cases.map(([ms]) => [ms, humanDuration(ms)]), cases);
});

Deno.test("an age needs a time", () => {
  assertEquals(ageOf("2026-03-01T12:00:00Z", Date.parse("2026-03-01T12:05:00Z")), "5m");
  assertEquals([ageOf(undefined, 0), ageOf("soon", 0)], ["<unknown>", "<unknown>"]);
});

Deno.test("typed durations", () => {
  const cases: [string, number | undefined][] = [
    ["90s", 90_000],
    ["1h30m", 5_400_000],
    ["500ms", 500],
    ["1.5m", 90_000],
    ["2d", 172_800_000],
    ["10", 10_000],
    ["", undefined],
    ["5", 5_000],
    ["5x", undefined],
    ["m5", undefined],
    ["-5m", undefined],
    ["1h 30m", undefined],
  ];
  assertEquals(cases.map(([text]) => [text, parseDuration(text)]), cases);
});
