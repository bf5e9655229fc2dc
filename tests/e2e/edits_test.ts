/** A changed manifest changes only what it must; a removed one leaves nothing. Not for: broken manifests. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { Container, Pod } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent, isReady } from "./agent.ts";
import { until } from "./containerd.ts";
import { writeImageArchive } from "../../tools/busybox_image.ts";
import { cgroupMounts, networkNamespaces, podTraces } from "./leftovers.ts";
import { podOf, shell, statusOf, stay } from "./pods.ts";

const idOf = (pod: Pod, container: string): string =>
  statusOf(pod, container).containerID!.replace("containerd://", "");

const pairOf = (edited: Container): Pod => podOf("pair", [edited, shell("other", stay)]);

/** Waits until the agent runs this definition, as the pod's spec and a new container show. */
async function untilReplaced(agent: AgentUnderTest, before: Pod): Promise<Pod> {
  const old = idOf(before, "edited");
  return await agent.untilPod(
    "pair",
    "runs a new container",
    (p) => isReady(p) && idOf(p, "edited") !== old,
  );
}

async function checkInPlace(agent: AgentUnderTest): Promise<void> {
  await writeImageArchive(agent.images, "second.tar", {
    tags: ["localhost/agent/second:1"],
    files: { "/which": "2" },
  });
  const first = shell("edited", `echo one; ${stay}`);
  const edits: [Container, RegExp][] = [
    [shell("edited", `echo two; ${stay}`), /^two\n/],
    [shell("edited", `echo $WORD; ${stay}`, { env: [{ name: "WORD", value: "three" }] }), /^three\n/],
    [shell("edited", `cat /which; echo; ${stay}`, { image: "localhost/agent/second:1" }), /^2\n/],
  ];
  await agent.write("pair.yaml", pairOf(first));
  let before = await agent.untilReady("pair");
  for (const [edited, pattern] of edits) {
    await agent.write("pair.yaml", pairOf(edited));
    const after = await untilReplaced(agent, before);
    await agent.untilLog("pair", "edited", pattern);
    assertEquals(idOf(after, "other"), idOf(before, "other"), "the other container goes on");
    assertEquals(after.status?.podIP, before.status?.podIP, "in the same sandbox");
    assertEquals(after.metadata?.uid, before.metadata?.uid);
    before = after;
  }
  assertEquals(statusOf(before, "other").restartCount, 0);
}

/** A file of a container's cgroup; the containers of pods lie below the agent's own root. */
function cgroupValue(
  agent: AgentUnderTest,
  pod: Pod,
  container: string,
  names: string[],
): string | undefined {
  const below = `kubepods/burstable/pod${pod.metadata!.uid}/${idOf(pod, container)}`;
  for (const mount of cgroupMounts()) {
    for (const name of names) {
      try {
        return Deno.readTextFileSync(`${mount}${agent.places().cgroupRoot}/${below}/${name}`).trim();
      } catch {
        // Another hierarchy has it.
      }
    }
  }
  return undefined;
}

async function checkResources(agent: AgentUnderTest): Promise<void> {
  const sized = (memory: string, cpu: string) =>
    podOf("sized", [
      shell("main", stay, {
        resources: { requests: { cpu: "50m", memory: "8Mi" }, limits: { memory, cpu } },
      }),
    ]);
  const memory = (pod: Pod) => cgroupValue(agent, pod, "main", ["memory.limit_in_bytes", "memory.max"]);
  const quota = (pod: Pod) => cgroupValue(agent, pod, "main", ["cpu.cfs_quota_us", "cpu.max"]);
  await agent.write("sized.yaml", sized("32Mi", "100m"));
  const before = await agent.untilReady("sized");
  assertEquals(memory(before), `${32 * 2 ** 20}`);
  for (const [limit, cpu, micros] of [["64Mi", "200m", "20000"], ["24Mi", "50m", "5000"]] as const) {
    await agent.write("sized.yaml", sized(limit, cpu));
    const bytes = `${parseInt(limit) * 2 ** 20}`;
    await until(
      `memory limit ${limit}, quota ${micros}`,
      () => memory(before) === bytes && quota(before)!.split(" ")[0] === micros,
    );
  }
  const given = (p: Pod) => statusOf(p, "main").resources?.limits;
  const after = await agent.untilPod(
    "sized",
    "says what it was given",
    (p) => given(p)?.["memory"] === "24Mi",
  );
  assertEquals([idOf(after, "main"), statusOf(after, "main").restartCount], [idOf(before, "main"), 0]);
  assertEquals(given(after), { memory: "24Mi", cpu: "50m" });
}

/** Looks as often as it can whether two generations of a pod run at the same time, until told to stop. */
async function watchOverlap(name: string, signal: AbortSignal): Promise<string[]> {
  const overlaps: string[] = [];
  while (!signal.aborted) {
    const running: string[] = [];
    for (const entry of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(entry.name)) continue;
      try {
        const command = Deno.readTextFileSync(`/proc/${entry.name}/cmdline`);
        if (command.startsWith(`sh\0-c\0: ${name} `)) running.push(command.split(" ")[2]!);
      } catch {
        // It ended meanwhile.
      }
    }
    if (new Set(running).size > 1) overlaps.push(running.join(" and "));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return overlaps;
}

