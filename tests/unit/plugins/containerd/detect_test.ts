import { assertEquals } from "@std/assert";
import {
  chooseCgroupDriver,
  mustRestrictOomScoreAdj,
  runProgram,
} from "../../../../plugins/containerd/detect.ts";

const INITIAL = "         0          0 4294967295\n";

Deno.test("systemd keeps cgroups only with cgroup v2", () => {
  assertEquals(chooseCgroupDriver({ systemd: true, unified: true }), "systemd");
  assertEquals(chooseCgroupDriver({ systemd: true, unified: false }), "cgroupfs");
  assertEquals(chooseCgroupDriver({ systemd: false, unified: true }), "cgroupfs");
});

Deno.test("OOM scores are restricted without CAP_SYS_RESOURCE and in user namespaces", () => {
  const status = (capEff: string) =>
    `Name:\tagent\nCapPrm:\t000001ffffffffff\nCapEff:\t${capEff}\nCapBnd:\t0\n`;
  assertEquals(mustRestrictOomScoreAdj(status("000001ffffffffff"), INITIAL), false);
  assertEquals(mustRestrictOomScoreAdj(status("000001fffeffffff"), INITIAL), true, "bit 24 is missing");
  assertEquals(mustRestrictOomScoreAdj(status("0000000001000000"), INITIAL), false, "bit 24 alone");
  assertEquals(mustRestrictOomScoreAdj(status("000001ffffffffff"), "0 100000 65536\n"), true);
  assertEquals(mustRestrictOomScoreAdj("", INITIAL), true);
});

Deno.test("a program that does not read its input, or is not there, is no exception", async () => {
  assertEquals((await runProgram(["true"], { stdin: "x".repeat(1 << 20) })).code, 0);
  assertEquals((await runProgram(["/nonexistent/program"])).code, 127);
  assertEquals((await runProgram(["cat"], { stdin: "text" })).stdout, "text");
});
