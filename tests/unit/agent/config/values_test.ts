import { assertEquals } from "@std/assert";
import { formatDuration, parseDuration } from "../../../../agent/model/duration.ts";
import { keyByName, keys, type KeySpec } from "../../../../agent/config/keys.ts";
import { readFlagTexts, readValue } from "../../../../agent/config/values.ts";

const spec = (type: KeySpec["type"], more: Partial<KeySpec> = {}): KeySpec => ({
  key: "k",
  type,
  default: undefined,
  meaning: "",
  supported: true,
  owner: "kubelet",
  ...more,
});

const good: [KeySpec["type"], unknown, unknown][] = [
  ["bool", true, true],
  ["bool", "yes", true],
  ["bool", "Off", false],
  ["int", 0, 0],
  ["int", -5, -5],
  ["float", 0.5, 0.5],
  ["port", 65535, 65535],
  ["duration", "90s", "1m30s"],
  ["duration", "0", "0s"],
  ["duration", 0, "0s"],
  ["quantity", "1.5Gi", "1.5Gi"],
  ["quantity", 1024, "1024"],
  ["text", "", ""],
  ["path", "/a//b/./c/", "/a/b/c"],
  ["path", "/", "/"],
  ["endpoint", "unix:/run/x.sock", "unix:///run/x.sock"],
  ["ip", "255.255.255.255", "255.255.255.255"],
  ["ip", "::ffff:1.2.3.4", "::ffff:1.2.3.4"],
  ["cidrs", "10.0.0.0/8", ["10.0.0.0/8"]],
  ["cidrs", "", []],
  ["textMap", { a: 1, b: true, c: "x" }, { a: "1", b: "true", c: "x" }],
  ["boolMap", { A: "on" }, { A: true }],
  ["quantityMap", { cpu: "500m" }, { cpu: "500m" }],
  ["mappings", [{ a: [1] }], [{ a: [1] }]],
];
for (const [type, raw, value] of good) {
  Deno.test(`${type}: ${JSON.stringify(raw)}`, () => assertEquals(readValue(spec(type), raw), { value }));
}

const bad: [KeySpec["type"], unknown][] = [
  ["bool", 1],
  ["bool", "maybe"],
  ["int", 1.5],
  ["int", "5"],
  ["int", 2 ** 60],
  ["float", Infinity],
  ["port", -1],
  ["port", 1.5],
  ["duration", 10],
  ["duration", "-1s"],
  ["duration", "10"],
  ["quantity", "-1"],
  ["quantity", "1Gb"],
  ["text", 5],
  ["text", "two\nlines"],
  ["path", "a/b"],
  ["path", "/a/../b"],
  ["path", "/a\0b"],
  ["endpoint", "run/x.sock"],
  ["endpoint", "http://x"],
  ["ip", "1.2.3"],
  ["ip", "01.2.3.4"],
  ["ip", "256.1.1.1"],
  ["ip", "::1%eth0"],
  ["ip", ":::"],
  ["cidrs", "10.0.0.0"],
  ["cidrs", "10.0.0.0/33"],
  ["cidrs", "fd00::/129"],
  ["texts", "a"],
  ["texts", ["a", 1]],
  ["paths", [""]],
  ["textMap", ["a"]],
  ["textMap", { a: {} }],
  ["boolMap", { A: "perhaps" }],
  ["mapping", []],
  ["mappings", [1]],
];
for (const [type, raw] of bad) {
  Deno.test(`not ${type}: ${JSON.stringify(raw)}`, () => {
    assertEquals(Object.keys(readValue(spec(type), raw)), ["wrong"]);
    assertEquals(Object.keys(readValue(spec(type), undefined)), ["wrong"]);
  });
}

Deno.test("what is at fault in a list or mapping is named", () => {
  const wrong = (type: KeySpec["type"], raw: unknown) => {
    const reading = readValue(spec(type), raw);
    return "wrong" in reading ? reading.wrong.split(" is not valid")[0] : "";
  };
  assertEquals(wrong("ips", ["1.1.1.1", "x"]), '"x"');
  assertEquals(wrong("quantityMap", { cpu: "1", memory: "lots" }), '"lots" for memory');
});

const flagTexts: [KeySpec["type"], (string | boolean)[], unknown][] = [
  ["bool", [true], true],
  ["bool", ["0"], false],
  ["bool", ["true", "F"], false],
  ["int", ["1", "-2"], -2],
  ["texts", ["a,b", "c"], ["a", "b", "c"]],
  ["ints", ["1,2"], [1, 2]],
  ["textMap", ["a=b=c,d<5%"], { a: "b=c", d: "5%" }],
  ["boolMap", ["A=true", "B=false"], { A: true, B: false }],
  ["text", ["x,y"], "x,y"],
  ["text", [""], ""],
];
for (const [type, texts, value] of flagTexts) {
  Deno.test(`flag ${type}: ${texts.join(" ")}`, () => {
    assertEquals(readFlagTexts(spec(type), texts), { value });
  });
}
for (const [type, texts] of [["int", ["x"]], ["int", ["0x10"]], ["ints", ["1,x"]], ["bool", [""]]] as const) {
  Deno.test(`not a flag ${type}: ${texts.join(" ")}`, () => {
    assertEquals(Object.keys(readFlagTexts(spec(type), texts)), ["wrong"]);
  });
}

const durations: [string, number | undefined, string?][] = [
  ["2m", 120_000, "2m0s"],
  ["1h", 3_600_000, "1h0m0s"],
  ["1h2m3.5s", 3_723_500, "1h2m3.5s"],
  ["100ms", 100, "100ms"],
  [".5s", 500, "500ms"],
  ["1500ms", 1500, "1.5s"],
  ["0", 0, "0s"],
  ["-1m", -60_000, "-1m0s"],
  ["", undefined],
  ["s", undefined],
  ["1d", undefined],
  ["1 s", undefined],
  ["1s ", undefined],
];
for (const [text, ms, formatted] of durations) {
  Deno.test(`duration ${JSON.stringify(text)}`, () => {
    assertEquals(parseDuration(text), ms);
    if (ms !== undefined) assertEquals(formatDuration(ms), formatted);
  });
}

Deno.test("every default in the table is a value of its own key", () => {
  for (const key of keys) {
    if (key.default === undefined || key.default === "") continue;
    assertEquals(Object.keys(readValue(key, key.default)), ["value"], key.key);
  }
});

Deno.test("keys and flags occur once", () => {
  assertEquals(keyByName.size, keys.length);
  const flags = keys.map((k) => k.flag).filter((f) => f !== undefined);
  assertEquals(flags.length, new Set(flags).size);
});
