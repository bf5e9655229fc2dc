import { assertEquals } from "@std/assert";
import { createVolumeMeter } from "../../../../agent/node/volume_meter.ts";
import type { VolumeStats } from "../../../../agent/model/volume_stats.ts";
import { noObjects } from "../../../../agent/model/wish.ts";
import { createStatusStore } from "../../../../agent/status_store.ts";
import { createFakeHost } from "../../../fakes/host.ts";

const { signal } = new AbortController();
const amounts = { total: 9, used: 4, available: 5 };

function createStage(answers: (() => Promise<VolumeStats | undefined>)[], maxAge = 60_000) {
  const host = createFakeHost({});
  const store = createStatusStore();
  store.setObjects({
    ...noObjects,
    persistentVolumeClaims: new Map([["shop/sold", { spec: { volumeName: "pv" } }]]),
    persistentVolumes: new Map([["pv", { metadata: { name: "pv" }, spec: { local: { path: "/srv" } } }]]),
  });
  store.putPod({
    metadata: { name: "web", namespace: "shop", uid: "u1" },
    spec: {
      containers: [],
      volumes: [
        { name: "data", persistentVolumeClaim: { claimName: "sold" } },
        { name: "own", csi: { driver: "d" } },
        { name: "lost", persistentVolumeClaim: { claimName: "unbound" } },
        { name: "cache", emptyDir: {} },
      ],
    },
  });
  const asked: string[] = [];
  const meter = createVolumeMeter({
    host,
    store,
    maxAge,
    ask: (uid, name) => {
      asked.push(`${uid} ${name}`);
      return answers.shift()!();
    },
  }, signal);
  const look = async () => (await meter.look(signal)).get("u1") ?? [];
  return { host, store, asked, look };
}

Deno.test("a directory is its file system, a driver is asked at most once in the period", async () => {
  const s = createStage([
    () => Promise.resolve({ bytes: amounts }),
    () => Promise.resolve({ bytes: amounts }),
  ]);
  const [data, own, ...rest] = await s.look();
  assertEquals(data, {
    name: "data",
    claim: "sold",
    at: s.host.now(),
    stats: {
      bytes: { total: 2 ** 30, available: 2 ** 29, used: 2 ** 29 },
      inodes: { total: 1000, available: 900, used: 100 },
    },
  });
  assertEquals([own, rest], [{ name: "own", at: s.host.now(), stats: { bytes: amounts } }, []]);
  await s.host.advance(59_000);
  await s.look();
  assertEquals(s.asked, ["u1 own"]);
  await s.host.advance(1_000);
  await s.look();
  assertEquals(s.asked.length, 2);
  s.store.removePod("u1");
  assertEquals(await s.look(), []);
});

Deno.test("what hangs is as old as it says, what fails is absent", async () => {
  const hung = Promise.withResolvers<VolumeStats>();
  const s = createStage([
    () => Promise.resolve({ bytes: amounts }),
    () => hung.promise,
    () => Promise.reject(new Error("no")),
  ]);
  const own = async () => (await s.look()).find((v) => v.name === "own")?.at;
  const first = s.host.now();
  assertEquals(await own(), first);
  await s.host.advance(60_000);
  const late = own();
  await s.host.advance(1_000);
  assertEquals(await late, first);
  hung.resolve({ bytes: amounts });
  await hung.promise;
  await s.host.advance(59_000);
  assertEquals(await own(), undefined);
  assertEquals(s.asked.length, 3);
});

Deno.test("a period below zero measures nothing", async () => {
  const s = createStage([], -1);
  assertEquals([await s.look(), s.asked], [[], []]);
});
