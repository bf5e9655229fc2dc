/**
 * A node of a cluster is killed again and again, its runtime too, while pods come and go at an API server that is away at
 * times. In the end exactly what is wanted runs, what has ended stays ended, and nothing is left of what is gone.
 * CHAOS=full kills a hundred times; CHAOS_SEED repeats a run. Not for: manifests and plugins (chaos_test.ts).
 */
import { join } from "@std/path";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { findContainerd } from "../../plugins/containerd/processes.ts";
import { signalProcess, waitForExit } from "../../plugins/processes/proc.ts";
import { kinds } from "../fakes/cluster/world.ts";
import { isReady } from "../e2e/agent.ts";
import { type ClusterOfOne, type Manifest, startClusterOfOne } from "../e2e/cluster.ts";
import { configMap, podOf, shell, stay } from "../e2e/pods.ts";
import { doubles } from "./expect.ts";
import { names, text } from "./files.ts";
import { seeded } from "./script.ts";
import { createListReader, type Lists } from "./world.ts";

const kills = Number(Deno.env.get("CHAOS_KILLS") ?? (Deno.env.get("CHAOS") === "full" ? 100 : 8));
const seed = Number(Deno.env.get("CHAOS_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);
/** A watch that could not be opened for long is tried again after half a minute. */
const patienceMs = 75_000;
const restEvery = 4;
const most = 8;

type Fate = "Running" | "Succeeded" | "Failed";

interface Stage {
  one: ClusterOfOne;
  lists(): Promise<Lists>;
  /** Where each start of a pod's program leaves a letter. */
  starts: string;
  random(): number;
  wanted: Map<string, Fate>;
  /** Of pods that have ended: how often they had been started when that was seen. */
  ended: Map<string, number>;
  /** What was never to be. */
  violations: string[];
  told: string[];
  away: boolean;
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const startsOf = ({ starts }: Stage, name: string) => (text(join(starts, name)) ?? "").length;

function podWith(fate: Fate, name: string, starts: string): Pod {
  const end = { Running: stay, Succeeded: "exit 0", Failed: "exit 3" }[fate];
  return podOf(name, [
    shell("main", `printf x >>/starts/${name}; ${end}`, {
      volumeMounts: [{ name: "starts", mountPath: "/starts" }, { name: "page", mountPath: "/page" }],
    }),
  ], {
    restartPolicy: fate === "Running" ? "Always" : "Never",
    volumes: [{ name: "starts", hostPath: { path: starts } }, { name: "page", configMap: { name: "page" } }],
  });
}

async function add(stage: Stage, n: number): Promise<void> {
  const fate = (["Running", "Running", "Succeeded", "Failed"] as const)[Math.floor(stage.random() * 4)]!;
  const name = `p${n}`;
  stage.told.push(`add ${name}, ${fate}`);
  await stage.one.node.run(podWith(fate, name, stage.starts));
  stage.wanted.set(name, fate);
}

/** By the API as users do, or by force, which is all that is possible while it is away. */
async function remove(stage: Stage): Promise<void> {
  const all = [...stage.wanted.keys()];
  const name = all[Math.floor(stage.random() * all.length)]!;
  const { cluster, user } = stage.one;
  const forced = stage.away || stage.random() < 0.3;
  stage.told.push(`remove ${name}${forced ? " by force" : ""}`);
  const pod = user.get("Pod", name);
  if (!forced) await user.remove("Pod", name);
  else if (pod !== undefined) cluster.world.store.remove(kinds.pod, pod as never);
  stage.wanted.delete(name);
  stage.ended.delete(name);
}

async function turnAway(stage: Stage): Promise<void> {
  stage.away = !stage.away;
  stage.told.push(stage.away ? "the API server goes away" : "the API server is back");
  await (stage.away ? stage.one.cluster.pause() : stage.one.cluster.resume());
}

async function killRuntime({ one: { node: { agent } }, told }: Stage): Promise<void> {
  told.push("kill the runtime");
  const running = findContainerd(join(agent.root, "agent/containerd/config.toml"));
  if (running === undefined) return;
  signalProcess(running, "SIGKILL");
  await waitForExit(running, 5000);
}

async function round(stage: Stage, index: number): Promise<void> {
  const { random, one: { node, cluster } } = stage;
  const dice = () => random();
  for (let i = 0; i < 2; i++) {
    if (!stage.away && stage.wanted.size < most) await add(stage, index * 2 + i);
    if (stage.wanted.size > 3 && dice() < 0.5) await remove(stage);
    await sleep(dice() * 600);
  }
  const fault = dice();
  if (fault < 0.4) await turnAway(stage);
  else if (fault < 0.7) cluster.cutWatches({ half: dice() < 0.5 });
  if (dice() < 0.2) await killRuntime(stage);
  await sleep(dice() * 800);
  stage.told.push("kill the agent");
  await node.agent.kill();
  await sleep(dice() * 200);
  await node.start();
}

/** What is not yet as it should be. */
async function complaints(stage: Stage): Promise<string[]> {
  const { one: { cluster, node: { agent } }, wanted, ended } = stage;
  const pods = cluster.world.store.list(kinds.pod, "default") as unknown as Pod[];
  const found = new Map(pods.map((pod) => [pod.metadata!.name!, pod]));
  const running = pods.filter((p) => wanted.get(p.metadata!.name!) === "Running").map((p) =>
    p.metadata!.uid!
  );
  const { sandboxes, containers } = await stage.lists();
  const ready = sandboxes.filter((s) => s.ready).map((s) => s.uid);
  const uids = new Set(pods.map((p) => p.metadata!.uid!));
  return [
    ...[...wanted].filter(([name, fate]) => !isAsWanted(found.get(name), fate)).map(([name, fate]) =>
      `${name} should be ${fate}: ${JSON.stringify(found.get(name)?.status)}`
    ),
    ...[...found.keys()].filter((name) => !wanted.has(name)).map((name) => `${name} should be gone`),
    ...running.filter((uid) => !ready.includes(uid)).map((uid) => `no sandbox of ${uid}`),
    ...ready.filter((uid) => !running.includes(uid)).map((uid) => `a sandbox of ${uid} is left`),
    ...[...sandboxes, ...containers].filter((c) => !uids.has(c.uid)).map((c) => `${c.id} is an orphan`),
    ...names(join(agent.root, "pods")).filter((uid) => !uids.has(uid)).map((uid) => `directory of ${uid}`),
    ...[...ended].filter(([name, starts]) => startsOf(stage, name) !== starts).map(([name]) =>
      `${name} had ended, and was started again`
    ),
  ];
}

const isAsWanted = (pod: Pod | undefined, fate: Fate): boolean =>
  pod !== undefined && pod.status?.phase === fate && (fate !== "Running" || isReady(pod));

async function rest(stage: Stage): Promise<void> {
  if (stage.away) await turnAway(stage);
  const end = performance.now() + patienceMs;
  for (let last = ["nothing was seen"]; last.length > 0;) {
    if (stage.violations.length > 0) throw new Error(stage.violations.join("\n"));
    if (performance.now() > end) throw new Error(`it does not come to rest:\n${last.join("\n")}`);
    await sleep(50);
    last = await complaints(stage).catch((error) => [String(error)]);
  }
  for (const [name, fate] of stage.wanted) {
    if (fate !== "Running") stage.ended.set(name, startsOf(stage, name));
  }
  stage.told.push(`rest with ${stage.wanted.size} pods`);
}

async function watch(stage: Stage, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const lists = await stage.lists().catch(() => ({ sandboxes: [], containers: [] }));
    stage.violations.push(...doubles(lists));
    await sleep(80);
  }
}

Deno.test({
  name:
    `${kills} kills of a node of a cluster, seed ${seed}: its pods are as they are wanted, and nothing else is left`,
  sanitizeOps: false,
  async fn() {
    await using one = await startClusterOfOne();
    const starts = join(one.node.agent.directory, "starts");
    await Deno.mkdir(starts);
    await one.user.create(configMap("page", { text: "1" }) as Manifest);
    using reader = createListReader(one.node.agent.runtimeSocket());
    const stage: Stage = {
      one,
      lists: reader.lists,
      starts,
      random: seeded(seed),
      wanted: new Map(),
      ended: new Map(),
      violations: [],
      told: [],
      away: false,
    };
    const leave = new AbortController();
    const watching = watch(stage, leave.signal);
    try {
      for (let n = 0; n < kills; n++) {
        await round(stage, n);
        if (n % restEvery === restEvery - 1) await rest(stage);
      }
      while (stage.wanted.size > 0) await remove(stage);
      await rest(stage);
    } catch (error) {
      const log = one.node.agent.log().split("\n").slice(-40).join("\n");
      throw new Error(
        `seed ${seed}: ${(error as Error).message}\n${stage.told.slice(-40).join("\n")}\n${log}`,
      );
    } finally {
      leave.abort();
      await watching;
      if (stage.away) await one.cluster.resume();
    }
  },
});
