/** What is configured of the node as an object of a cluster. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseConfig } from "../../../../agent/config/config.ts";
import { readTaints } from "../../../../agent/config/node.ts";

function parse(text: string, flags: Record<string, unknown> = {}) {
  const head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
  const files = [{ path: "/config.yaml", text: head + text }];
  return parseConfig({ files, dropIns: [], flags, env: {}, hostname: "box" });
}
const signals = (text: string) => parse(text).config.node.evictionHard.map((t) => t.signal);

Deno.test("taints are mappings in a document, key=value:effect in a flag", () => {
  const written =
    "registerWithTaints: [{key: gpu, value: a, effect: NoSchedule}, {key: slow, effect: NoExecute}]";
  const taints = [{ key: "gpu", value: "a", effect: "NoSchedule" }, { key: "slow", effect: "NoExecute" }];
  assertEquals(parse(written).config.node.taints, taints);
  const flags = { "register-with-taints": ["gpu=a:NoSchedule,slow:NoExecute"] };
  assertEquals(parse("", flags).config.node.taints, taints);
  for (const wrong of ["gpu", "gpu=a:Never", "=a:NoSchedule", "gpu=a b:NoSchedule"]) {
    assertStringIncludes(JSON.stringify(readTaints([wrong])), "expected");
    const { problems } = parse("", { "register-with-taints": [wrong] });
    assertEquals(problems.map((p) => [p.severity, p.file]), [["error", "flag --register-with-taints"]]);
  }
  assertStringIncludes(JSON.stringify(readTaints(["a:NoExecute", "a=1:NoExecute"])), "twice");
});

Deno.test("thresholds that are given replace the default ones, or are added to them", () => {
  assertEquals(signals("").length, 5);
  assertEquals(signals("evictionHard: {memory.available: 5%}"), ["memory.available"]);
  assertEquals(signals("evictionHard: {memory.available: 5%}\nmergeDefaultEvictionSettings: true").length, 5);
  const reclaiming = parse(
    "evictionHard: {nodefs.available: 1Gi}\nevictionMinimumReclaim: {nodefs.available: 5%}",
  );
  assertEquals(reclaiming.config.node.evictionHard, [
    { signal: "nodefs.available", amount: 2 ** 30, reclaim: { part: 0.05 } },
  ]);
});

Deno.test("soft thresholds have grace periods; a wrong value is told with its key", () => {
  const soft = "evictionSoft: {memory.available: 1Gi}\nevictionSoftGracePeriod: {memory.available: 1m30s}\n" +
    "evictionMaxPodGracePeriod: 7";
  const { config, problems } = parse(soft);
  assertEquals(problems, []);
  assertEquals(config.node.evictionSoft, [{ signal: "memory.available", amount: 2 ** 30, grace: 90_000 }]);
  assertEquals(config.node.evictionMaxPodGrace, 7);
  const flags = {
    "eviction-soft": ["pid.available<10%"],
    "eviction-soft-grace-period": ["pid.available=30s"],
  };
  assertEquals(parse("", flags).config.node.evictionSoft, [
    { signal: "pid.available", part: 0.1, grace: 30_000 },
  ]);
  const wrong = {
    "evictionHard: {memory.available: much}": ["evictionHard", "quantity"],
    "evictionSoft: {memory.available: 1Gi}": ["evictionSoft", "evictionSoftGracePeriod"],
    "evictionSoft: {memory.free: 1Gi}": ["evictionSoft", "memory.available"],
    "evictionSoftGracePeriod: {memory.available: soon}": ["evictionSoftGracePeriod", "duration"],
    "evictionMinimumReclaim: {nodefs.available: -1}": ["evictionMinimumReclaim", "quantity"],
    "evictionMaxPodGracePeriod: -1": ["evictionMaxPodGracePeriod", "0"],
  };
  for (const [text, [field, expected]] of Object.entries(wrong)) {
    const [problem] = parse(text).problems;
    assertEquals(problem?.field, field, text);
    assertStringIncludes(problem?.message ?? "", expected!);
  }
});

Deno.test("when unused images go: ages, and how full the disk may be", () => {
  const minute = 60_000;
  assertEquals(parse("").config.node.images, { minimumAge: 2 * minute, maximumAge: 0, high: 85, low: 80 });
  const { config, problems } = parse("imageMaximumGCAge: 12h\nimageGCHighThresholdPercent: 100");
  assertEquals([config.node.images.maximumAge, config.node.images.high, problems], [720 * minute, 100, []]);
  for (
    const [text, words] of [
      ["imageMaximumGCAge: 1m", "is 1m0s: expected 0s, or at least imageMinimumGCAge, 2m"],
      ["imageGCHighThresholdPercent: 80", "expected less than imageGCHighThresholdPercent"],
    ] as const
  ) assertStringIncludes(parse(text).problems.map((p) => p.message).join(), words);
});
