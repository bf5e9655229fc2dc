/** What pods use of the API server, followed as a node that may read no more than its pods need. */
import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import {
  type ClusterObjects,
  type ClusterObjectsOptions,
  createClusterObjects,
} from "../../../../../agent/cluster/objects/objects.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import type { Pod, PodSpec } from "../../../../../agent/model/gen/v1.ts";
import { type Cluster, startCluster } from "../../../../fakes/cluster/cluster.ts";
import { made } from "../../../../fakes/cluster/controllers.ts";
import { find, kinds } from "../../../../fakes/cluster/world.ts";
import { until } from "../../../../fakes/until.ts";
import { connected } from "../connected.ts";

const node = { commonName: "system:node:box", organizations: ["system:nodes"] };

interface Following {
  cluster: Cluster;
  objects: ClusterObjects;
  changes: number;
}

const soon = (_: number, signal: AbortSignal): Promise<void> =>
  signal.aborted ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, 2));

async function following(
  work: (f: Following) => Promise<void>,
  options: Partial<ClusterObjectsOptions> = {},
): Promise<void> {
  await using cluster = await startCluster();
  using api = await connected(cluster, { subject: node });
  const leaving = new AbortController();
  const f = { cluster, changes: 0 } as Following;
  f.objects = createClusterObjects({
    api,
    log: silentLog,
    changed: () => f.changes++,
    patience: 10_000,
    pause: soon,
    ...options,
  }, leaving.signal);
  try {
    await work(f);
  } finally {
    leaving.abort();
    await until("no watch is left", () => cluster.watches.size === 0);
  }
}

/** Bound to the node, as the API server has it. */
function bind({ world }: Cluster, name: string, spec: Partial<PodSpec>): Pod {
  const content = { spec: { nodeName: "box", containers: [{ name: "c", image: "i" }], ...spec } };
  return made(world, kinds.pod, "w", name, content) as unknown as Pod;
}

const put = ({ world }: Cluster, kind: "configMap" | "secret", name: string, content = {}) =>
  made(world, kinds[kind], "w", name, content);
const drop = ({ world }: Cluster, kind: "configMap" | "secret" | "pod", name: string) =>
  world.store.remove(kinds[kind], world.store.get(kinds[kind], "w", name)!);

const configMapVolume = (...names: string[]): Pick<PodSpec, "volumes"> => ({
  volumes: names.map((name) => ({ name, configMap: { name } })),
});
const watched = ({ watches }: Cluster, resource: string) =>
  [...watches].filter((w) => w.seen.resource === resource).map((w) => w.seen.query.get("fieldSelector"))
    .sort();

Deno.test("each ConfigMap and Secret that pods name is watched once, from the first pod to the last", () =>
  following(async ({ cluster, objects }) => {
    put(cluster, "configMap", "a", { data: { v: "1" } });
    put(cluster, "secret", "s", { data: { k: btoa("1") } });
    const env = [{ name: "K", valueFrom: { secretKeyRef: { name: "s", key: "k" } } }];
    const one = bind(cluster, "one", {
      ...configMapVolume("a"),
      containers: [{ name: "c", env }],
      imagePullSecrets: [{ name: "pull" }],
    });
    const two = bind(cluster, "two", configMapVolume("a"));
    objects.want([one, two]);
    assertEquals(objects.known(one), false);
    await until("all is known", () => objects.known(one) && objects.known(two));
    assertEquals(watched(cluster, "configmaps"), ["metadata.name=a"]);
    assertEquals(watched(cluster, "secrets"), ["metadata.name=pull", "metadata.name=s"]);
    const known = objects.objects();
    assertEquals(known.configMaps.get("w/a")?.data, { v: "1" });
    assertEquals([known.secrets.has("w/s"), known.secrets.has("w/pull"), known.unread?.size], [
      true,
      false,
      0,
    ]);
    put(cluster, "configMap", "a", { data: { v: "2" } });
    await until("the change is known", () => objects.objects().configMaps.get("w/a")?.data?.["v"] === "2");
    put(cluster, "secret", "pull", { data: {} });
    await until("what comes is known", () => objects.objects().secrets.has("w/pull"));
    drop(cluster, "configMap", "a");
    await until("what goes is known", () => !objects.objects().configMaps.has("w/a"));
    objects.want([two]);
    await until("the Secrets' watches end", () => watched(cluster, "secrets").length === 0);
    assertEquals(watched(cluster, "configmaps"), ["metadata.name=a"]);
    assertEquals(objects.objects().secrets.size, 0);
    objects.want([]);
    await until("all watches end", () => cluster.watches.size === 0);
  }));

