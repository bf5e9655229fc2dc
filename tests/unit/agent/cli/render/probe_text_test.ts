import { assertEquals } from "@std/assert";
import { lastText } from "../../../../../agent/cli/render/probe_text.ts";
import type { ProbeReport } from "../../../../../agent/model/probe_report.ts";

const said = (outcome: "success" | "warning" | "failure" | "unknown", message: string, inARow: number) => {
  const report: ProbeReport = {
    container: "c",
    kind: "liveness",
    last: { outcome, message, secondsAgo: 7, inARow },
  };
  return lastText(report, { failureThreshold: 4 });
};

Deno.test("the last result of a probe says what, when and how often in a row", () => {
  assertEquals(lastText({ container: "c", kind: "liveness" }, {}), "not asked yet");
  assertEquals(said("success", "fine", 12), "success 7s ago (12 in a row)");
  assertEquals(said("warning", "moved", 1), "warning 7s ago (1 in a row)");
  assertEquals(said("failure", "no\n", 3), "failure 7s ago (3 of 4 in a row): no");
  assertEquals(said("failure", "no", 9), "failure 7s ago (9 in a row): no");
  assertEquals(said("unknown", "runtime away", 2), "unknown 7s ago: runtime away");
});
