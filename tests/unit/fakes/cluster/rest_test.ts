/** The double's verbs, over HTTPS: what is written, how it is refused, what deletion does, what lists and watches tell. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { startCluster } from "../../../fakes/cluster/cluster.ts";
import { asAdmin, asker, first, pod, pods } from "./asking.ts";

const configMaps = "/api/v1/namespaces/default/configmaps";
const configMap = (name: string, data: Record<string, string> = {}, labels: Record<string, string> = {}) => ({
  metadata: { name, labels },
  data,
});

Deno.test("objects are created, changed and refused as the API server does it", async () => {
  await using cluster = await startCluster();
  using admin = await asAdmin(cluster);
  const created = await admin.ask("POST", pods, pod("web"));
  assertEquals(created.status, 201);
  const { metadata, spec, status } = created.body;
  assertMatch(metadata.uid, /^[0-9a-f-]{36}$/);
  assertMatch(metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assertEquals([metadata.generation, status], [1, { phase: "Pending", qosClass: "BestEffort" }]);
  assertEquals([spec?.serviceAccountName, spec?.restartPolicy], ["default", "Always"]);

  const again = await admin.ask("POST", pods, pod("web"));
  assertEquals([again.status, again.body.reason, again.body.message], [
    409,
    "AlreadyExists",
    'pods "web" already exists',
  ]);
  assertEquals((await admin.ask("POST", pods, pod("No"))).body.reason, "Invalid");
  assertEquals((await admin.ask("POST", "/api/v1/namespaces/gone/pods", pod("web"))).status, 404);
  assertEquals((await admin.ask("GET", `${pods}/none`)).body.message, 'pods "none" not found');
  assertEquals((await admin.ask("GET", "/api/v1/wonders")).status, 404);
  assertEquals((await admin.ask("POST", pods, "{")).status, 400);
  assertEquals((await admin.ask("PATCH", `${pods}/web`, {}, "text/plain")).status, 415);

  const image = { spec: { containers: [{ name: "c", image: "i:2" }] } };
  const strategic = "application/strategic-merge-patch+json";
  const patched = await admin.ask("PATCH", `${pods}/web`, image, strategic);
  assertEquals([patched.status, patched.body.metadata.generation], [200, 2]);
  const nothing = await admin.ask("PATCH", `${pods}/web`, image, strategic);
  assertEquals(nothing.body.metadata.resourceVersion, patched.body.metadata.resourceVersion);
  const host = await admin.ask("PATCH", `${pods}/web`, { spec: { hostNetwork: true } }, strategic);
  assertEquals([host.status, host.body.reason], [422, "Invalid"]);

  const stale = await admin.ask("PUT", `${pods}/web`, created.body);
  assertEquals([stale.status, stale.body.reason], [409, "Conflict"]);
  const other = { metadata: { uid: "other" }, status: { phase: "Running" } };
  assertEquals((await admin.ask("PATCH", `${pods}/web/status`, other, strategic)).status, 409);
});

Deno.test("a status is written apart from the rest, and keeps what the API server keeps", async () => {
  await using cluster = await startCluster();
  using admin = await asAdmin(cluster);
  await admin.ask("POST", pods, pod("web"));
  const strategic = "application/strategic-merge-patch+json";
  const ready = { type: "Ready", status: "True", observedGeneration: 1 };
  const first = await admin.ask("PATCH", `${pods}/web/status`, {
    status: { phase: "Running", observedGeneration: 1, conditions: [ready] },
    spec: { hostNetwork: true },
  }, strategic);
  assertEquals(first.body.status?.phase, "Running");
  assertEquals([first.body.spec?.hostNetwork, first.body.metadata.generation], [undefined, 1]);
  const whole = {
    ...first.body,
    status: { phase: "Running", conditions: [{ type: "Ready", status: "False" }] },
  };
  const second = await admin.ask("PUT", `${pods}/web/status`, whole);
  assertEquals(second.body.status, {
    phase: "Running",
    qosClass: "BestEffort",
    observedGeneration: 1,
    conditions: [{ type: "Ready", status: "False", observedGeneration: 1 }],
  });
});

Deno.test("deletion waits for a pod's node and for finalizers, and is refused for another uid", async () => {
  await using cluster = await startCluster({ now: () => Date.UTC(2026, 0, 1) });
  using admin = await asAdmin(cluster);
  const { uid } = (await admin.ask("POST", pods, pod("web", { nodeName: "box" }))).body.metadata;
  const leaving = await admin.ask("DELETE", `${pods}/web`);
  const { deletionTimestamp, deletionGracePeriodSeconds } = leaving.body.metadata;
  assertEquals([deletionTimestamp, deletionGracePeriodSeconds], ["2026-01-01T00:00:30Z", 30]);
  const now = (precondition: string) => ({ gracePeriodSeconds: 0, preconditions: { uid: precondition } });
  assertEquals((await admin.ask("DELETE", `${pods}/web`, now("another"))).status, 409);
  assertEquals((await admin.ask("DELETE", `${pods}/web`, now(uid))).status, 200);
  assertEquals((await admin.ask("GET", `${pods}/web`)).status, 404);

  await admin.ask("POST", configMaps, { metadata: { name: "held", finalizers: ["example.com/hold"] } });
  await admin.ask("DELETE", `${configMaps}/held`);
  assert((await admin.ask("GET", `${configMaps}/held`)).body.metadata.deletionTimestamp !== undefined);
  await admin.ask(
    "PATCH",
    `${configMaps}/held`,
    { metadata: { finalizers: null } },
    "application/merge-patch+json",
  );
  assertEquals((await admin.ask("GET", `${configMaps}/held`)).status, 404);
});

Deno.test("lists are selected, cut into pages that stay of one moment, and expire with the history", async () => {
  await using cluster = await startCluster();
  using admin = await asAdmin(cluster);
  for (const name of ["a", "b", "c", "d"]) {
    await admin.ask(
      "POST",
      configMaps,
      configMap(name, {}, { parity: "bd".includes(name) ? "even" : "odd" }),
    );
  }
  const names = async (query: string) => {
    const { body } = await admin.ask("GET", `${configMaps}?${query}`);
    return body.items.map((o) => o.metadata.name).join();
  };
  assertEquals(await names("labelSelector=parity%3Deven"), "b,d");
  assertEquals(await names("labelSelector=parity+in+(odd,none),!other"), "a,c");
  assertEquals(await names("labelSelector=parity+notin+(odd)"), "b,d,kube-root-ca.crt");
  assertEquals(await names("fieldSelector=metadata.name%3Dc"), "c");
  assertEquals((await admin.ask("GET", `${configMaps}?fieldSelector=data.a%3Dc`)).status, 400);

  const page = await admin.ask("GET", `${configMaps}?limit=2`);
  const token = (page.body.metadata as unknown as { continue: string }).continue;
  await admin.ask("DELETE", `${configMaps}/c`);
  assertEquals(page.body.items.map((o) => o.metadata.name), ["a", "b"]);
  assertEquals(await names(`limit=2&continue=${token}`), "c,d");
  cluster.world.store.compact();
  const late = await admin.ask("GET", `${configMaps}?limit=2&continue=${token}`);
  assertEquals([late.status, late.body.reason], [410, "Expired"]);
  const future = await admin.ask(
    "GET",
    `${configMaps}?resourceVersion=999999&resourceVersionMatch=NotOlderThan`,
  );
  assertEquals([future.status, future.body.reason], [504, "Timeout"]);
});

Deno.test("a watch tells what enters and leaves its selection, then ends with its time; too old a start is 410", async () => {
  await using cluster = await startCluster({ settings: { bookmarkEvery: 20 } });
  using admin = await asAdmin(cluster);
  const start =
    (await admin.ask("POST", configMaps, configMap("a", {}, { on: "yes" }))).body.metadata.resourceVersion;
  const query = "watch=true&labelSelector=on%3Dyes&resourceVersion=";
  const seen = first(3, admin.watch(`${configMaps}?${query}${start}`));
  const label = (on: string) =>
    admin.ask("PATCH", `${configMaps}/a`, { metadata: { labels: { on } } }, "application/merge-patch+json");
  await label("no");
  await label("yes");
  const last = await admin.ask("DELETE", `${configMaps}/a`);
  assertEquals(last.status, 200);
  const events = await seen;
  assertEquals(events.map((e) => e.type), ["DELETED", "ADDED", "DELETED"]);
  assertEquals(events[0]!.object.metadata.labels, { on: "yes" });
  assert(Number(events[0]!.object.metadata.resourceVersion) > Number(start));

  const marked = first(
    2,
    admin.watch(`${configMaps}?watch=true&allowWatchBookmarks=true&resourceVersion=${start}`),
  );
  assertEquals((await marked).length, 2);
  const timed = await first(
    99,
    admin.watch(`${configMaps}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dnone`),
  );
  assertEquals(timed, []);
  cluster.world.store.compact();
  const [old] = await first(1, admin.watch(`${configMaps}?watch=true&resourceVersion=${start}`));
  assertEquals([old?.type, (old?.object as unknown as { code: number }).code], ["ERROR", 410]);
});

Deno.test("a watch-list begins with all that is there and says where that ends", async () => {
  await using cluster = await startCluster();
  using admin = await asAdmin(cluster);
  await admin.ask("POST", configMaps, configMap("a"));
  const initial = "watch=true&sendInitialEvents=true&allowWatchBookmarks=true";
  assertEquals((await admin.ask("GET", `${configMaps}?${initial}`)).status, 422);
  const events = await first(3, admin.watch(`${configMaps}?${initial}&resourceVersionMatch=NotOlderThan`));
  assertEquals(events.map((e) => [e.type, e.object.metadata.name]), [
    ["ADDED", "a"],
    ["ADDED", "kube-root-ca.crt"],
    ["BOOKMARK", undefined],
  ]);
  assertEquals(events[2]!.object.metadata.annotations, { "k8s.io/initial-events-end": "true" });
});

Deno.test("faults: refused, dropped, slow, told to wait, garbage, half an event", async () => {
  await using cluster = await startCluster();
  using admin = await asAdmin(cluster);
  const on = (path: string) => ({ when: (seen: { path: string }) => seen.path === path, times: 1 });
  cluster.faults.add({ ...on(pods), answer: { status: 429, retryAfter: 2 } });
  const wait = await admin.ask("GET", pods);
  assertEquals([wait.status, wait.headers.get("retry-after"), wait.body.reason], [
    429,
    "2",
    "TooManyRequests",
  ]);
  assertEquals((await admin.ask("GET", pods)).status, 200);
  cluster.faults.add({ ...on(pods), answer: "garbage" });
  assert(await admin.ask("GET", pods).then(() => false, (error) => error instanceof SyntaxError));
  cluster.faults.add({ ...on(pods), answer: "drop" });
  assert(await admin.ask("GET", pods).then(() => false, () => true));

  const events = admin.watch(`${configMaps}?watch=true`);
  assertEquals((await events.next()).value?.type, "ADDED");
  cluster.cutWatches({ half: true });
  assert(await events.next().then(() => false, () => true));
  await cluster.pause();
  assert(await admin.ask("GET", pods).then(() => false, () => true));
  await cluster.resume();
  using later = asker(cluster);
  assertEquals((await later.ask("GET", "/version")).status, 200);
});
