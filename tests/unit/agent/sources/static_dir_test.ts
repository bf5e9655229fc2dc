import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { mergeSnapshots } from "../../../../agent/sources/merge.ts";
import { createFakeHost, type FakeHost } from "../../../fakes/host.ts";
import { image, pod, start, withError } from "./watching.ts";

Deno.test("a file that is there becomes a pod with node name, uid and annotations", async () => {
  const run = start(createFakeHost({ files: { "/manifests/web.yaml": pod("web") } }));
  await run.host.advance(0);
  const desired = run.newest().pods.get("default/web")!;
  assertEquals(desired.origin, "/manifests/web.yaml");
  assertEquals(desired.source, "file");
  assertEquals(desired.pod.spec?.nodeName, "node1");
  assertEquals(desired.pod.metadata?.uid, desired.uid);
  assertEquals(desired.pod.metadata?.annotations?.["kubernetes.io/config.source"], "file");
  const { origins } = mergeSnapshots(new Map([["file", run.newest()]]), ["file"]);
  assertEquals(origins, new Map([["Pod default/web", "/manifests/web.yaml"]]));
  await run.stop();
});

Deno.test("files come, change and go without a clock tick more than needed", async () => {
  const run = start(createFakeHost({ files: { "/manifests/a.yaml": pod("a") } }));
  const { host } = run;
  await host.advance(0);
  const uid = run.newest().pods.get("default/a")?.uid;
  await host.writeFile("/manifests/b.yaml", pod("b"));
  await host.settle();
  assertEquals(run.pods(), ["default/a", "default/b"]);
  await host.writeFileAtomic("/manifests/a.yaml", pod("a", "demo:2"));
  await host.settle();
  assertEquals(image(run.newest(), "default/a"), "demo:2");
  assertEquals(run.newest().pods.get("default/a")?.uid, uid, "an edited pod stays the same pod");
  await host.remove("/manifests/b.yaml");
  await host.settle();
  assertEquals(run.pods(), ["default/a", "default/b"], "editors leave a name unused for an instant");
  await host.advance(100);
  assertEquals(run.pods(), ["default/a"]);
  await run.stop();
});

Deno.test("an editor that renames away and writes anew does not remove the pod", async () => {
  const run = start(createFakeHost({ files: { "/manifests/web.yaml": pod("web") } }));
  const { host } = run;
  await host.advance(0);
  await host.rename("/manifests/web.yaml", "/manifests/web.yaml~");
  await host.settle();
  await host.advance(20);
  await host.writeFile("/manifests/web.yaml", pod("web", "demo:2"));
  await host.advance(500);
  assert(run.snapshots.every((s) => s.pods.has("default/web")));
  assertEquals(image(run.newest(), "default/web"), "demo:2");
  await run.stop();
});

Deno.test("a half-written file is not judged until it is quiet", async () => {
  const run = start(createFakeHost({ files: { "/manifests/web.yaml": pod("web") } }));
  const { host } = run;
  await host.advance(1_000);
  await host.writeFile("/manifests/web.yaml", "");
  await host.advance(50);
  await host.writeFile("/manifests/web.yaml", pod("web", "demo:2").slice(0, 60));
  await host.advance(50);
  assertEquals(run.snapshots.length, 1);
  await host.writeFile("/manifests/web.yaml", pod("web", "demo:2"));
  await host.settle();
  assertEquals(image(run.newest(), "default/web"), "demo:2");
  assertEquals(run.newest().problems, []);
  await run.stop();
});

Deno.test("a broken edit keeps the pod and shows the problem with its place until it is mended", async () => {
  const run = start(createFakeHost({ files: { "/manifests/web.yaml": pod("web") } }));
  const { host } = run;
  await host.advance(1_000);
  await host.writeFile("/manifests/web.yaml", pod("web", "demo:2").replace("image:", "imagee:"));
  await host.advance(400);
  const broken = await run.until((s) => s.problems.some((p) => p.line !== undefined));
  assertEquals(image(broken, "default/web"), "demo:1");
  const problem = broken.problems.find((p) => p.field === "spec.containers[0].imagee");
  assertEquals([problem?.line, problem?.column], [6, 20]);
  assert(broken.problems.some((p) => p.message.startsWith("stays as in the last version")));
  await host.writeFile("/manifests/web.yaml", pod("web", "demo:3"));
  await host.settle();
  assertEquals(run.newest().problems, []);
  assertEquals(image(run.newest(), "default/web"), "demo:3");
  await run.stop();
});

