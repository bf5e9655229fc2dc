/**
 * Random lives of a cluster's pods on a node: edits, deletions, exits, evictions, lost containers, partitions and deaths of
 * the agent, in any order. Whatever happens: one instance of each pod, what has ended stays ended, deletions complete after
 * the last status, nothing is left over, and in the end the API server shows what is so.
 */
import { assert, assertEquals } from "@std/assert";
import type { ContainerSpec } from "../../agent/model/container.ts";
import type { ContainerStatus, Pod } from "../../agent/model/gen/v1.ts";
import type { ObservedContainer, ObservedPod } from "../../agent/model/observed.ts";
import { restartsAfter } from "../../agent/model/restart.ts";
import { type Cluster, startCluster } from "../fakes/cluster/cluster.ts";
import { deleteObject } from "../fakes/cluster/deletion.ts";
import type { Stored } from "../fakes/cluster/objects.ts";
import { kinds } from "../fakes/cluster/world.ts";
import { createFakeRuntime, type FakeRuntime } from "../fakes/runtime.ts";
import { until } from "../fakes/until.ts";
import { administrator, connected, never } from "../unit/agent/cluster/connected.ts";
import { type ApiNode, startApiNode } from "./api_node.ts";
import { createRandom, type Random } from "./random.ts";

const runs = Math.ceil(Number(Deno.env.get("FUZZ_RUNS") ?? 100) / 20);
/** To look at one seed alone, with FUZZ_RUNS=1. */
const first = Number(Deno.env.get("FUZZ_SEED") ?? 1);

const nodeUser = { commonName: "system:node:box", organizations: ["system:nodes"] };
const isOver = (phase: unknown) => phase === "Succeeded" || phase === "Failed";
const isRunning = ({ state }: ObservedContainer) => state === "running";

interface Life {
  cluster: Cluster;
  admin: Awaited<ReturnType<typeof connected>>;
  fake: FakeRuntime;
  random: Random;
  refused: Set<string>;
  node: ApiNode;
  restart(): Promise<void>;
  /** Ends the partition. */
  mend: (() => void) | undefined;
  violations: string[];
  serial: number;
  /** Uids of pods that were taken away at the API server without waiting for the node. */
  forced: Set<string>;
  /** Of those that got another image: what was stopped for it starts again. */
  edited: Set<string>;
  /** Of those that were evicted here. */
  evicted: Set<string>;
  /** Names of containers that the runtime has lost. */
  lost: Set<string>;
  /** A container is about to run. */
  starts(spec: ContainerSpec): void;
  /** The node is about to stop it. */
  stops(id: string): void;
}

const podsOf = ({ cluster }: Life): Pod[] => cluster.world.store.list(kinds.pod) as unknown as Pod[];
const storedOf = ({ cluster }: Life, pod: Pod) =>
  cluster.world.store.get(kinds.pod, "default", pod.metadata!.name!) as Stored;

async function create(life: Life, name = `pod-${life.random.below(3)}`): Promise<void> {
  const { random, admin, cluster } = life;
  if (cluster.world.store.get(kinds.pod, "default", name) !== undefined) return;
  const names = random.below(3) === 0 ? ["c"] : ["c", "d"];
  const serial = life.serial++;
  const pod = await admin.ask({
    method: "POST",
    path: "/api/v1/namespaces/default/pods",
    body: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, finalizers: random.below(8) === 0 ? ["example.com/held"] : [] },
      spec: {
        nodeName: "box",
        restartPolicy: random.pick(["Always", "OnFailure", "Never"]),
        terminationGracePeriodSeconds: 1,
        containers: names.map((n) => ({ name: `${n}${serial}`, image: "a:1" })),
      },
    },
    signal: never(),
  }) as Pod;
  // A refusal that would not be repeated: it has to be remembered.
  if (random.below(6) === 0) life.refused.add(pod.metadata!.uid!);
}

function remove(life: Life, pod: Pod, gracePeriodSeconds: number): void {
  if (gracePeriodSeconds === 0 || isOver(pod.status?.phase)) life.forced.add(pod.metadata!.uid!);
  deleteObject(life.cluster.world, kinds.pod, storedOf(life, pod), { gracePeriodSeconds });
}

/** Another pod of that name comes before the node knows that the old one is gone. */
async function replace(life: Life, pod: Pod): Promise<void> {
  remove(life, pod, 0);
  await create(life, pod.metadata!.name!);
}

