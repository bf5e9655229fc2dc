import { assertEquals, assertMatch } from "@std/assert";
import { createCorrelator } from "../../../../../agent/cluster/report/correlate.ts";
import { reportEvents } from "../../../../../agent/cluster/report/events.ts";
import { staticPodUid } from "../../../../../agent/model/hash.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import type { AgentEvent } from "../../../../../agent/model/status_types.ts";
import { createStatusStore } from "../../../../../agent/status_store.ts";
import { type Cluster, startCluster } from "../../../../fakes/cluster/cluster.ts";
import { find } from "../../../../fakes/cluster/world.ts";
import { until } from "../../../../fakes/until.ts";
import { connected } from "../connected.ts";

const t0 = Date.UTC(2026, 0, 1);
const node = { commonName: "system:node:box", organizations: ["system:nodes"] };
const web = { kind: "Pod", namespace: "default", name: "web", uid: "u1" };

const event = (message: string, more: Partial<AgentEvent> = {}): AgentEvent => ({
  type: "Warning",
  reason: "BackOff",
  message,
  object: web,
  count: 1,
  firstTimestamp: t0,
  lastTimestamp: t0,
  ...more,
});

const eventsOf = (cluster: Cluster) =>
  cluster.world.store.list(find("Event"), undefined) as unknown as Record<string, unknown>[];

const came = (cluster: Cluster, count: number) =>
  until(`${count} events`, () => eventsOf(cluster).length === count);
const written = (cluster: Cluster) =>
  cluster.requests.filter((r) => r.path.includes("/events")).map((r) => r.method);

async function withReport(
  test: (cluster: Cluster, store: ReturnType<typeof createStatusStore>) => Promise<void>,
): Promise<void> {
  await using cluster = await startCluster();
  using api = await connected(cluster, { subject: node });
  const [store, stop] = [createStatusStore(), new AbortController()];
  const rate = { qps: 0, burst: 0 };
  const now = () => t0;
  const random = () => 0;
  const reporting = reportEvents(
    { api, nodeName: "box", store, now, log: silentLog, rate, random },
    stop.signal,
  );
  try {
    await test(cluster, store);
  } finally {
    stop.abort();
    await reporting;
  }
}

Deno.test("an event is written once, in the kubelet's form, and then only its count grows", () =>
  withReport(async (cluster, store) => {
    const { count: _count, firstTimestamp: _first, lastTimestamp: _last, ...said } = event("no luck", {
      fieldPath: "spec.containers{web}",
    });
    store.addEvent(said, t0);
    await came(cluster, 1);
    store.addEvent(said, t0 + 5000);
    await until("counted", () => eventsOf(cluster)[0]?.count === 2);
    const [{ metadata, ...object }] = eventsOf(cluster) as [
      { metadata: { name: string; namespace: string } },
    ];
    assertMatch(metadata.name, /^web\.[0-9a-f]+$/);
    assertEquals(metadata.namespace, "default");
    assertEquals(object, {
      apiVersion: "v1",
      kind: "Event",
      involvedObject: {
        apiVersion: "v1",
        kind: "Pod",
        name: "web",
        namespace: "default",
        uid: "u1",
        fieldPath: "spec.containers{web}",
      },
      type: "Warning",
      reason: "BackOff",
      message: "no luck",
      source: { component: "kubelet", host: "box" },
      count: 2,
      firstTimestamp: "2026-01-01T00:00:00Z",
      lastTimestamp: "2026-01-01T00:00:05Z",
      reportingComponent: "kubelet",
      reportingInstance: "box",
    });
    assertEquals(written(cluster), ["POST", "PATCH"]);
  }));

Deno.test("while the API server is away events wait, each with its newest count; one that it refuses is passed over", () =>
  withReport(async (cluster, store) => {
    await cluster.pause();
    for (const name of ["a", "b", "a"]) store.addEvent({ ...event(name), object: { ...web, name } }, t0);
    store.addEvent(event("x", { object: { kind: "Pod", namespace: "no/such", name: "x", uid: "u" } }), t0);
    store.addEvent(event("Starting", { object: { kind: "Node", name: "box" } }), t0);
    await cluster.resume();
    await came(cluster, 3);
    assertEquals(
      eventsOf(cluster).map((e) => [e.message, e.count]),
      [["a", 2], ["b", 1], ["Starting", 1]],
    );
  }));

Deno.test("an event of a static pod is found by its mirror's name and hash, as kubectl looks for it", () =>
  withReport(async (cluster, store) => {
    const uid = staticPodUid("box", "default", "web");
    const annotations = { "kubernetes.io/config.source": "file", "kubernetes.io/config.hash": "h1" };
    store.putPod({ metadata: { name: "web", namespace: "default", uid, annotations } });
    store.addEvent(event("a", { object: { ...web, uid } }), t0);
    await came(cluster, 1);
    const [{ involvedObject }] = eventsOf(cluster) as unknown as [{ involvedObject: Record<string, string> }];
    assertEquals([involvedObject.name, involvedObject.uid], ["web-box", "h1"]);
  }));

Deno.test("an event that the API server has forgotten is written anew", () =>
  withReport(async (cluster, store) => {
    store.addEvent(event("a"), t0);
    await came(cluster, 1);
    const [kept] = cluster.world.store.list(find("Event"));
    cluster.world.store.remove(find("Event"), kept!);
    store.addEvent(event("a"), t0);
    await came(cluster, 1);
    assertEquals(eventsOf(cluster)[0]?.count, 2);
  }));

Deno.test("the tenth message of one kind within ten minutes is combined with all that follow", () => {
  const { correlate } = createCorrelator();
  const said = Array.from({ length: 12 }, (_, i) => correlate(event(`try ${i}`), t0 + i)!);
  assertEquals(said.slice(0, 9).map((c) => c.event.message), said.slice(0, 9).map((_, i) => `try ${i}`));
  assertEquals(said.slice(9).map((c) => [c.event.message, c.event.count]), [
    ["(combined from similar events): try 9", 1],
    ["(combined from similar events): try 10", 2],
    ["(combined from similar events): try 11", 3],
  ]);
  assertEquals(new Set(said.map((c) => c.key)).size, 10);
  assertEquals(correlate(event("try 3"), t0 + 20)?.event.message, "try 3");
  assertEquals(correlate(event("later"), t0 + 700_000)?.event.message, "later");
});

Deno.test("an object that never stops is heard once in five minutes, others are not held up", () => {
  const { correlate } = createCorrelator();
  const heard = Array.from({ length: 40 }, (_, i) => correlate(event("again", { count: i + 1 }), t0));
  assertEquals(heard.filter((c) => c !== undefined).length, 25);
  assertEquals(correlate(event("again"), t0 + 299_000), undefined);
  assertEquals(correlate(event("again"), t0 + 300_000)?.event.message, "again");
  assertEquals(correlate(event("again", { object: { ...web, name: "other" } }), t0)?.event.message, "again");
});
