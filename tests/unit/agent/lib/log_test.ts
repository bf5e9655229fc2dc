import { assertEquals } from "@std/assert";
import { createLog, type LogFormat } from "../../../../agent/lib/log.ts";

function recorded(format: LogFormat, verbosity = 0) {
  const lines: string[] = [];
  return { lines, log: createLog({ write: (l) => lines.push(l), format, verbosity, now: () => 0 }) };
}

Deno.test("text: level, message, fields; quotes only where needed", () => {
  const { lines, log } = recorded("text");
  log.info("pod started", { pod: "default/web", ms: 12, ok: true, gone: undefined, list: ["a", "b"] });
  log.with({ task: "x y" }).error("two\nlines", { empty: "", quoted: 'say "hi"', equals: "a=b" });
  assertEquals(lines, [
    "1970-01-01T00:00:00.000Z INFO  pod started pod=default/web ms=12 ok=true list=a,b\n",
    '1970-01-01T00:00:00.000Z ERROR "two\\nlines" task="x y" empty="" quoted="say \\"hi\\"" equals="a=b"\n',
  ]);
});

Deno.test("json: one object per line; fields cannot replace time, level and message", () => {
  const { lines, log } = recorded("json");
  log.warn("careful", { level: "info", path: "/a\nb" });
  assertEquals(lines.map((l) => JSON.parse(l)), [
    { ts: "1970-01-01T00:00:00.000Z", level: "warn", msg: "careful", path: "/a\nb" },
  ]);
  assertEquals(lines[0]!.indexOf("\n"), lines[0]!.length - 1);
});

Deno.test("debug is printed from verbosity 4 on", () => {
  for (const [verbosity, printed] of [[0, 0], [3, 0], [4, 1], [9, 1]] as const) {
    const { lines, log } = recorded("text", verbosity);
    log.with({ a: 1 }).debug("detail");
    assertEquals(lines.length, printed, `--v=${verbosity}`);
  }
});