Deno.test("a shortened file removes what is gone from it, once it is quiet", async () => {
  const run = start(createFakeHost({ files: { "/manifests/all.yaml": `${pod("a")}---\n${pod("b")}` } }));
  const { host } = run;
  await host.advance(1_000);
  await host.writeFile("/manifests/all.yaml", pod("a"));
  await host.advance(100);
  assertEquals(run.pods(), ["default/a", "default/b"]);
  await host.advance(300);
  assertEquals(run.pods(), ["default/a"]);
  await run.stop();
});

Deno.test("a broken document leaves its siblings alone", async () => {
  const run = start(createFakeHost({ files: { "/manifests/all.yaml": `${pod("a")}---\n${pod("b")}` } }));
  const { host } = run;
  await host.advance(1_000);
  await host.writeFile("/manifests/all.yaml", `${pod("a", "demo:2")}---\nkind: [\n---\n${pod("c")}`);
  await host.advance(400);
  await run.until(withError);
  assertEquals(run.pods(), ["default/a", "default/b", "default/c"]);
  assertEquals(image(run.newest(), "default/a"), "demo:2");
  await run.stop();
});

Deno.test("a directory that goes away keeps everything; one that is empty has nothing", async () => {
  const run = start(createFakeHost({ files: { "/manifests/web.yaml": pod("web") } }));
  const { host } = run;
  await host.advance(1_000);
  await host.removeTree("/manifests");
  await host.advance(1_000);
  assertEquals(run.pods(), ["default/web"]);
  assertStringIncludes(run.errors()[0]!, "does not exist");
  await host.mkdir("/manifests");
  await host.advance(1_000);
  assertEquals(run.pods(), []);
  assertEquals(run.errors(), []);
  await host.writeFile("/manifests/web.yaml", pod("web"));
  await host.settle();
  assertEquals(run.pods(), ["default/web"]);
  await run.stop();
});

Deno.test("what cannot be read keeps what it said: permission, a dangling link, not UTF-8, too large", async () => {
  const cases: [string, (host: FakeHost) => Promise<void> | void, string][] = [
    [
      "permission",
      (h) => h.fail("readFile", "/manifests/web.yaml", new Error("permission denied")),
      "permission",
    ],
    ["link", async (h) => {
      await h.remove("/manifests/web.yaml");
      await h.symlink("/nowhere", "/manifests/web.yaml");
    }, "is a link to a file that does not exist"],
    [
      "not UTF-8",
      (h) => h.writeFile("/manifests/web.yaml", Uint8Array.of(0x61, 0xff, 0x0a)),
      "expected UTF-8",
    ],
    [
      "too large",
      (h) => h.writeFile("/manifests/web.yaml", new Uint8Array(10 * 1024 * 1024 + 1)),
      "larger than",
    ],
  ];
  for (const [name, breakIt, message] of cases) {
    const run = start(createFakeHost({ files: { "/manifests/web.yaml": pod("web") } }));
    await run.host.advance(1_000);
    await breakIt(run.host);
    await run.host.writeFile("/manifests/other.yaml", pod("other"));
    await run.host.advance(1_000);
    assertEquals(run.pods(), ["default/other", "default/web"], name);
    assertStringIncludes(run.errors()[0] ?? "", message);
    await run.stop();
  }
});

Deno.test("a copy in another file never replaces the file that described the pod first", async () => {
  const run = start(createFakeHost({ files: { "/manifests/web.yaml": pod("web", "demo:2") } }));
  const { host } = run;
  await host.advance(1_000);
  await host.writeFile("/manifests/a-copy.yaml", pod("web", "demo:1"));
  await host.settle();
  assertEquals(image(run.newest(), "default/web"), "demo:2");
  assertEquals(run.newest().problems.map((p) => p.file), ["/manifests/a-copy.yaml"]);
  await host.remove("/manifests/web.yaml");
  await host.advance(1_000);
  assertEquals(image(run.newest(), "default/web"), "demo:1");
  assertEquals(run.newest().problems, []);
  await run.stop();
});