Deno.test("what nobody may read yet is not held to be absent; the pod is told why, and has it when it may", () =>
  following(async ({ cluster, objects }) => {
    put(cluster, "configMap", "a", { data: { v: "1" } });
    const pod = bind(cluster, "one", configMapVolume("a"));
    // The authorizer does not know the tie yet.
    cluster.world.store.put(kinds.pod, {
      ...cluster.world.store.get(kinds.pod, "w", "one")!,
      spec: { containers: [] },
    });
    objects.want([pod]);
    const why = () => objects.objects().unread?.get("ConfigMap w/a") ?? "";
    await until("the refusal is known", () => why().includes("no relationship found between node 'box'"));
    assertEquals(objects.known(pod), false);
    bind(cluster, "one", configMapVolume("a"));
    await until("it is known", () => objects.known(pod));
    assertEquals(objects.objects().configMaps.get("w/a")?.data, { v: "1" });
    assertEquals(objects.objects().unread?.size, 0);
  }));

Deno.test("a pod does not wait for ever for an API server that says nothing", () =>
  following(async ({ cluster, objects }) => {
    const pod = bind(cluster, "one", configMapVolume("a"));
    cluster.faults.add({ when: (seen) => seen.resource === "configmaps", answer: "hang" });
    objects.want([pod]);
    await until("patience is over", () => objects.known(pod));
    assertEquals(objects.objects().unread?.get("ConfigMap w/a"), "the API server has not answered yet");
  }, { patience: 100 }));

Deno.test("what was known stays known while the API server is away", () =>
  following(async ({ cluster, objects }) => {
    put(cluster, "configMap", "a", { data: { v: "1" } });
    const pod = bind(cluster, "one", configMapVolume("a"));
    objects.want([pod]);
    await until("it is known", () => objects.objects().configMaps.has("w/a"));
    await cluster.pause();
    await until("the watch is gone", () => cluster.watches.size === 0);
    assertEquals(objects.objects().configMaps.get("w/a")?.data, { v: "1" });
    assertEquals(objects.objects().unread?.size, 0);
    put(cluster, "configMap", "a", { data: { v: "2" } });
    await cluster.resume();
    await until("the change is known", () => objects.objects().configMaps.get("w/a")?.data?.["v"] === "2");
  }));

Deno.test("what is immutable is read once, and not watched", () =>
  following(async ({ cluster, objects }) => {
    put(cluster, "configMap", "a", { data: { v: "1" }, immutable: true });
    const pod = bind(cluster, "one", configMapVolume("a"));
    objects.want([pod]);
    await until("it is known", () => objects.known(pod));
    await until("the watch ends", () => watched(cluster, "configmaps").length === 0);
    objects.want([pod, bind(cluster, "two", configMapVolume("a"))]);
    assertEquals(objects.objects().configMaps.get("w/a")?.data, { v: "1" });
    assertEquals(cluster.requests.filter((r) => r.resource === "configmaps").length, 1);
  }));

Deno.test("a claim, its volume and the volume's Secrets are asked for one after the other, until it is bound", () =>
  following(async ({ cluster, objects }) => {
    const { world } = cluster;
    const spec = { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "data" } }] };
    const pod = bind(cluster, "one", spec);
    made(world, kinds.claim, "w", "data", { spec: {}, status: { phase: "Pending" } });
    objects.want([pod]);
    await until("the claim is known", () => objects.known(pod));
    assertEquals(objects.objects().persistentVolumeClaims.get("w/data")?.status?.phase, "Pending");
    const csi = { driver: "d", volumeHandle: "h", nodePublishSecretRef: { namespace: "w", name: "key" } };
    made(world, kinds.volume, undefined, "pv", { spec: { csi, claimRef: { namespace: "w", name: "data" } } });
    put(cluster, "secret", "key", { data: { k: btoa("1") } });
    made(world, kinds.claim, "w", "data", { spec: { volumeName: "pv" }, status: { phase: "Bound" } });
    await until("the volume is known", () => objects.objects().persistentVolumes.has("pv"));
    await until("its Secret is known", () => objects.known(pod) && objects.objects().secrets.has("w/key"));
    const before = objects.objects().persistentVolumes.get("pv");
    const asked = () => cluster.requests.filter((r) => r.resource === "persistentvolumes").length;
    const count = asked();
    await until("it is asked for again", () => asked() > count);
    assertStrictEquals(objects.objects().persistentVolumes.get("pv"), before);
    made(world, kinds.volume, undefined, "pv", { spec: { csi, capacity: { storage: "2Gi" } } });
    await until("its growth is known", () => objects.objects().persistentVolumes.get("pv") !== before);
    assertEquals(objects.objects().persistentVolumes.get("pv")?.spec?.capacity, { storage: "2Gi" });
    drop(cluster, "pod", "one");
    objects.want([]);
    await until("nothing is watched", () => cluster.watches.size === 0);
    assertEquals(objects.objects().persistentVolumes.size, 0);
  }));

