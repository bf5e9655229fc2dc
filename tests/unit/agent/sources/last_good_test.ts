/** What manifests described last is kept over a restart, for files that are broken or out of reach by then. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createFakeHost } from "../../../fakes/host.ts";
import { image, pod, start, withError } from "./watching.ts";

Deno.test("over a restart a file that is broken keeps the pod it described, for the owner's eyes only", async () => {
  const host = createFakeHost({ files: { "/manifests/web.yaml": pod("web") } });
  const lastGoodPath = "/state/agent/last-good.json";
  const first = start(host, { lastGoodPath });
  await host.advance(5_000);
  await first.stop();
  assertEquals(host.mode(lastGoodPath), 0o600);
  await host.writeFile("/manifests/web.yaml", "kind: Pod\napiVersion: [");
  await host.advance(5_000);
  const second = start(host, { lastGoodPath });
  await host.advance(0);
  const snapshot = await second.until(withError);
  assertEquals(image(snapshot, "default/web"), "demo:1");
  assert(second.snapshots.every((s) => s.pods.has("default/web")));
  await second.stop();
  await host.remove("/manifests/web.yaml");
  const third = start(host, { lastGoodPath });
  await host.advance(1_000);
  assertEquals(third.pods(), [], "a file that vanished meanwhile takes its pod with it");
  await third.stop();
});

Deno.test("leaving saves what was not saved yet; a damaged state file is a warning", async () => {
  const host = createFakeHost({ files: { "/manifests/web.yaml": pod("web") } });
  const first = start(host, { lastGoodPath: "/state/last-good.json" });
  await host.advance(0);
  await first.stop();
  assertStringIncludes(host.text("/state/last-good.json") ?? "", "demo:1");
  await host.writeFile("/state/last-good.json", "{");
  const second = start(host, { lastGoodPath: "/state/last-good.json" });
  await host.advance(5_000);
  assertEquals(second.newest().problems.map((p) => [p.severity, p.file]), [[
    "warning",
    "/state/last-good.json",
  ]]);
  assertEquals(second.pods(), ["default/web"]);
  await second.stop();
});

Deno.test("a directory that does not exist at the start is a problem, and the pods of before stay", async () => {
  const host = createFakeHost({ files: { "/manifests/web.yaml": pod("web") } });
  const first = start(host, { lastGoodPath: "/state/last-good.json" });
  await host.advance(5_000);
  await first.stop();
  await host.removeTree("/manifests");
  const second = start(host, { lastGoodPath: "/state/last-good.json" });
  await host.advance(0);
  assertEquals(second.pods(), ["default/web"]);
  assertEquals([second.errors().length, second.newest().readable], [1, false]);
  await second.stop();
});

Deno.test("a file that breaks right after a good edit is not waited for: the good version is kept at once", async () => {
  const host = createFakeHost({ files: { "/manifests/web.yaml": pod("web") } });
  const first = start(host, { lastGoodPath: "/state/last-good.json" });
  await host.advance(2000);
  await host.writeFile("/manifests/web.yaml", pod("web", "demo:2"));
  await host.settle();
  await host.writeFile("/manifests/web.yaml", "kind: [");
  await host.settle();
  assertStringIncludes(host.text("/state/last-good.json") ?? "", "demo:2");
  await first.stop();
});
