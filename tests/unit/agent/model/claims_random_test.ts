/**
 * Claims in random stories: manifests come and go, pods take and let go of claims, provisioners make, fail and answer
 * too late, the agent is killed at any step. No volume is lost, doubled, or deleted while it is used, and in the end
 * nothing is left. Not for: single rules (claims_test.ts).
 */
import { assert, assertEquals } from "@std/assert";
import {
  type ClaimRecords,
  type ClaimWork,
  learnClaims,
  noRecords,
  planClaims,
  volumeNameOf,
} from "../../../../agent/model/claims.ts";
import type { PersistentVolume } from "../../../../agent/model/gen/v1.ts";
import { claimOf, classOf, type Scene, volumeOf, worldOf } from "./claims_lab.ts";

/** Mulberry32. */
function randomOf(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const names = ["a", "b", "c"];
const manifests = [volumeOf("m1", "1Gi"), volumeOf("m2", "2Gi")];

interface Story {
  /** On disk. */
  records: ClaimRecords;
  /** What manifests say. */
  claims: Map<string, "static" | "dynamic">;
  volumes: Set<string>;
  complete: boolean;
  /** Uids of claims that pods have. */
  used: Set<string>;
  /** Volumes that the provisioner has, by name: how often it was made. */
  backend: Map<string, number>;
  /** Work that was begun, and whether its effect has happened. */
  running: { work: ClaimWork; happened: boolean }[];
}

const sceneOf = (s: Story): Scene => ({
  claims: [...s.claims].map(([name, kind]) =>
    claimOf(name, { storageClassName: kind === "static" ? "" : "c" })
  ),
  volumes: manifests.filter((v) => s.volumes.has(v.metadata!.name!)),
  classes: [classOf("c")],
});

const made = (name: string): PersistentVolume =>
  volumeOf(name, "1Gi", {
    csi: { driver: "csi.example.com", volumeHandle: name },
    persistentVolumeReclaimPolicy: "Delete",
    storageClassName: "c",
  });

const workName = (work: ClaimWork) =>
  work.kind === "provision"
    ? work.record.uid
    : work.kind === "delete"
    ? work.volume.metadata!.name!
    : "expand";

/** One round of the agent: saved before anything is begun. */
function round(s: Story): void {
  const plan = planClaims(s.records, worldOf(sceneOf(s), { complete: s.complete, used: s.used }));
  s.records = plan.records;
  for (const work of plan.work) {
    if (s.running.some((r) => workName(r.work) === workName(work))) continue;
    if (work.kind === "provision") {
      s.records = learnClaims(s.records, { kind: "asked", key: work.key, storageClass: work.storageClass });
    }
    s.running.push({ work, happened: false });
  }
}

function effect(s: Story, work: ClaimWork): void {
  if (work.kind === "provision") {
    const name = volumeNameOf(work.record);
    s.backend.set(name, 1);
  } else if (work.kind === "delete") {
    const claim = s.records.volumes[work.volume.metadata!.name!]?.claim;
    assert(claim === undefined || !s.used.has(claim.uid), "a volume is deleted while a pod has it");
    s.backend.delete(work.volume.metadata!.name!);
  }
}

function answer(s: Story, work: ClaimWork): void {
  if (work.kind === "provision") {
    const volume = made(volumeNameOf(work.record));
    s.records = learnClaims(s.records, { kind: "provisioned", key: work.key, volume, now: 1 });
  } else if (work.kind === "delete") {
    s.records = learnClaims(s.records, { kind: "deleted", name: work.volume.metadata!.name! });
  }
}

function step(s: Story, random: (below: number) => number): void {
  const name = names[random(names.length)]!;
  switch (random(10)) {
    case 0:
      s.claims.set(name, random(2) === 0 ? "static" : "dynamic");
      break;
    case 1:
      s.claims.delete(name);
      break;
    case 2: {
      const volume = manifests[random(manifests.length)]!.metadata!.name!;
      if (!s.volumes.delete(volume)) s.volumes.add(volume);
      break;
    }
    case 3: {
      // As volumeFor has it: only of a claim that is bound, and on record before.
      const record = s.records.claims[`default/${name}`];
      const bound = Object.values(s.records.volumes).some((v) => v.claim.uid === record?.uid);
      if (record !== undefined && bound && record.deletedAt === undefined) s.used.add(record.uid);
      break;
    }
    case 4:
      for (const uid of s.used) if (random(2) === 0) s.used.delete(uid);
      break;
    case 5:
    case 6: {
      const one = s.running[random(s.running.length)];
      if (one === undefined) break;
      if (!one.happened) effect(s, one.work);
      one.happened = true;
      break;
    }
    case 7: {
      const at = random(s.running.length);
      const one = s.running[at];
      if (one === undefined) break;
      s.running.splice(at, 1);
      if (one.happened) answer(s, one.work);
      break;
    }
    case 8:
      // Killed: what was begun may still happen in the provisioner, and nobody hears of it.
      for (const { work, happened } of s.running) if (!happened && random(2) === 0) effect(s, work);
      s.running = [];
      s.complete = false;
      break;
    default:
      s.complete = true;
  }
}

function check(s: Story): void {
  const { claims, volumes } = s.records;
  const uids = Object.values(claims).map((c) => c.uid);
  assertEquals(new Set(uids).size, uids.length, "two claims with one uid");
  const bound = Object.values(volumes).map((v) => v.claim.uid);
  assertEquals(new Set(bound).size, bound.length, "two volumes of one claim");
  for (const uid of s.used) {
    const volume = Object.values(volumes).find((v) => v.claim.uid === uid);
    assert(volume !== undefined, "a pod's volume is forgotten");
    assert(!volume.provisioned || s.backend.has(volume.volume.metadata!.name!), "a pod's volume is gone");
  }
  for (const name of s.backend.keys()) {
    const asked = Object.values(claims).some((c) => c.provisioning !== undefined && volumeNameOf(c) === name);
    assert(volumes[name] !== undefined || asked, "a volume is lost");
  }
}

/** Until nothing is left to do; everything succeeds. */
function finish(s: Story): void {
  s.complete = true;
  for (let i = 0; i < 20; i++) {
    round(s);
    for (const { work, happened } of s.running.splice(0)) {
      if (!happened) effect(s, work);
      answer(s, work);
    }
    check(s);
  }
}

Deno.test("random claims: no volume is lost, doubled, or deleted while it is used, whenever the agent is killed", () => {
  for (let seed = 1; seed <= 400; seed++) {
    const random = randomOf(seed);
    const s: Story = {
      records: noRecords,
      claims: new Map(),
      volumes: new Set(),
      complete: true,
      used: new Set(),
      backend: new Map(),
      running: [],
    };
    try {
      for (let i = 0; i < 120; i++) {
        step(s, random);
        round(s);
        check(s);
      }
      finish(s);
      s.claims.clear();
      s.used.clear();
      s.volumes.clear();
      finish(s);
      assertEquals([s.records, [...s.backend.keys()]], [noRecords, []], "something is left");
    } catch (error) {
      throw new Error(`story ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }
});