Deno.test("Services, RuntimeClasses and CSIDrivers are watched while a pod needs them", () =>
  following(async ({ cluster, objects }) => {
    const { world } = cluster;
    made(world, find("Service"), "w", "web", {
      spec: { clusterIP: "10.96.0.7", ports: [{ port: 80 }], selector: { app: "web" } },
    });
    made(world, find("Service"), "w", "headless", { spec: { clusterIP: "None" } });
    made(world, find("RuntimeClass"), undefined, "fast", { handler: "crun" });
    made(world, find("CSIDriver"), undefined, "d", { spec: {} });
    const plain = bind(cluster, "plain", {});
    objects.want([plain]);
    await until("Services are known", () => objects.known(plain));
    assertEquals(objects.objects().services?.get("w/web")?.spec, {
      clusterIP: "10.96.0.7",
      ports: [{ port: 80 }],
    });
    assert(!objects.objects().services?.has("w/headless"));
    assertEquals(cluster.watches.size, 1);
    const demanding = bind(cluster, "demanding", {
      runtimeClassName: "fast",
      volumes: [{ name: "v", csi: { driver: "d" } }],
    });
    objects.want([plain, demanding]);
    await until("all is known", () => objects.known(demanding));
    assertEquals(objects.objects().runtimeClasses.get("fast")?.handler, "crun");
    assertEquals([...objects.objects().csiDrivers.keys()], ["d"]);
    objects.want([plain]);
    await until("one watch is left", () => cluster.watches.size === 1);
  }));

Deno.test("pods that have ended for good need nothing", () =>
  following(({ cluster, objects }) => {
    const pod = { ...bind(cluster, "one", configMapVolume("a")), status: { phase: "Succeeded" } };
    objects.want([pod]);
    assertEquals(objects.known(pod), true);
    assertEquals(cluster.requests.length, 0);
    return Promise.resolve();
  }));

Deno.test("500 ConfigMaps come and go with their pods; many events make few changes, and no watch is left", () =>
  following(async (f) => {
    const { cluster, objects } = f;
    const names = Array.from({ length: 500 }, (_, i) => `c${i}`);
    const pods = Array.from({ length: 50 }, (_, i) => {
      for (const name of names.slice(i * 10, i * 10 + 10)) {
        put(cluster, "configMap", name, { data: { v: "1" } });
      }
      return bind(cluster, `p${i}`, configMapVolume(...names.slice(i * 10, i * 10 + 10)));
    });
    objects.want(pods);
    await until("all are known", () => pods.every(objects.known), 60_000);
    assertEquals(objects.objects().configMaps.size, 500);
    assertEquals(watched(cluster, "configmaps").length, 500);
    f.changes = 0;
    const before = objects.objects();
    for (const name of names) put(cluster, "configMap", name, { data: { v: "2" } });
    const isNew = () => [...objects.objects().configMaps.values()].every((c) => c.data?.["v"] === "2");
    await until("all changes are known", isNew);
    assertNotStrictEquals(objects.objects(), before);
    assert(f.changes < 250, `${f.changes} changes were told of 500 events`);
    objects.want(pods.slice(0, 1));
    await until("those of one pod are left", () => watched(cluster, "configmaps").length === 10);
    objects.want([]);
    await until("no watch is left", () => cluster.watches.size === 0);
    assertEquals(objects.objects().configMaps.size, 0);
  }));
