/** What pods may use, in the cgroups of a real kernel: limits, changes in place, usage, eviction. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import type { Container, Pod, PodSpec, ResourceRequirements } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent, isReady } from "./agent.ts";
import { until } from "./containerd.ts";
import { idOf, quotaOf, value } from "./cgroups.ts";
import { podOf, shell, statusOf, stay } from "./pods.ts";

const pidsLimit = 48;
const config = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
podPidsLimit: ${pidsLimit}
cpuCFSQuotaPeriod: 50ms
---
apiVersion: agent/v1alpha1
kind: AgentConfiguration
evictionBackOff: { initialPeriod: 1s, maxPeriod: 1s }
`;
const mi = 2 ** 20;

const unlimited = (text: string | undefined) => text === "max" || Number(text) >= 2 ** 62;
const memoryOf = (agent: AgentUnderTest, pod: Pod, container?: string) =>
  value(agent, pod, container, ["memory.limit_in_bytes", "memory.max"]);
const conditionOf = (pod: Pod, type: string) => pod.status?.conditions?.find((c) => c.type === type);

async function checkPodLevel(agent: AgentUnderTest): Promise<void> {
  const env = [{ name: "LIMIT", valueFrom: { resourceFieldRef: { resource: "limits.memory" } } }];
  const pod = podOf("whole", [
    shell("free", `echo limit $LIMIT; echo score $(cat /proc/self/oom_score_adj); ${stay}`, { env }),
    shell("own", stay, { resources: { limits: { memory: "32Mi" } } }),
  ], { resources: { requests: { cpu: "100m", memory: "64Mi" }, limits: { cpu: "500m", memory: "128Mi" } } });
  await agent.write("whole.yaml", pod);
  const seen = await agent.untilReady("whole");
  assertEquals(memoryOf(agent, seen), `${128 * mi}`);
  assertEquals([quotaOf(agent, seen), quotaOf(agent, seen, "free")], ["25000", "25000"], "half of 50 ms");
  assertEquals([memoryOf(agent, seen, "free"), memoryOf(agent, seen, "own")], [`${128 * mi}`, `${32 * mi}`]);
  const log = await agent.untilLog("whole", "free", /score/);
  assertMatch(log, new RegExp(`^limit ${128 * mi}$`, "m"));
  const score = Number(/score (\d+)/.exec(log)?.[1]);
  assert(score > 900 && score < 1000, `between best-effort and guaranteed: ${score}`);
  assertEquals(seen.status?.resources?.limits, { cpu: "500m", memory: "128Mi" });
  await agent.write("whole.yaml", {
    ...pod,
    spec: { ...pod.spec, resources: { limits: { cpu: "1", memory: "256Mi" } } },
  });
  await until("the pod's own limits change in place", () => memoryOf(agent, seen) === `${256 * mi}`);
  const after = await agent.untilPod(
    "whole",
    "says so",
    (p) => p.status?.resources?.limits?.["memory"] === "256Mi",
  );
  assertEquals([idOf(after, "free"), after.status?.podIP], [idOf(seen, "free"), seen.status?.podIP]);
}

/** Starts as many processes as it can. */
async function checkPids(agent: AgentUnderTest): Promise<void> {
  const bomb = "i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; echo all";
  await agent.write(
    "bomb.yaml",
    podOf("bomb", [shell("main", bomb, { resources: { requests: { cpu: "10m" } } })]),
  );
  const pod = await agent.untilPod(
    "bomb",
    "has run",
    (p) => statusOf(p, "main").restartCount > 0 || isReady(p),
  );
  assertEquals(value(agent, pod, undefined, ["pids.max"]), `${pidsLimit}`);
  const log = await agent.untilLog("bomb", "main", /can't fork/);
  assert(!log.includes("all"), "it never got 200 processes");
  await agent.remove("bomb.yaml");
}

const sized = (resources: ResourceRequirements, more: Partial<Container> = {}) =>
  podOf("sized", [
    shell("main", `head -c 20000000 /dev/zero > /dev/shm/held; echo holds; ${stay}`, { resources, ...more }),
  ], {
    initContainers: [
      shell("side", stay, {
        restartPolicy: "Always",
        resources: { limits: { memory: "16Mi" }, requests: { cpu: "10m" } },
      }),
    ],
  });
const requests = { cpu: "50m", memory: "8Mi" };

async function checkResize(agent: AgentUnderTest): Promise<void> {
  const change = async (resources: ResourceRequirements, what: string, done: (pod: Pod) => boolean) => {
    await agent.write("sized.yaml", sized(resources));
    return await agent.untilPod("sized", what, done);
  };
  const given = (memory: string | undefined) => (p: Pod) =>
    statusOf(p, "main").resources?.limits?.["memory"] === memory;
  const before = await change({ requests, limits: { memory: "64Mi", cpu: "200m" } }, "runs", isReady);
  await agent.untilLog("sized", "main", /holds/);
  assertEquals([memoryOf(agent, before), quotaOf(agent, before, "main")], [`${80 * mi}`, "10000"]);

  const grown = await change(
    { requests, limits: { memory: "96Mi", cpu: "400m" } },
    "has grown",
    given("96Mi"),
  );
  const files = [memoryOf(agent, grown), memoryOf(agent, grown, "main"), quotaOf(agent, grown, "main")];
  assertEquals(files, [`${112 * mi}`, `${96 * mi}`, "20000"]);
  assertEquals(statusOf(grown, "main").allocatedResources, requests);

  const refused = await change(
    { requests, limits: { memory: "12Mi", cpu: "400m" } },
    "is refused",
    (p) => conditionOf(p, "PodResizeInProgress")?.reason === "Error",
  );
  assertMatch(
    conditionOf(refused, "PodResizeInProgress")?.message ?? "",
    /^cannot decrease memory limits: .*container "main" memory limit \(12582912\) below current usage/,
  );
  assertEquals([memoryOf(agent, refused, "main"), given("96Mi")(refused)], [`${96 * mi}`, true]);

  const far = { requests: { cpu: "1000" }, limits: { memory: "96Mi" } };
  const waits = await change(
    far,
    "cannot be",
    (p) => conditionOf(p, "PodResizePending")?.reason === "Infeasible",
  );
  assertMatch(
    conditionOf(waits, "PodResizePending")?.message ?? "",
    /^Node didn't have enough capacity: cpu, requested: 1000010, capacity/,
  );
  assertEquals(quotaOf(agent, waits, "main"), "20000");

  const bare = await change({ requests }, "has no limits any more", given(undefined));
  assert(unlimited(memoryOf(agent, bare, "main")) && unlimited(memoryOf(agent, bare)));
  assert(["-1", "max"].includes(quotaOf(agent, bare, "main")!));
  assertEquals(conditionOf(bare, "PodResizePending"), undefined);
  assertEquals(
    [idOf(bare, "main"), idOf(bare, "side")],
    [idOf(before, "main"), idOf(before, "side")],
    "all in place",
  );

  await agent.kill();
  await agent.start();
  const known = await agent.untilReady("sized");
  assertEquals(
    [idOf(known, "main"), given(undefined)(known)],
    [idOf(before, "main"), true],
    "the next agent knows",
  );

  const resizePolicy = [{ resourceName: "memory", restartPolicy: "RestartContainer" }];
  await agent.write("sized.yaml", sized({ requests, limits: { memory: "64Mi" } }, { resizePolicy }));
  const restarted = await agent.untilPod(
    "sized",
    "is restarted",
    (p) => isReady(p) && statusOf(p, "main").restartCount === 1,
  );
  assertNotEquals(idOf(restarted, "main"), idOf(before, "main"));
  assertEquals([memoryOf(agent, restarted, "main"), memoryOf(agent, restarted)], [
    `${64 * mi}`,
    `${80 * mi}`,
  ]);
  assertEquals([idOf(restarted, "side"), restarted.status?.podIP], [
    idOf(before, "side"),
    before.status?.podIP,
  ]);
}

async function checkUsage(agent: AgentUnderTest): Promise<void> {
  const busy = shell("main", "while :; do :; done", {
    resources: { requests: { cpu: "100m", memory: "16Mi" }, limits: { cpu: "200m" } },
  });
  await agent.write("busy.yaml", podOf("busy", [busy]));
  await agent.untilReady("busy");
  const line = async (...args: string[]) => {
    const { stdout } = await agent.cli("top", "pods", "busy", "--no-headers", ...args);
    return stdout.trim().split(/\s+/);
  };
  await until("top sees the loop at its limit", async () => {
    const cpu = parseInt((await line())[1] ?? "0");
    return cpu > 120 && cpu < 260;
  });
  const [pod, container, cpu, memory, share] = await line("--containers", "-o", "wide");
  assertEquals([pod, container], ["busy", "main"]);
  assertMatch(`${cpu} ${memory} ${share}`, /^\d+m \d+Mi \d+%$/);
  assertMatch((await agent.cli("top", "node")).stdout, /^NAME .*\n\S+ +\d+m +\d+% +\d+Mi +\d+%\n$/);
  interface Summary {
    node: { memory: { workingSetBytes: number } };
    pods: {
      podRef: { name: string };
      cpu?: { usageCoreNanoSeconds: number };
      containers: { name: string; memory: { workingSetBytes: number } }[];
    }[];
  }
  const summary = await agent.api<Summary>("/stats/summary");
  const own = summary.pods.find((p) => p.podRef.name === "busy");
  assert(summary.node.memory.workingSetBytes > 2 ** 25);
  assert((own?.cpu?.usageCoreNanoSeconds ?? 0) > 1e8, JSON.stringify(own));
  assert(own!.containers[0]!.memory.workingSetBytes > 0);
  await agent.remove("busy.yaml");
}

/** Fills its emptyDir in its first life only. */
const fuller = (path: string) =>
  podOf("full", [
    shell(
      "main",
      `ls /v | wc -l >> /flags/lives; [ -e /flags/once ] || { touch /flags/once; head -c 3000000 /dev/zero > /v/big; }; ${stay}`,
      {
        volumeMounts: [{ name: "v", mountPath: "/v" }, { name: "flags", mountPath: "/flags" }],
      },
    ),
  ], { volumes: [{ name: "v", emptyDir: { sizeLimit: "1Mi" } }, { name: "flags", hostPath: { path } }] });

const talker = (): Pod => {
  const limit = (limit: string): Partial<Container> => ({
    resources: { limits: { "ephemeral-storage": limit } },
  });
  const spec: Partial<PodSpec> = { restartPolicy: "Never" };
  return podOf("talker", [
    shell("main", `head -c 2000000 /dev/zero | tr '\\0' 'x' | fold -w 1000; ${stay}`, limit("1Mi")),
    shell("quiet", stay, limit("100Mi")),
  ], spec);
};

async function checkEviction(agent: AgentUnderTest, path: string): Promise<void> {
  const talks = await agent.untilPod("talker", "is evicted", (p) => p.status?.phase === "Failed");
  assertEquals([talks.status?.reason, talks.status?.message], [
    "Evicted",
    'Container main exceeded its local ephemeral storage limit "1Mi". ',
  ]);
  const lives = () => Deno.readTextFile(`${path}/lives`).then((text) => text.trim().split("\n"), () => []);
  await until("full begins anew", async () => (await lives()).length === 2);
  assertEquals(await lives(), ["0", "0"], "each time with an empty volume");
  const { items } = await agent.api<{ items: { reason: string; message: string }[] }>("/events");
  const message = 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ';
  assert(items.some((e) => e.reason === "Evicted" && e.message === message), JSON.stringify(items));
  const anew = await agent.untilReady("full");
  assertEquals([anew.status?.phase, anew.status?.reason, statusOf(anew, "main").restartCount], [
    "Running",
    undefined,
    0,
  ]);
  assertEquals((await agent.pod("talker"))?.status?.phase, "Failed", "with restartPolicy Never it rests");
}

Deno.test("resources", async (t) => {
  await using agent = await createAgent({ config });
  await agent.start();
  const path = `${agent.directory}/flags`;
  await Deno.mkdir(path);
  await t.step("spec.resources of the pod limit its cgroup and its containers", () => checkPodLevel(agent));
  await t.step("podPidsLimit stops a fork bomb", () => checkPids(agent));
  await t.step(
    "resources change in place, wait, are refused, restart; the next agent knows",
    () => checkResize(agent),
  );
  // After the kill, which ends the memory of events; they are measured while others are tested.
  await agent.write("full.yaml", fuller(path), talker());
  await t.step("top and the stats summary see what is used", () => checkUsage(agent));
  await t.step(
    "sizeLimit and ephemeral-storage: what exceeds them is evicted and begins anew",
    () => checkEviction(agent, path),
  );
});