async function checkRecreate(agent: AgentUnderTest): Promise<void> {
  const name = `moved${crypto.randomUUID().slice(0, 8)}`;
  const generation = (i: number, spec: Parameters<typeof podOf>[2]) =>
    podOf(name, [
      shell("main", `: ${name} ${i} ; hostname; trap 'sleep 0.3; exit 0' TERM; sleep 100000 & wait`),
    ], spec);
  const stop = new AbortController();
  const overlap = watchOverlap(name, stop.signal);
  await agent.write("moved.yaml", generation(0, {}));
  let before = await agent.untilReady(name);
  for (const [i, spec] of [{ hostname: "renamed" }, { hostname: "renamed", hostNetwork: true }].entries()) {
    const old = idOf(before, "main");
    await agent.write("moved.yaml", generation(i + 1, spec));
    const after = await agent.untilPod(name, "recreated", (p) => isReady(p) && idOf(p, "main") !== old);
    assertNotEquals(after.status?.podIP, before.status?.podIP);
    assert(!(await agent.ctr("containers", "list", "-q")).includes(old), "the old container is gone");
    before = after;
  }
  stop.abort();
  assertEquals(await overlap, [], "never two generations at once");
  assertEquals(before.status?.podIP, before.status?.hostIP);
  assertEquals((await agent.ctr("tasks", "list", "-q")).trim().split("\n").length, await countTasks(agent));
}

/** Containers and sandboxes that should run. */
async function countTasks(agent: AgentUnderTest): Promise<number> {
  const pods = await agent.pods();
  return pods.reduce((sum, pod) => sum + 1 + (pod.spec?.containers.length ?? 0), 0);
}

async function checkDelete(agent: AgentUnderTest): Promise<void> {
  const namespaces = networkNamespaces(agent.places());
  const pod = podOf("leaver", [
    shell("main", `echo here; ${stay}`, {
      resources: { limits: { memory: "32Mi" } },
      volumeMounts: [{ name: "memory", mountPath: "/memory" }, { name: "disk", mountPath: "/disk" }],
    }),
  ], {
    volumes: [{ name: "memory", emptyDir: { medium: "Memory" } }, { name: "disk", emptyDir: {} }],
  });
  await agent.write("leaver.yaml", pod);
  const seen = await agent.untilReady("leaver");
  const identity = {
    uid: seen.metadata!.uid!,
    name: "leaver",
    ip: seen.status!.podIP!,
    containerIds: [idOf(seen, "main")],
  };
  const traces = await podTraces(agent.places(), identity);
  for (const kind of ["mount ", "/pods/", "/logs/containers/", "/ipam/", "/kubepods/"]) {
    assert(
      traces.some((t) => t.includes(kind)),
      `the test knows where to look for ${kind}: ${traces.join("\n")}`,
    );
  }
  assertEquals(networkNamespaces(agent.places()).length, namespaces.length + 1);
  await agent.remove("leaver.yaml");
  await agent.untilGone("leaver");
  assertEquals(await podTraces(agent.places(), identity), []);
  assertEquals(networkNamespaces(agent.places()), namespaces);
  assert(!(await agent.ctr("containers", "list", "-q")).includes(identity.containerIds[0]!));
}

async function checkGrace(agent: AgentUnderTest): Promise<void> {
  const farewell = `${agent.directory}/farewell`;
  await Deno.mkdir(farewell);
  const volumeMounts = [{ name: "out", mountPath: "/out" }];
  const polite = "trap 'echo bye > /out/polite; exit 0' TERM; sleep 100000 & wait";
  const deaf = "trap '' TERM; while :; do sleep 100000; done";
  await agent.write(
    "grace.yaml",
    podOf("grace", [shell("polite", polite, { volumeMounts }), shell("deaf", deaf, { volumeMounts })], {
      terminationGracePeriodSeconds: 1,
      volumes: [{ name: "out", hostPath: { path: farewell } }],
    }),
  );
  await agent.untilReady("grace");
  const began = performance.now();
  await agent.remove("grace.yaml");
  await agent.untilPod("grace", "terminates", (p) => p.metadata?.deletionTimestamp !== undefined);
  await agent.untilGone("grace");
  const ms = performance.now() - began;
  assertEquals(await Deno.readTextFile(`${farewell}/polite`), "bye\n");
  assert(ms >= 1000 && ms < 6000, `the deaf one was given a second, and killed: ${ms} ms`);
}

async function checkSecondThought(agent: AgentUnderTest): Promise<void> {
  const slow = podOf("again", [shell("main", "trap 'sleep 0.5; exit 0' TERM; echo up; sleep 100000 & wait")]);
  await agent.write("again.yaml", slow);
  const before = await agent.untilReady("again");
  await agent.remove("again.yaml");
  await agent.untilPod("again", "terminates", (p) => p.metadata?.deletionTimestamp !== undefined);
  await agent.write("again.yaml", slow);
  const after = await agent.untilPod(
    "again",
    "runs again",
    (p) =>
      isReady(p) && p.metadata?.deletionTimestamp === undefined && idOf(p, "main") !== idOf(before, "main"),
  );
  const running = (await agent.ctr("tasks", "list")).split("\n").filter((line) => line.includes("RUNNING"));
  assertEquals(running.length, await countTasks(agent), "nothing of the first life is left running");
  assertEquals(after.status?.phase, "Running");
  await agent.remove("again.yaml");
  await agent.untilGone("again");
}

Deno.test("edits and removals", async (t) => {
  await using agent = await createAgent();
  await agent.start();
  await t.step(
    "command, env or image of one container restart that one, in the same sandbox",
    () => checkInPlace(agent),
  );
  await t.step("resources alone change in place", () => checkResources(agent));
  await t.step("what the sandbox depends on makes a new pod, after the old one", () => checkRecreate(agent));
  await t.step("a removed pod is asked to end, and killed when its time is over", () => checkGrace(agent));
  await t.step("a manifest that comes back while its pod ends", () => checkSecondThought(agent));
  await t.step(
    "a removed pod leaves no process, mount, cgroup, address, namespace, log or link",
    () => checkDelete(agent),
  );
});