Deno.test("a file that is renamed leaves its pod alone", async () => {
  const run = start(createFakeHost({ files: { "/manifests/a.yaml": pod("web") } }));
  const { host } = run;
  await host.advance(1_000);
  const uid = run.newest().pods.get("default/web")?.uid;
  await host.rename("/manifests/a.yaml", "/manifests/b.yaml");
  await host.advance(1_000);
  assert(run.snapshots.every((s) => s.pods.get("default/web")?.uid === uid));
  assertEquals(run.newest().pods.get("default/web")?.origin, "/manifests/b.yaml");
  assertEquals(run.newest().problems, []);
  await run.stop();
});

Deno.test("links in the style of mounted ConfigMaps are followed when they swing", async () => {
  const host = createFakeHost({
    files: { "/store/1/web.yaml": pod("web"), "/store/2/web.yaml": pod("web", "demo:2") },
  });
  await host.mkdir("/manifests");
  await host.symlink("/store/1", "/manifests/..data");
  await host.symlink("..data/web.yaml", "/manifests/web.yaml");
  const run = start(host);
  await host.advance(1_000);
  assertEquals(image(run.newest(), "default/web"), "demo:1");
  await host.symlink("/store/2", "/manifests/..new");
  await host.rename("/manifests/..new", "/manifests/..data");
  await host.settle();
  assertEquals(image(run.newest(), "default/web"), "demo:2");
  assertEquals(run.newest().problems, []);
  await run.stop();
});

Deno.test("leftovers of editors are passed over; other names are warned about", async () => {
  const files: Record<string, string> = {};
  const ignored = [
    ".hidden.yaml",
    "a.yaml~",
    "a.yaml.swp",
    "#a.yaml#",
    "a.yaml.bak",
    "a.yaml.orig",
    "a.yaml.tmp",
  ];
  for (const name of [...ignored, "a.yaml.dpkg-new", "a.yaml.rpmsave"]) {
    files[`/manifests/${name}`] = pod("ghost");
  }
  files["/manifests/README"] = "text";
  files["/manifests/deeper/b.yaml"] = pod("deeper");
  const run = start(createFakeHost({ files }));
  await run.host.advance(0);
  assertEquals(run.pods(), []);
  assertEquals(run.newest().problems.map((p) => [p.severity, p.file]), [["warning", "/manifests/README"]]);
  await run.stop();
});

Deno.test("no change makes no snapshot, reads no file and writes nothing", async () => {
  const host = createFakeHost({ files: { "/manifests/web.yaml": pod("web") } });
  await host.mkdir("/state");
  const run = start(host, { lastGoodPath: "/state/last-good.json" });
  await host.advance(10_000);
  const changes = host.changes.length;
  host.fail("readFile", "/manifests/web.yaml", new Error("was read again"));
  await host.advance(600_000);
  assertEquals(run.snapshots.length, 1);
  assertEquals(host.changes.length, changes);
  await run.stop();
});

Deno.test("a lost event is made good by the slow look", async () => {
  const host = createFakeHost({ files: { "/manifests/web.yaml": pod("web") } });
  const silent = (signal: AbortSignal) => ({
    next: () =>
      new Promise<IteratorResult<void>>((resolve) =>
        signal.addEventListener("abort", () => resolve({ done: true, value: undefined }))
      ),
  });
  host.watch = (_directory, signal) => ({ [Symbol.asyncIterator]: () => silent(signal) });
  const run = start(host);
  await host.advance(1_000);
  await host.writeFile("/manifests/b.yaml", pod("b"));
  await host.advance(61_000);
  assertEquals(run.pods(), ["default/b", "default/web"]);
  await run.stop();
});

Deno.test("pods of files that did not change are the same values in every snapshot", async () => {
  const run = start(createFakeHost({ files: { "/manifests/a.yaml": pod("a") } }));
  await run.host.advance(1_000);
  const before = run.newest().pods.get("default/a");
  await run.host.writeFile("/manifests/b.yaml", pod("b"));
  await run.host.settle();
  assert(run.newest().pods.has("default/b"));
  assert(run.newest().pods.get("default/a") === before);
  await run.stop();
});

Deno.test("a broken file from the future is judged, too", async () => {
  const host = createFakeHost({ files: { "/manifests/web.yaml": "kind: [" } });
  const stat = host.stat;
  host.stat = async (path) => {
    const found = await stat(path);
    return found === undefined ? undefined : { ...found, mtimeMs: host.now() + 3_600_000 };
  };
  const run = start(host);
  await host.advance(100);
  assertStringIncludes(run.errors()[0]!, "not YAML");
  await run.stop();
});
