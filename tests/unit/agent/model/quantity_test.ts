import { assertEquals } from "@std/assert";
import { parseQuantity } from "../../../../agent/model/quantity.ts";

Deno.test("quantities in base units", () => {
  const cases: [string, number | undefined][] = [
    ["250m", 0.25],
    ["1", 1],
    ["0.5", 0.5],
    [".5", 0.5],
    ["1.", 1],
    ["-1", -1],
    ["+2k", 2000],
    ["64Mi", 67108864],
    ["1.5Gi", 1610612736],
    ["2G", 2e9],
    ["1e3", 1000],
    ["1E3", 1000],
    ["1E", 1e18],
    ["1e-3", 0.001],
    ["100n", 1e-7],
    ["3u", 3e-6],
    ["0", 0],
    ["-0", 0],
    ["", undefined],
    ["m", undefined],
    ["1 Mi", undefined],
    ["1MiB", undefined],
    ["1Mb", undefined],
    ["1x", undefined],
    ["0x10", undefined],
    ["1e400", undefined],
    ["Infinity", undefined],
    ["1,5", undefined],
  ];
  for (const [text, expected] of cases) assertEquals(parseQuantity(text), expected, text);
});