const isOfNode = ({ user }: { user: string }) => user === nodeUser.commonName;

/** What the node says arrives late, and so after what is said next. */
function slow({ cluster, random }: Life): void {
  cluster.faults.add({ when: (r) => isOfNode(r) && r.method === "PATCH", times: 2, delay: random.below(40) });
}

/** While the node's deletion is under way, another pod takes the name. */
async function overtake(life: Life, pod: Pod): Promise<void> {
  const { cluster } = life;
  const isDeletion = (r: { user: string; method: string }) => isOfNode(r) && r.method === "DELETE";
  const asked = cluster.requests.filter(isDeletion).length;
  const mend = cluster.faults.add({ when: isDeletion, times: 1, delay: 30 });
  remove(life, pod, 1);
  await until("it is under way", () => cluster.requests.filter(isDeletion).length > asked, 100).catch(
    () => {},
  );
  if (cluster.world.store.get(kinds.pod, "default", pod.metadata!.name!) !== undefined) {
    await replace(life, pod);
  }
  mend();
}

function edit(life: Life, pod: Pod): void {
  life.edited.add(pod.metadata!.uid!);
  const stored = storedOf(life, pod);
  const image = life.random.pick(["a:1", "a:2"]);
  const containers = pod.spec!.containers.map((c) => ({ ...c, image }));
  life.cluster.world.store.put(kinds.pod, { ...stored, spec: { ...stored.spec, containers } });
}

function exit({ fake, random }: Life): void {
  const running = fake.pods().flatMap((p) => p.containers).filter(isRunning);
  if (running.length > 0) fake.exit(random.pick(running).id, random.pick([0, 0, 3]));
}

async function lose({ fake, random, lost }: Life): Promise<void> {
  const ended = fake.pods().flatMap((p) => p.containers).filter((c) => c.state === "exited");
  if (ended.length === 0) return;
  const { name } = random.pick(ended);
  lost.add(name);
  for (const { id } of ended.filter((c) => c.name === name)) await fake.runtime.removeContainer(id, never());
}

function part(life: Life): void {
  if (life.mend !== undefined) {
    life.mend();
    life.mend = undefined;
    return;
  }
  const take = life.cluster.faults.add({ when: isOfNode, answer: "drop" });
  life.mend = () => void take();
  life.cluster.cutWatches({ half: life.random.below(2) === 0 });
}

function evict({ node, evicted }: Life, { metadata }: Pod): void {
  evicted.add(metadata!.uid!);
  void node.bench.reconciler.end(metadata!.uid!, { reason: "Evicted", message: "simulated" });
}

/** What happens, and how often. */
const happenings: [weight: number, happen: (life: Life, pod: Pod) => void | Promise<void>][] = [
  [9, exit],
  [4, (life, pod) => remove(life, pod, life.random.pick([1, 30]))],
  [2, replace],
  [3, overtake],
  [3, slow],
  [2, edit],
  [4, (life) => life.restart()],
  [3, part],
  [6, lose],
  [2, evict],
];
const deck = happenings.flatMap(([weight, happen]) => Array.from({ length: weight }, () => happen));

async function act(life: Life): Promise<void> {
  const { random } = life;
  const pods = podsOf(life);
  if (pods.length < 2) return await create(life);
  await random.pick(deck)(life, random.pick(pods));
}

/** Often nothing else happens until all has come to rest. */
async function pass(life: Life): Promise<void> {
  const { random, mend } = life;
  if (mend !== undefined && random.below(3) === 0) part(life);
  switch (random.below(4)) {
    case 0:
      return;
    case 1:
      return await new Promise((resolve) => setTimeout(resolve, random.below(10)));
    default:
      await until("rest", () => differences(life).length === 0, 150).catch(() => {});
  }
}

