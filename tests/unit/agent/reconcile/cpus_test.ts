import { assertEquals, assertRejects } from "@std/assert";
import { defaultCpuPolicy } from "../../../../agent/model/cpu.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { LinuxResources } from "../../../../agent/model/container.ts";
import { emptyMemory } from "../../../../agent/model/plan.ts";
import { updateCpus } from "../../../../agent/reconcile/cpus.ts";
import type { ApplyOptions, PodRound } from "../../../../agent/reconcile/specs.ts";
import { noObjects } from "../../../../agent/model/wish.ts";
import { container, podOf } from "./bench.ts";

/** What is done to the world, in order. */
function createStage(moved: ReadonlyMap<string, string> = new Map(), refuses = "") {
  const log: string[] = [];
  const say = (what: string) => {
    log.push(what);
    return what === refuses ? Promise.reject(new AgentError("Unknown", "busy")) : Promise.resolve();
  };
  const limits = { cpu: "1", memory: "1Mi" };
  const o = {
    node: { cpu: defaultCpuPolicy, memoryCapacity: 2 ** 30, hugePageSizes: [] },
    placement: {
      cpusOf: (_: string, name: string) => ({ cpus: "?", own: name === "a" }),
      saved: () => say("saved"),
    },
    cgroups: { makeRoom: () => say("pod has room"), ensure: () => say("pod has limits") },
    runtime: {
      updateContainerResources: (id: string, { cpus, cpuQuota = -1 }: LinuxResources) =>
        say(`${id} on ${cpus} quota ${cpuQuota}`),
    },
    storage: { keepNote: (_: string, name: string, text: string) => say(`note ${name}: ${text}`) },
  } as unknown as ApplyOptions;
  const pod = podOf("web", [
    { ...container("a"), resources: { limits } },
    { ...container("b"), resources: { limits } },
  ]);
  const round = {
    uid: pod.uid,
    desired: pod,
    objects: noObjects,
    memory: { ...emptyMemory, cpus: moved },
    observed: { containers: [{ id: "b0" }, { id: "a0" }] },
  } as unknown as PodRound;
  const containers = [{ name: "a", id: "a0", cpus: "1" }, { name: "b", id: "b0", cpus: "0" }];
  const run = () => updateCpus(o, round, { kind: "updateCpus", containers }, new AbortController().signal);
  return { log, containers, run };
}

Deno.test("who has which CPUs is on disk, and that they move, before containers do; CPUs of one's own have no quota", async () => {
  const { log, containers, run } = createStage();
  assertEquals(await run(), { kind: "cpus", given: containers });
  assertEquals(log, [
    "saved",
    "note cpus: a0 b0",
    "pod has room",
    "a0 on 1 quota -1",
    "b0 on 0 quota 100000",
    "pod has limits",
  ]);
});

Deno.test("that they have moved is written once", async () => {
  const { log, run } = createStage(new Map([["a0", "2"], ["b0", ""]]));
  await run();
  assertEquals(log.filter((what) => what.startsWith("note")), []);
});

Deno.test("what cannot be moved is tried again", async () => {
  const { log, run } = createStage(new Map(), "b0 on 0 quota 100000");
  await assertRejects(run, AgentError, "busy");
  assertEquals(log.at(-1), "b0 on 0 quota 100000");
});
