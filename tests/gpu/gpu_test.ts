/**
 * NVIDIA's GPUs of this machine, in containers: found, given, refused, kept over a kill, given to the next. Runs where a
 * GPU and a C compiler are: `make gpu`. Not for: device plugins and CDI specs, which tests/e2e has without hardware.
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { dirname } from "@std/path";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { parseGpu } from "../../agent/model/nvidia.ts";
import { PodResourcesListerDefinition } from "../../plugins/rpc/gen/podresources.ts";
import { createChannel, createClient } from "../../plugins/rpc/mod.ts";
import { writeImageArchive } from "../../tools/busybox_image.ts";
import { type AgentUnderTest, createAgent, output } from "../e2e/agent.ts";
import { identityOf, podOf } from "../e2e/pods.ts";

const resource = "nvidia.com/gpu";
const image = "localhost/agent/gpu:1";

const gpus = [...listDirectory("/proc/driver/nvidia/gpus")].flatMap((bus) =>
  parseGpu(bus, Deno.readTextFileSync(`/proc/driver/nvidia/gpus/${bus}/information`)) ?? []
);
const all = { resources: { limits: { [resource]: `${gpus.length}` } } };

function listDirectory(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** The probe with the C library that it was built for, and nothing of NVIDIA's. */
async function writeProbeImage(agent: AgentUnderTest): Promise<void> {
  const probe = `${agent.directory}/probe`;
  const source = new URL("./probe.c", import.meta.url).pathname;
  const built = await output("cc", ["-O1", "-o", probe, source, "-ldl"]);
  assertEquals(built.code, 0, `cc: ${built.stderr}`);
  const { stdout } = await output("ldd", [probe]);
  const libc = /=> (\S+\/libc\.so\.6)/.exec(stdout)![1]!;
  const loader = /^\s*(\/\S+\/ld-linux\S+)/m.exec(stdout)![1]!;
  // What programs and libraries of NVIDIA's are linked against.
  const besides = ["libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"];
  const paths = [loader, libc, ...besides.map((name) => `${dirname(libc)}/${name}`)];
  const files = Object.fromEntries(paths.map((path) => [path, Deno.readFileSync(path)]));
  await writeImageArchive(agent.images, "gpu.tar", {
    tags: [image],
    files: { ...files, "/bin/probe": Deno.readFileSync(probe) },
  });
}

const probing = (name: string, argument: string, more: object): Pod =>
  podOf(name, [{ name: "main", image, command: ["probe", argument], ...more }], { restartPolicy: "Never" });

/** Ids of the devices of each container, as exporters see them. */
async function usesOf(agent: AgentUnderTest): Promise<string[][]> {
  const channel = createChannel(`${agent.root}/pod-resources/kubelet.sock`);
  try {
    const signal = AbortSignal.timeout(5000);
    const { podResources } = await createClient(PodResourcesListerDefinition, channel).list({}, { signal });
    return podResources.flatMap((pod) =>
      pod.containers.flatMap((c) => c.devices.map((d) => [pod.name, d.resourceName, ...d.deviceIds]))
    );
  } finally {
    channel.close();
  }
}

async function checkOffer(agent: AgentUnderTest): Promise<void> {
  const { stdout } = await agent.cli("get", "devices", "--no-headers");
  for (const { bus } of gpus) assertMatch(stdout, new RegExp(`^${resource} +${bus} +Healthy`, "m"));
}

async function checkHolder(agent: AgentUnderTest): Promise<Pod> {
  await agent.write("holder.yaml", probing("holder", "hold", all));
  const log = await agent.untilLog("holder", "main", /sum/);
  for (const gpu of gpus) assertStringIncludes(log, `of ${gpus.length}: ${gpu.model}`);
  assertMatch(log, /^sum 1047552 by CUDA/m);
  const listed = await agent.cli("exec", "holder", "--", "/usr/bin/nvidia-smi", "-L");
  assertEquals([listed.code, listed.stdout.trim().split("\n").length], [0, gpus.length], listed.stderr);
  const [pod, name, ...ids] = (await usesOf(agent))[0] ?? [];
  assertEquals([pod, name, ids.sort()], ["holder", resource, gpus.map((gpu) => gpu.bus).sort()]);
  return (await agent.pod("holder"))!;
}

async function checkOthers(agent: AgentUnderTest): Promise<void> {
  await agent.write("bare.yaml", probing("bare", "once", {}));
  await agent.write("next.yaml", probing("next", "once", all));
  await agent.untilEnded("bare");
  assertStringIncludes(await agent.logs("bare", "main"), "no driver: libcuda.so.1");
  await untilRefused(agent);
}

async function untilRefused(agent: AgentUnderTest): Promise<void> {
  const { status } = await agent.untilPod("next", "finds none", (p) => p.status?.phase === "Failed");
  assertEquals(status?.reason, `OutOf${resource}`, status?.message);
}

Deno.test({
  name: "a GPU is found, given, refused, kept over a kill of the agent, and given to the next",
  ignore: gpus.length === 0,
  async fn() {
    await using agent = await createAgent();
    await writeProbeImage(agent);
    await agent.start();
    await checkOffer(agent);
    const before = await checkHolder(agent);
    await checkOthers(agent);
    await agent.kill();
    await agent.start();
    const after = await agent.untilReady("holder");
    assertEquals(identityOf(after), identityOf(before), "the next agent restarts nothing");
    assertEquals((await usesOf(agent)).map(([pod]) => pod), ["holder"]);
    await untilRefused(agent);
    await agent.remove("holder.yaml");
    await agent.untilPod("next", "has its turn", (p) => p.status?.phase === "Succeeded");
    assertEquals(await usesOf(agent), []);
  },
});