/** What must hold at every instant. Returns what ends the looking. */
function watchRules(life: Life): () => void {
  const { cluster, fake, violations } = life;
  const created = (uid: string, name?: string) =>
    fake.callsOf("createContainer").map(({ args }) => args[0] as ContainerSpec)
      .filter(({ sandbox, container }) => sandbox.uid === uid && (name ?? container.name) === container.name)
      .length;
  const over = new Map<string, { phase: unknown; created: number }>();
  const resting = new Map<string, number>();
  const restarts = new Map<string, number>();
  const checkContainers = ({ metadata: { uid = "" } = {}, spec, status }: Pod, gone: boolean) => {
    for (const shown of status?.containerStatuses ?? []) {
      const { name, state, containerID } = shown;
      const exit = state?.terminated;
      const container = spec!.containers.find((c) => c.name === name)!;
      if (shown.restartCount < (restarts.get(name) ?? 0)) violations.push(`${name} has been restarted less`);
      restarts.set(name, shown.restartCount);
      if (gone && !life.forced.has(uid) && containerID !== undefined && !life.lost.has(name)) {
        if (exit === undefined || exit.reason === "ContainerStatusUnknown") {
          violations.push(`nobody knows how ${name} ended: ${JSON.stringify(state)}`);
        }
      }
      const known = resting.get(name);
      if (known !== undefined && known !== created(uid, name)) {
        violations.push(`${name} rested and began again`);
      }
      const rests = exit !== undefined && !life.edited.has(uid) &&
        !restartsAfter(spec!, container, false, { code: exit.exitCode, failed: false });
      if (rests) resting.set(name, created(uid, name));
      else resting.delete(name);
    }
  };
  return cluster.world.store.subscribe(({ resource, object, gone }) => {
    if (resource !== kinds.pod) return;
    const { metadata: { uid, name }, status } = object;
    const before = over.get(uid);
    if (before !== undefined && before.phase !== status?.phase) {
      violations.push(`${name} was ${before.phase} and is ${status?.phase}`);
    }
    if (before !== undefined && before.created !== created(uid)) {
      violations.push(`${name} was ${before.phase} and began again`);
    }
    if (before === undefined && isOver(status?.phase)) {
      over.set(uid, { phase: status?.phase, created: created(uid) });
    }
    checkContainers(object as unknown as Pod, gone);
    if (isOver(status?.phase) || gone) assertOneInstance(life);
    if (gone && !life.forced.has(uid) && object.metadata.deletionTimestamp === undefined) {
      violations.push(`${name} was deleted, and nobody asked for it`);
    }
    const [here] = fake.pods().filter((p) => p.uid === uid && p.containers.some(isRunning));
    if (here !== undefined && isOver(status?.phase)) violations.push(`${name} is over and runs`);
    if (here !== undefined && gone && !life.forced.has(uid)) violations.push(`${name} is deleted and runs`);
  });
}

function assertOneInstance({ fake, violations }: Life): void {
  const running = fake.pods().flatMap((p) =>
    p.containers.filter(isRunning).map((c) => ({ pod: `${p.namespace}/${p.name}`, uid: p.uid, name: c.name }))
  );
  for (const a of running) {
    if (running.some((b) => a !== b && a.pod === b.pod && (a.uid !== b.uid || a.name === b.name))) {
      violations.push(`${a.pod} runs twice`);
    }
  }
}

const newest = (o: ObservedPod | undefined, name: string) =>
  o?.containers.filter((c) => c.name === name).sort((a, b) => b.attempt - a.attempt)[0];

/** Whether the API server shows of a container what the runtime knows. */
function isTrue(shown: ContainerStatus | undefined, real: ObservedContainer | undefined): boolean {
  if (real === undefined) return shown?.state?.running === undefined;
  if (real.state === "running") return shown?.state?.running !== undefined;
  const exit = shown?.state?.terminated ?? shown?.lastState?.terminated;
  return real.state === "exited" && exit?.exitCode === real.exitCode && shown?.state?.running === undefined;
}

function differences(life: Life): string[] {
  const pods = podsOf(life);
  const known = life.fake.pods();
  const shown = new Set(pods.map((p) => p.metadata!.uid));
  return [
    ...known.filter((o) => !shown.has(o.uid)).map((o) => `${o.name} is left over`),
    ...[...life.node.bench.reconciler.known()].filter((uid) => !shown.has(uid)).map((uid) =>
      `${uid} is known`
    ),
    ...pods.flatMap((pod) => {
      const { uid, name, deletionTimestamp, finalizers = [] } = pod.metadata!;
      const here = known.find((o) => o.uid === uid);
      if (deletionTimestamp !== undefined && finalizers.length === 0) return [`${name} is not deleted`];
      if (deletionTimestamp !== undefined && here !== undefined) return [`${name} is not gone`];
      const { phase, containerStatuses = [] } = pod.status ?? {};
      if (deletionTimestamp !== undefined || isOver(phase)) {
        return here?.containers.some(isRunning) ? [`${name} is over and runs`] : [];
      }
      if (phase === "Pending" && here === undefined) return [`${name} has not begun`];
      return pod.spec!.containers.flatMap((c) => {
        const real = newest(here, c.name);
        const said = containerStatuses.find((s) => s.name === c.name);
        return isTrue(said, real)
          ? []
          : [`${name}/${c.name} is ${real?.state} and shown as ${JSON.stringify(said)}`];
      });
    }),
  ];
}

