/** Keeping up with a collection, whatever the API server does. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Api } from "../../../../../agent/cluster/client/api.ts";
import { createWatchState, type WatchedObject } from "../../../../../agent/cluster/client/watch_state.ts";
import { watchObjects, type WatchOptions } from "../../../../../agent/cluster/client/watch_objects.ts";
import { heardApi } from "../../../../../agent/cluster/offline/heard.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import { pause } from "../../../../../agent/lib/pause.ts";
import { type Cluster, startCluster } from "../../../../fakes/cluster/cluster.ts";
import { made } from "../../../../fakes/cluster/controllers.ts";
import { kinds } from "../../../../fakes/cluster/world.ts";
import { until } from "../../../../fakes/until.ts";
import { connected, never } from "../connected.ts";

interface ConfigMap extends WatchedObject {
  data?: Record<string, string>;
}

/** `work` meets a watch of the ConfigMaps of a namespace, and sees what it saw. */
async function following(
  cluster: Cluster,
  options: Partial<WatchOptions<ConfigMap>>,
  work: (seen: { objects: Record<string, string>; told: string[][]; troubles: string[] }) => Promise<void>,
) {
  using api = await connected(cluster);
  const leaving = new AbortController();
  const seen = { objects: {} as Record<string, string>, told: [] as string[][], troubles: [] as string[] };
  const watching = watchObjects<ConfigMap>({
    api,
    path: "/api/v1/namespaces/w/configmaps",
    log: silentLog,
    changed(keys, objects) {
      seen.told.push([...keys].sort());
      seen.objects = Object.fromEntries([...objects].map(([key, o]) => [key.slice(2), o.data?.v ?? ""]));
    },
    troubled: (error) => seen.troubles.push(error?.reason ?? "mended"),
    pause: () => new Promise((resolve) => setTimeout(resolve, 1)),
    ...options,
  }, leaving.signal);
  try {
    await work(seen);
  } finally {
    leaving.abort();
    await watching;
  }
}

const put = ({ world }: Cluster, name: string, v: string) =>
  made(world, kinds.configMap, "w", name, { data: { v } });
const drop = ({ world }: Cluster, name: string) =>
  world.store.remove(kinds.configMap, world.store.get(kinds.configMap, "w", name)!);
const watches = (cluster: Cluster) => cluster.requests.filter((r) => r.query.has("watch"));

Deno.test("all is told once, then what changes; one stream is enough for both", async () => {
  await using cluster = await startCluster();
  put(cluster, "a", "1");
  put(cluster, "b", "1");
  await following(cluster, {}, async (seen) => {
    await until("all is known", () => seen.told.length === 1);
    assertEquals([seen.told[0], seen.objects], [["w/a", "w/b"], { a: "1", b: "1" }]);
    put(cluster, "a", "2");
    drop(cluster, "b");
    await until("changes are known", () => seen.told.length === 3);
    assertEquals([seen.told.slice(1), seen.objects], [[["w/a"], ["w/b"]], { a: "2" }]);
    assertEquals(cluster.requests.length, 1);
  });
});

Deno.test("an empty collection is known to be empty", async () => {
  await using cluster = await startCluster();
  await following(cluster, {}, async (seen) => {
    await until("it is told", () => seen.told.length === 1);
    assertEquals(seen.told, [[]]);
  });
});

Deno.test("after a cut, half an event, garbage, 429, 500 and a server that was away, nothing is missed", async () => {
  await using cluster = await startCluster();
  put(cluster, "a", "1");
  await following(cluster, {}, async (seen) => {
    await until("all is known", () => seen.objects.a === "1");
    let round = 1;
    const survive = async (harm: () => void | Promise<void>) => {
      await harm();
      put(cluster, "a", String(++round));
      put(cluster, `new-${round}`, "x");
      await until(
        `round ${round} is known`,
        () => seen.objects.a === String(round) && seen.objects[`new-${round}`] === "x",
      );
    };
    await survive(() => cluster.cutWatches());
    await survive(() => cluster.cutWatches({ half: true }));
    for (const answer of ["garbage", "drop", { status: 500 }, { status: 429 }] as const) {
      await survive(() => {
        cluster.faults.add({ times: 1, answer });
        cluster.cutWatches();
      });
    }
    const pausing = cluster.pause();
    await until("trouble is told", () => seen.troubles.at(-1) === "Unreachable");
    await pausing;
    await survive(() => cluster.resume());
    assertEquals(seen.troubles.at(-1), "mended");
    // From where it was: the list was streamed once.
    assertEquals(watches(cluster).filter((r) => r.query.has("sendInitialEvents")).length, 1);
  });
});

/** Something else is asked, in vain, then with success: the server is back. */
async function askTwice(cluster: Cluster, api: Pick<Api, "ask">): Promise<void> {
  const ask = () => api.ask({ method: "POST", path: "/version", signal: never() });
  const isVersion = ({ path }: { path: string }) => path === "/version";
  cluster.faults.add({ when: isVersion, times: 1, answer: "drop" });
  await assertRejects(ask);
  await ask().catch(() => {}); // a refusal is an answer, too
}

/** As after hours of silence: nobody waits for the end of a pause. */
const slow = {
  random: () => 0,
  pause: (ms: number, signal: AbortSignal) => pause(ms * 1000, signal),
};

