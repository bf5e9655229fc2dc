import { assertEquals } from "@std/assert";
import {
  Code,
  codeName,
  decodeStatusMessage,
  encodeStatusMessage,
  encodeTimeout,
  parseCode,
  parseTimeout,
  RpcError,
  toRpcError,
} from "../../../../plugins/rpc/status.ts";

Deno.test("codes and names follow gRPC's numbers; what is unknown is UNKNOWN", () => {
  assertEquals(codeName(Code.UNAUTHENTICATED), "UNAUTHENTICATED");
  assertEquals([parseCode("0"), parseCode("16"), parseCode("17"), parseCode("-1"), parseCode("x")], [
    0,
    16,
    2,
    2,
    2,
  ]);
});

Deno.test("status messages survive the wire, whatever they hold", () => {
  assertEquals(encodeStatusMessage("50% of ä\n"), "50%25 of %C3%A4%0A");
  for (const text of ["", "plain", "100%", "line\nbreak", "ä€😀", "\x00\x7f"]) {
    assertEquals(decodeStatusMessage(encodeStatusMessage(text)), text);
  }
  assertEquals(decodeStatusMessage("bad %zz"), "bad %zz");
  assertEquals(encodeStatusMessage("x\ud800"), "x%EF%BF%BD");
  assertEquals(encodeStatusMessage("y".repeat(10_000)).length, 4096);
});

Deno.test("timeouts in all units, and only what the standard allows", () => {
  const cases: Array<[string, number | undefined]> = [
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["3S", 3000],
    ["4m", 4],
    ["5000u", 5],
    ["6000000n", 6],
    ["123456789S", undefined],
    ["S", undefined],
    ["1", undefined],
    ["-1S", undefined],
    ["1.5S", undefined],
  ];
  for (const [text, ms] of cases) assertEquals(parseTimeout(text), ms, text);
  assertEquals([encodeTimeout(0), encodeTimeout(1.2), encodeTimeout(99_999_999)], ["0m", "2m", "99999999m"]);
  assertEquals([encodeTimeout(1e8), encodeTimeout(1e11), encodeTimeout(1e99)], [
    "100000S",
    "1666667M",
    "99999999H",
  ]);
});

Deno.test("any thrown value becomes a status", () => {
  const error = new RpcError(Code.ABORTED, "x");
  assertEquals(toRpcError(error), error);
  assertEquals([toRpcError(new TypeError("t")).message, toRpcError("s").message], [
    "UNKNOWN: t",
    "UNKNOWN: s",
  ]);
});
