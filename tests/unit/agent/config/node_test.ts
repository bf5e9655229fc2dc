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
  const { problems } = parse("evictionHard: {memory.available: much}");
  assertEquals(problems.map((p) => p.field), ["evictionHard"]);
});