Deno.test("a watch that rests is opened again as soon as the server answers something else", async () => {
  await using cluster = await startCluster();
  put(cluster, "a", "1");
  using client = await connected(cluster);
  const api = heardApi(client, () => {});
  await following(cluster, { api, ...slow }, async (seen) => {
    await until("all is known", () => seen.objects.a === "1");
    await cluster.pause();
    await until("trouble is told", () => seen.troubles.at(-1) === "Unreachable");
    await cluster.resume();
    put(cluster, "a", "2");
    await askTwice(cluster, api);
    await until("the change is known", () => seen.objects.a === "2");
  });
});

Deno.test("a watch that was told to come later does, whatever others are answered", async () => {
  await using cluster = await startCluster();
  using client = await connected(cluster);
  const api = heardApi(client, () => {});
  const isWatch = ({ query }: { query: URLSearchParams }) => query.has("watch");
  cluster.faults.add({ when: isWatch, times: 1, answer: { status: 429, retryAfter: 9 } });
  await following(cluster, { api, ...slow }, async (seen) => {
    await until("it is told", () => seen.troubles.at(-1) === "TooManyRequests");
    await askTwice(cluster, api);
    await api.ask({ path: "/api/v1/namespaces/w/configmaps", signal: never() });
    assertEquals(watches(cluster).length, 1);
  });
});

Deno.test("a history that ended while the watch was away is made up by a new list, of which only the difference is told", async () => {
  await using cluster = await startCluster();
  for (const name of ["same", "changed", "gone"]) put(cluster, name, "1");
  await following(cluster, {}, async (seen) => {
    await until("all is known", () => seen.told.length === 1);
    await cluster.pause();
    put(cluster, "changed", "2");
    drop(cluster, "gone");
    put(cluster, "new", "1");
    cluster.world.store.compact();
    await cluster.resume();
    await until("the difference is known", () => seen.told.length === 2);
    assertEquals(seen.told[1], ["w/changed", "w/gone", "w/new"]);
    assertEquals(seen.objects, { same: "1", changed: "2", new: "1" });
  });
});

Deno.test("a server without streamed lists is listed in pages", async () => {
  await using cluster = await startCluster();
  put(cluster, "a", "1");
  using api = await connected(cluster);
  cluster.faults.add({ when: (seen) => seen.query.has("sendInitialEvents"), answer: { status: 422 } });
  await following(cluster, { api }, async (seen) => {
    await until("all is known", () => seen.objects.a === "1");
    put(cluster, "b", "1");
    await until("a change is known", () => seen.objects.b === "1");
    const lists = cluster.requests.filter((r) => r.verb === "list");
    assertEquals(lists.map((r) => r.query.get("limit")), ["500"]);
    assertEquals(watches(cluster).length, 2);
    await following(cluster, { api }, async (second) => {
      await until("all is known", () => second.objects.b === "1");
      const streams = cluster.requests.filter((r) => r.query.has("sendInitialEvents"));
      assertEquals(streams.length, 1, "it is not asked for a stream again");
    });
  });
});

Deno.test("a thousand reconnects miss nothing and leave nothing behind", async () => {
  await using cluster = await startCluster();
  put(cluster, "a", "0");
  await following(cluster, {}, async (seen) => {
    await until("all is known", () => seen.objects.a === "0");
    const files = () => [...Deno.readDirSync("/proc/self/fd")].length;
    let before = 0;
    for (let i = 1; i <= 1000; i++) {
      await until("the watch stands", () => cluster.watches.size > 0);
      cluster.cutWatches({ half: i % 2 === 0 });
      put(cluster, "a", String(i));
      await until(`change ${i} is known`, () => seen.objects.a === String(i));
      if (i === 100) before = files();
    }
    await until("the old connections are gone", () => cluster.watches.size <= 1);
    assert(files() <= before + 3, `${files()} open files after 1000 reconnects, ${before} after 100`);
    assert(watches(cluster).length >= 1000);
    assertEquals(seen.told.length, 1001);
  });
});

Deno.test("a silent connection is given up, and the watch stands again", async () => {
  await using cluster = await startCluster();
  put(cluster, "a", "1");
  using api = await connected(cluster, { limits: { silence: 150 } });
  await following(cluster, { api }, async (seen) => {
    await until("all is known", () => seen.objects.a === "1");
    await until("it was opened again", () => watches(cluster).length >= 2);
    put(cluster, "a", "2");
    await until("the change is known", () => seen.objects.a === "2");
    assert(seen.troubles.includes("DeadlineExceeded"));
  });
});

Deno.test("what is no event is refused, and changes nothing", () => {
  const state = createWatchState();
  state.list([{ metadata: { name: "a", resourceVersion: "1" } }], "1");
  const bad: unknown[] = [null, 1, {}, { type: "ADDED" }, {
    type: "NEW",
    object: { metadata: { name: "x" } },
  }];
  bad.push({ type: "ADDED", object: {} }, { type: "DELETED", object: { metadata: {} } });
  for (const event of bad) {
    let refused = false;
    try {
      state.event(event);
    } catch {
      refused = true;
    }
    assert(refused, JSON.stringify(event));
  }
  assertEquals([[...state.objects.keys()], state.revision], [["a"], "1"]);
});
