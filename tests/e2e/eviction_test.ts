/** A node of a cluster that runs short of memory and disk, on a real runtime: who is ended, who is not, and who is let in. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Node, Pod, PodSpec } from "../../agent/model/gen/v1.ts";
import { writeImageArchive } from "../../tools/busybox_image.ts";
import { isReady } from "./agent.ts";
import { type ClusterOfOne, startClusterOfOne } from "./cluster.ts";
import { podOf, shell, statusOf, stay } from "./pods.ts";

const Mi = 2 ** 20;
const freeDisk = 16 * Mi;
/** What pods may have together. */
const podMemory = 200 * Mi;

const memoryTotal = () => 1024 * Number(/MemTotal: +(\d+)/.exec(Deno.readTextFileSync("/proc/meminfo"))![1]);

const config = () =>
  `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
nodeStatusUpdateFrequency: 1s
systemReserved: { memory: "${memoryTotal() - podMemory}" }
evictionHard: { memory.available: 100Mi, nodefs.available: "${freeDisk}" }
evictionPressureTransitionPeriod: 6s
`;

/** Keeps so many bytes in a volume. */
const holder = (name: string, bytes: number, medium: string, more: Partial<PodSpec> = {}): Pod => {
  const keep = `head -c ${bytes} /dev/zero >/v/held; echo held; ${stay}`;
  const container = shell("main", keep, {
    volumeMounts: [{ name: "v", mountPath: "/v" }],
    resources: { requests: { memory: "10Mi" } },
  });
  return podOf(name, [container], { volumes: [{ name: "v", emptyDir: { medium } }], ...more });
};

const untilCondition = ({ user, node }: ClusterOfOne, type: string, status: string) =>
  user.until<Node>(
    "Node",
    node.name,
    `${type}=${status}`,
    (n) => n?.status?.conditions?.some((c) => c.type === type && c.status === status) === true,
  );

const isEvicted = (pod: Pod) => pod.status?.phase === "Failed" && pod.status.reason === "Evicted";

/** As the API server has it. */
async function checkEvicted(
  { user, kubectl, node: { agent } }: ClusterOfOne,
  name: string,
  resource: string,
) {
  const { status } = await user.untilPod(name, "evicted", isEvicted);
  const why = new RegExp(
    `^The node was low on resource: ${resource}\\. Threshold quantity: \\w+, available: \\w+\\. `,
  );
  assertMatch(status?.message ?? "", why);
  const target = status?.conditions?.find((c) => c.type === "DisruptionTarget");
  assertEquals([target?.status, target?.reason, target?.message], [
    "True",
    "TerminationByKubelet",
    status?.message,
  ]);
  interface Seen {
    reason: string;
    involvedObject: { name: string };
    metadata: { annotations?: Record<string, string> };
  }
  const events = JSON.parse(await kubectl(["get", "events", "-o", "json"])) as { items: Seen[] };
  const told = events.items.find((e) => e.reason === "Evicted" && e.involvedObject.name === name);
  assertEquals(told?.metadata.annotations?.["starved_resource"], resource);
  const { stdout } = await agent.cli("describe", "pod", name);
  assertMatch(stdout, /Reason: +Evicted/);
  assertMatch(stdout, /The node was low on resource/);
  return status?.message ?? "";
}

/** Seen by all until it goes again; meanwhile the pod is refused, in these words. */
async function checkPressure(one: ClusterOfOne, type: string, refused: Pod): Promise<void> {
  await untilCondition(one, type, "True");
  await one.node.run(refused);
  const { status } = await one.user.untilPod(refused.metadata!.name!, "refused", isEvicted);
  assertEquals(status?.message, `Pod was rejected: The node had condition: [${type}]. `);
  await untilCondition(one, type, "False");
}

async function checkMemory(one: ClusterOfOne): Promise<void> {
  const { node: { agent, run } } = one;
  await run(holder("modest", 1 * Mi, "Memory"));
  await agent.untilReady("modest");
  await run(holder("hog", 130 * Mi, "Memory"));
  await checkPressure(one, "MemoryPressure", podOf("beggar", [shell("main", stay)]));
  const message = await checkEvicted(one, "hog", "memory");
  assertMatch(message, /Threshold quantity: 100Mi/);
  assertMatch(message, /Container main was using \w+, request is 10Mi, has larger consumption of memory\. $/);
  assert(isReady((await agent.pod("modest"))!), "who kept to its request runs on");
}

const bytesFree = async (path: string): Promise<number> => {
  const { stdout } = await new Deno.Command("stat", { args: ["-f", "-c", "%a %S", path] }).output();
  const [blocks, size] = new TextDecoder().decode(stdout).split(" ").map(Number);
  return blocks! * size!;
};

/** An image as from a registry that nobody uses, and a container that has ended for good. */
async function leaveOver({ user, node: { agent, run } }: ClusterOfOne): Promise<() => Promise<void>> {
  const name = "registry.example/unused:1";
  const path = `${agent.directory}/unused`;
  await Deno.mkdir(path);
  await writeImageArchive(path, "unused.tar", { tags: [name], files: { "/unused": "x" } });
  await agent.ctr("images", "import", `${path}/unused.tar`);
  const digest = /sha256:[0-9a-f]{64}/.exec(await agent.ctr("images", "ls", `name==${name}`))![0];
  await agent.ctr("images", "tag", name, `registry.example/unused@${digest}`);
  await run(podOf("done", [shell("main", "exit 0")], { restartPolicy: "Never" }));
  const done = await user.untilPod("done", "succeeded", (p) => p.status?.phase === "Succeeded");
  const id = statusOf(done, "main").containerID!.replace("containerd://", "");
  const left = async () => {
    const [images, containers] = await Promise.all([
      agent.ctr("images", "ls", "-q"),
      agent.ctr("containers", "ls", "-q"),
    ]);
    return [images.includes(name), images.includes("demo"), containers.includes(id)];
  };
  assertEquals(await left(), [true, true, true]);
  return async () => {
    assertEquals(await left(), [false, true, false]);
    const still = user.pod("done")!;
    assertEquals([still.status?.phase, statusOf(still, "main").state?.terminated?.exitCode], [
      "Succeeded",
      0,
    ]);
  };
}

async function checkDisk(one: ClusterOfOne): Promise<void> {
  const { node: { agent, run } } = one;
  const checkTidy = await leaveOver(one);
  const left = await bytesFree(agent.root) - freeDisk;
  // Static, and the largest: it stays all the same.
  await agent.write("static.yaml", holder("static", Math.floor(left * 0.6), ""));
  await agent.untilLog("static", "main", /held/);
  await run(holder("writer", Math.floor(left * 0.55), ""));
  await checkPressure(one, "DiskPressure", holder("late", 1, ""));
  await checkEvicted(one, "writer", "ephemeral-storage");
  await checkTidy();
  for (const name of ["static", "modest"]) assert(isReady((await agent.pod(name))!), `${name} runs on`);
  await run(holder("welcome", 1, ""));
  await agent.untilReady("welcome");
}

Deno.test("a node that is short of something ends who uses too much of it", async (t) => {
  await using one = await startClusterOfOne({ config: config(), rootSize: 96 * Mi });
  await t.step(
    "memory: who uses more than it asked for is evicted, and none that asks for nothing is let in",
    () => checkMemory(one),
  );
  await t.step(
    "disk: the largest goes that is not static, its volume is cleared, and the node recovers",
    () => checkDisk(one),
  );
});