async function live(cluster: Cluster, seed: number): Promise<void> {
  const random = createRandom(seed);
  const root = await Deno.makeTempDir();
  const fake = createFakeRuntime({ onStart: (spec) => void life.starts(spec) });
  using api = await connected(cluster, { subject: nodeUser });
  using admin = await connected(cluster, { subject: administrator });
  const { stopContainer } = fake.runtime;
  fake.runtime.stopContainer = (id, ...rest) => {
    life.stops(id);
    return stopContainer(id, ...rest);
  };
  const refused = new Set<string>();
  const refusal = (uid: string) =>
    refused.has(uid) ? { reason: "OutOfcpu", message: "simulated" } : undefined;
  const begin = () => startApiNode({ api, nodeName: "box", root, fake, refusal });
  const life: Life = {
    ...{ cluster, admin, fake, random, refused, mend: undefined, violations: [], serial: 0 },
    ...{ forced: new Set<string>(), edited: new Set<string>(), lost: new Set<string>() },
    evicted: new Set<string>(),
    starts({ sandbox: { uid, pod }, container }) {
      const { namespace, name } = pod.metadata!;
      const others = fake.pods().filter((p) => p.namespace === namespace && p.name === name)
        .filter((p) =>
          p.containers.some((c) => isRunning(c) && (p.uid !== uid || c.name === container.name))
        );
      if (others.length > 0) life.violations.push(`${name} runs twice`);
    },
    stops(id) {
      const here = fake.pods().find((p) => p.containers.some((c) => c.id === id && isRunning(c)));
      const pod = podsOf(life).find((p) => p.metadata!.uid === here?.uid);
      const { uid = "", name, deletionTimestamp } = pod?.metadata ?? {};
      const isAsked = pod === undefined || deletionTimestamp !== undefined || isOver(pod.status?.phase) ||
        [life.edited, life.evicted, refused].some((uids) => uids.has(uid));
      if (!isAsked) life.violations.push(`${name} was stopped, and nobody asked for it`);
    },
    node: await begin(),
    async restart() {
      await life.node.kill();
      life.node = await begin();
    },
  };
  const endRules = watchRules(life);
  try {
    for (let step = 0; step < 40; step++) {
      await act(life);
      assertOneInstance(life);
      await pass(life);
      // Whoever was refused and told so would be taken now.
      const [uid] = refused;
      const told = podsOf(life).some((p) => p.metadata?.uid === uid && p.status?.phase === "Failed");
      if (uid !== undefined && told) refused.delete(uid);
    }
    life.mend?.();
    let left: string[] = [];
    await until("the API server shows what is so", () => {
      left = differences(life);
      return left.length === 0;
    }).catch((error) => {
      throw new Error(`${error.message}: ${left.join("; ")}`);
    });
    assertEquals(life.violations, []);
    const settled = cluster.requests.length;
    await life.restart();
    await until("the next agent knows all pods", () => differences(life).length === 0);
    const writes = cluster.requests.slice(settled).filter((r) => r.method === "PATCH");
    assert(writes.length <= podsOf(life).length, "a new agent tells what is known");
    for (const pod of podsOf(life)) {
      const stored = storedOf(life, pod);
      cluster.world.store.put(kinds.pod, { ...stored, metadata: { ...stored.metadata, finalizers: [] } });
      remove(life, pod, 0);
    }
    await until(
      "nothing is left",
      () => fake.pods().length === 0 && life.node.bench.reconciler.known().size === 0,
    );
    assertEquals(await Array.fromAsync(Deno.readDir(`${root}/pods`)).catch(() => []), []);
    assertEquals(life.violations, []);
  } finally {
    life.mend?.();
    endRules();
    await life.node.kill();
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("random lives of a cluster's pods keep the rules, and end as the API server wants", async () => {
  await using cluster = await startCluster();
  for (let seed = first; seed < first + runs; seed++) {
    try {
      await live(cluster, seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
});
