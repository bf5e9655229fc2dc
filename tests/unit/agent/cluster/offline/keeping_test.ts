/** When is kept what the API server wants, and when it is said again. */
import { assertEquals } from "@std/assert";
import { createKeeping } from "../../../../../agent/cluster/offline/keeping.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import type { Snapshot } from "../../../../../agent/model/wish.ts";
import { createFakeHost, type FakeHost } from "../../../../fakes/host.ts";
import { until } from "../../../../fakes/until.ts";
import { cacheOn, machine, podOf, secretOf, snapshotOf } from "./world.ts";

const path = "/state/offline.sealed";

/** An agent's life, from its start to its stop. `time` is its clock, in ms. */
async function life(
  host: FakeHost,
  work: (lab: {
    publish(snapshot: Snapshot): void;
    seen: Snapshot[];
    told: string[][];
    time: { ms: number };
    writes(): number;
  }) => Promise<void>,
  size = 1e6,
): Promise<void> {
  const leaving = new AbortController();
  const time = { ms: 0 };
  const [seen, told] = [[] as Snapshot[], [] as string[][]];
  const keeping = createKeeping({
    cache: cacheOn(host, []),
    limits: { pods: 100, size },
    clock: { now: () => time.ms, monotonic: () => time.ms + performance.now() },
    log: silentLog,
    answers: () => true,
    publish: (snapshot) => seen.push(snapshot),
    report: (sentences) => told.push([...sentences]),
  });
  const running = keeping.run(leaving.signal);
  const writes = () => host.changes.filter((c) => c === `writeFileAtomic ${path}`).length;
  try {
    await work({ publish: keeping.publish, seen, told, time, writes });
  } finally {
    leaving.abort();
    await running;
  }
}

const namesOf = (snapshot: Snapshot | undefined) => [...snapshot?.pods.keys() ?? []];

Deno.test("the next life begins with what was known in the last, until the API server has spoken", async () => {
  const host = createFakeHost({ files: machine });
  await life(host, ({ publish }) => {
    publish(snapshotOf([podOf("web")], [secretOf("web", "x")]));
    return Promise.resolve();
  });
  await life(host, async ({ publish, seen }) => {
    await until("it speaks", () => seen.length === 1);
    assertEquals([namesOf(seen[0]), seen[0]?.readable], [["default/web"], false]);
    assertEquals(seen[0]?.secrets.get("default/web"), secretOf("web", "x"));
    publish(snapshotOf([]));
    assertEquals([namesOf(seen[1]), seen[1]?.readable], [[], undefined]);
  });
  await life(host, async ({ seen }) => {
    await until("it speaks", () => seen.length === 1);
    assertEquals(namesOf(seen[0]), []);
  });
});

Deno.test("once the API server has spoken nothing older is said", async () => {
  const host = createFakeHost({ files: machine });
  await life(host, ({ publish }) => Promise.resolve(publish(snapshotOf([podOf("old")]))));
  await life(host, async ({ publish, seen, writes }) => {
    publish(snapshotOf([podOf("new")]));
    await until("it is kept", () => writes() === 2);
    assertEquals(seen.map(namesOf), [["default/new"]]);
  });
});

Deno.test("changes are written together and seldom; what changes nothing is not written", async () => {
  const host = createFakeHost({ files: machine });
  await life(host, async ({ publish, time, writes }) => {
    for (let n = 0; n < 50; n++) publish(snapshotOf([podOf("web", { annotations: { n: `${n}` } })]));
    await until("it is kept", () => writes() === 1);
    publish(snapshotOf([podOf("web", { annotations: { n: "49" }, resourceVersion: "7" })]));
    time.ms += 60_000;
    publish(snapshotOf([podOf("web", { annotations: { n: "50" } })]));
    await until("the change is kept", () => writes() === 2);
    publish(snapshotOf([podOf("web", { annotations: { n: "51" } })]));
    assertEquals(writes(), 2);
  });
  assertEquals(host.changes.filter((c) => c.endsWith(path)).length, 3);
});

Deno.test("who does not fit, and what cannot be written, is told", async () => {
  const host = createFakeHost({ files: machine });
  await life(host, async ({ publish, told }) => {
    publish(snapshotOf([podOf("web", { annotations: { a: "x".repeat(2000) } })]));
    await until("it is told", () => told.length === 1);
    assertEquals(told[0]?.[0]?.includes("1 pods do not fit into what is kept"), true);
    assertEquals(told[0]?.[0]?.endsWith(": default/web"), true);
  }, 1000);
  host.fail("writeFileAtomic", path, new Error("disk full"));
  await life(host, async ({ publish, told }) => {
    publish(snapshotOf([podOf("web")]));
    await until("it is told", () => told.length === 1);
    assertEquals(told[0]?.[0]?.endsWith("disk full"), true);
  });
});
