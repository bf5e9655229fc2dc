/**
 * Thousands of random rounds of pods that come, restart, change and go, of devices that turn ill, sources that go away,
 * disks that are full and agents that die, against an oracle that knows only what containers were told.
 */
import { assert, assertEquals } from "@std/assert";
import { silentLog } from "../../../../agent/lib/log.ts";
import { parseCheckpoint } from "../../../../agent/model/device_checkpoint.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { Container } from "../../../../agent/model/gen/v1.ts";
import type { DesiredPod } from "../../../../agent/model/wish.ts";
import type { Host } from "../../../../agent/ports.ts";
import { createDeviceLedger, type DeviceLedger } from "../../../../agent/node/device_ledger.ts";
import { responseCodec } from "../../../../plugins/device/mod.ts";
import { createFakeDevices } from "../../../fakes/devices.ts";
import { createFakeHost } from "../../../fakes/host.ts";

const rounds = 4000;
const resources = ["a.com/x", "b.com/y"] as const;
const perResource = 6;
const file = "/r/device-plugins/kubelet_internal_checkpoint";
const never = new AbortController().signal;

/** mulberry32 */
function createRandom(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

type Random = ReturnType<typeof createRandom>;

function randomContainer(name: string, random: Random): Container {
  const limits = Object.fromEntries(
    resources.flatMap((resource) => {
      const count = random(3);
      return count === 0 ? [] : [[resource, String(count)]];
    }),
  );
  return { name, resources: { limits } };
}

function randomPod(uid: string, random: Random): DesiredPod {
  const named = (prefix: string, count: number) =>
    Array.from({ length: count }, (_, i) => randomContainer(`${prefix}${i}`, random));
  const spec = { initContainers: named("init", random(2)), containers: named("app", 1 + random(2)) };
  return { pod: { metadata: { name: uid, uid }, spec }, uid, source: "file", origin: "" };
}

const countOf = (container: Container, resource: string) =>
  Number(container.resources?.limits?.[resource] ?? 0);

class World {
  readonly host = createFakeHost();
  readonly source = createFakeDevices();
  readonly random: Random;
  ledger!: DeviceLedger;
  /** Devices that are ill, by resource; sources that are away; whether the disk is full. */
  readonly ill = new Map<string, Set<number>>(resources.map((r) => [r, new Set()]));
  readonly away = new Set<string>();
  /** Pods whose containers all have what they asked for, as they were told: by uid, container, resource. */
  readonly running = new Map<string, { pod: DesiredPod; told: Map<string, Map<string, string[]>> }>();
  uids = 0;
  seen = { started: 0, refused: 0, crashed: 0, restarted: 0, full: 0 };

  constructor(seed: number) {
    this.random = createRandom(seed);
  }

  /** The dead write no more. */
  #die = () => {};

  async boot(): Promise<void> {
    this.#die();
    let dead = false;
    this.#die = () => dead = true;
    const host: Host = {
      ...this.host,
      writeFileAtomic: (...args) => dead ? new Promise(() => {}) : this.host.writeFileAtomic(...args),
    };
    const options = { host, log: silentLog, sources: [this.source], codec: responseCodec };
    const directory = "/r/device-plugins";
    const report = () => {
      throw new Error("the checkpoint cannot be read");
    };
    this.ledger = createDeviceLedger({ ...options, directory, waitMs: 1000, report });
    await this.ledger.load();
    this.ledger.restore([]);
  }

  offer(): void {
    for (const resource of resources) {
      const devices = Array.from({ length: perResource }, (_, i) => ({
        id: `${resource[0]}${i}`,
        healthy: !this.ill.get(resource)!.has(i),
        numaNodes: i % 3 === 0 ? [] : [i % 2],
      }));
      this.source.offer(resource, { devices, connected: !this.away.has(resource), prefers: true });
    }
    this.source.prefer = [`a${this.random(perResource)}`, `b${this.random(perResource)}`, "nonsense"];
  }

  /** What pods other than this have been told that they have. */
  heldByOthers(uid: string, resource: string): Set<string> {
    const others = [...this.running].filter(([other]) => other !== uid);
    return new Set(
      others.flatMap(([, { told }]) => [...told.values()].flatMap((of) => of.get(resource) ?? [])),
    );
  }

  healthy(resource: string): string[] {
    return Array.from({ length: perResource }, (_, i) => i).filter((i) => !this.ill.get(resource)!.has(i))
      .map((i) => `${resource[0]}${i}`);
  }

  isPossible({ uid, pod }: DesiredPod): boolean {
    return resources.every((resource) => {
      const inits = (pod.spec!.initContainers ?? []).map((c) => countOf(c, resource));
      const needed = Math.max(
        0,
        ...inits,
        pod.spec!.containers.reduce((n, c) => n + countOf(c, resource), 0),
      );
      const others = this.heldByOthers(uid, resource);
      const free = this.healthy(resource).filter((id) => !others.has(id)).length;
      return needed === 0 || (!this.away.has(resource) && needed <= free);
    });
  }

  async prepare(pod: DesiredPod, container: Container): Promise<Map<string, string[]>> {
    const edits = await this.ledger.prepare(pod, container, never);
    return new Map(resources.map((resource) => {
      const ids = edits?.env?.[resource.replace(/\W/g, "_").toUpperCase()] ?? "";
      return [resource, ids === "" ? [] : ids.split(",")];
    }));
  }

  async start(): Promise<void> {
    const pod = randomPod(`pod${this.uids++}`, this.random);
    const possible = this.isPossible(pod);
    const containers = [...pod.pod.spec!.initContainers ?? [], ...pod.pod.spec!.containers];
    const told = new Map<string, Map<string, string[]>>();
    try {
      for (const container of containers) told.set(container.name, await this.prepare(pod, container));
    } catch (error) {
      assert(error instanceof AgentError, `${error}`);
      assert(!possible, `${pod.uid} could have been given devices: ${error.message}`);
      assertEquals(this.ledger.grants().has(pod.uid), false, "nothing is kept back");
      this.seen.refused++;
      return;
    }
    assert(possible, `${pod.uid} was given devices that are not there`);
    this.seen.started++;
    for (const container of containers) {
      for (const resource of resources) {
        const ids = told.get(container.name)!.get(resource)!;
        assertEquals(new Set(ids).size, countOf(container, resource), "as many as asked for");
        const others = this.heldByOthers(pod.uid, resource);
        for (const id of ids) {
          assert(!others.has(id), `${id} is given twice`);
          assert(this.healthy(resource).includes(id), `${id} is ill`);
        }
      }
    }
    this.running.set(pod.uid, { pod, told });
    this.checkSiblings(pod.uid);
  }

  /** Containers that run at once share nothing. */
  checkSiblings(uid: string): void {
    const { pod, told } = this.running.get(uid)!;
    for (const resource of resources) {
      const ids = pod.pod.spec!.containers.flatMap((c) => told.get(c.name)!.get(resource)!);
      assertEquals(new Set(ids).size, ids.length, `${uid}: ${ids}`);
    }
  }

  any(): string | undefined {
    return [...this.running.keys()][this.random(this.running.size)];
  }

  /** A container starts again: it has what it had, whoever is away and whatever is ill. */
  async restart(): Promise<void> {
    const uid = this.any();
    if (uid === undefined) return;
    const { pod, told } = this.running.get(uid)!;
    for (const container of pod.pod.spec!.containers) {
      assertEquals(await this.prepare(pod, container), told.get(container.name));
    }
    this.seen.restarted++;
  }

  release(): void {
    const uid = this.any();
    if (uid === undefined) return;
    this.ledger.release(uid);
    this.running.delete(uid);
  }

  /** Dies while a pod is being given devices; what was told before is kept, and the pod itself is unknown or gone. */
  async crash(): Promise<void> {
    const uid = `lost${this.uids++}`;
    const pod = randomPod(uid, this.random);
    if (this.random(2) === 0) this.source.onAllocate = () => new Promise(() => {});
    const cut = this.ledger.prepare(pod, pod.pod.spec!.containers[0]!, never);
    cut.catch(() => {});
    for (let turns = this.random(12); turns > 0; turns--) await Promise.resolve();
    await this.boot();
    this.source.onAllocate = () => {};
    this.offer();
    this.ledger.sweep(new Set(this.running.keys()));
    this.seen.crashed++;
    await this.host.settle();
  }

  async fullDisk(): Promise<void> {
    this.host.fail("writeFileAtomic", file, new Error("no space left on device"));
    const pod = { ...randomPod(`full${this.uids++}`, this.random) };
    const container = pod.pod.spec!.containers[0]!;
    const wants = [...pod.pod.spec!.initContainers ?? [], ...pod.pod.spec!.containers].some((c) =>
      resources.some((resource) => countOf(c, resource) > 0)
    );
    const outcome = await this.prepare(pod, container).then(() => "started", (error) => `${error}`);
    if (wants) assert(outcome !== "started", "nothing starts on what is not on record");
    this.host.fail("writeFileAtomic", file, undefined);
    this.ledger.release(pod.uid);
    this.seen.full++;
    await this.host.settle();
  }

  toggle(): void {
    const resource = resources[this.random(2)]!;
    if (this.random(3) === 0) {
      if (!this.away.delete(resource)) this.away.add(resource);
    } else {
      const [ill, i] = [this.ill.get(resource)!, this.random(perResource)];
      if (!ill.delete(i) && ill.size < 3) ill.add(i);
    }
    this.offer();
  }

  /** The file tells exactly of what pods were told. */
  async checkRecord(): Promise<void> {
    await this.host.settle();
    const text = this.host.text(file);
    const entries = text === undefined ? [] : parseCheckpoint(text).entries;
    const onRecord = entries.map((e) =>
      `${e.uid} ${e.container} ${e.resource} ${[...new Set([...e.devices.values()].flat())].sort()}`
    );
    const told = [...this.running].flatMap(([uid, { told }]) =>
      [...told].flatMap(([container, of]) =>
        [...of].flatMap(([resource, ids]) =>
          ids.length === 0 ? [] : [`${uid} ${container} ${resource} ${[...ids].sort()}`]
        )
      )
    );
    assertEquals(onRecord.sort(), told.sort());
  }

  async round(): Promise<void> {
    const dice = this.random(100);
    if (dice < 38) await this.start();
    else if (dice < 66) this.release();
    else if (dice < 78) await this.restart();
    else if (dice < 88) this.toggle();
    else if (dice < 95) await this.crash();
    else await this.fullDisk();
    await this.checkRecord();
  }
}

Deno.test(`${rounds} rounds of giving devices and taking them back: none is lost, none is given twice`, async () => {
  const world = new World(20261125);
  await world.boot();
  world.offer();
  for (let round = 0; round < rounds; round++) {
    await world.round().catch((error) => {
      throw new Error(`round ${round}: ${error.message}`, { cause: error });
    });
  }
  for (const [what, times] of Object.entries(world.seen)) assert(times > 100, `${what}: only ${times} times`);
});
