/** Device plugins, real processes, on real containers: devices visible and usable inside, over restarts and crashes. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import type { Container, Pod } from "../../agent/model/gen/v1.ts";
import type { AgentStatus } from "../../agent/model/status_types.ts";
import {
  type DevicePluginProcess,
  devicesFile,
  pluginCommand,
  startDevicePlugin,
} from "../drivers/device/start.ts";
import { type AgentUnderTest, createAgent, isReady } from "./agent.ts";
import { until } from "./containerd.ts";
import { identityOf, podOf, shell, statusOf, stay } from "./pods.ts";
import { cutPower } from "./power_cut.ts";

const thing = "example.com/thing";
const asks = (count: number, resource = thing): Partial<Container> => ({
  resources: { limits: { [resource]: String(count) } },
});

const directoryOf = (agent: AgentUnderTest) => join(agent.root, "device-plugins");

const startPlugin = (agent: AgentUnderTest) =>
  startDevicePlugin(directoryOf(agent), [{ id: "a" }, { id: "b" }], {
    resource: thing,
    preStart: true,
    nodes: [{ containerPath: "/dev/thing", hostPath: "/dev/fuse", permissions: "r" }],
    mounts: [{ containerPath: "/lib/thing", hostPath: "/etc", readOnly: true }],
    envs: { COLOUR: "red" },
  });

const healthIn = (pod: Pod) =>
  statusOf(pod, "main").allocatedResourcesStatus?.flatMap((s) =>
    s.resources?.map((r) => `${s.name} ${r.resourceID} ${r.health}`)
  );

const isHeld = (pod: Pod) =>
  pod.status?.phase === "Pending" && pod.status.reason === "WaitingForDevices" &&
  statusOf(pod, "main").state?.waiting?.reason === "WaitingForDevices";

const using = `set -e; echo $DEVICES $COLOUR; : </dev/thing; ls -d /lib/thing/passwd; ${stay}`;

async function checkWaiting(
  agent: AgentUnderTest,
  begin: () => Promise<DevicePluginProcess>,
): Promise<void> {
  await agent.write("user.yaml", podOf("user", [shell("main", using, asks(1))]));
  const pod = await agent.untilPod("user", "waits", isHeld);
  assertStringIncludes(pod.status?.message ?? "", `container main waits for ${thing}`);
  const { stdout } = await agent.cli("events", "--for", "pod/user");
  assertMatch(stdout, /Warning +WaitingForDevices/);
  await begin();
  const ready = await agent.untilReady("user");
  assertEquals(healthIn(ready), [`${thing} a Healthy`]);
  const said = await agent.untilLog("user", "main", /passwd/);
  assertMatch(said, /a red\n\/lib\/thing\/passwd/);
  const written = await agent.cli("exec", "user", "--", "sh", "-c", ": >/dev/thing");
  assertStringIncludes(written.stderr, "Operation not permitted", "only reading is allowed");
}

async function checkRefusal(agent: AgentUnderTest): Promise<void> {
  await agent.write("greedy.yaml", podOf("greedy", [shell("main", stay, asks(2))]));
  const pod = await agent.untilEnded("greedy");
  assertEquals(pod.status?.reason, `OutOf${thing}`);
  await agent.remove("greedy.yaml");
  await agent.untilGone("greedy");
}

async function checkReplacement(agent: AgentUnderTest, plugin: DevicePluginProcess): Promise<void> {
  const annotations = { "agent/replace-unhealthy-devices": "true" };
  await agent.write(
    "picky.yaml",
    podOf("picky", [shell("main", `echo has $DEVICES; ${stay}`, asks(1))], {}, { annotations }),
  );
  const before = await agent.untilReady("picky");
  assertEquals(healthIn(before), [`${thing} b Healthy`]);
  const user = identityOf((await agent.pod("user"))!);
  await plugin.devices([{ id: "a" }, { id: "b", healthy: false }, { id: "c" }]);
  const after = await agent.untilPod(
    "picky",
    "has another",
    (p) => isReady(p) && statusOf(p, "main").restartCount === 1,
  );
  assertEquals(healthIn(after), [`${thing} c Healthy`]);
  await agent.untilLog("picky", "main", /has c/);
  const described = await agent.cli("describe", "pod", "picky");
  assertMatch(described.stdout, new RegExp(`Devices of ${thing}: *\n +c \\(Healthy\\)`));
  const { capacity, allocatable } = await agent.api<AgentStatus>("/status");
  assertEquals([capacity[thing], allocatable[thing]], ["3", "2"]);
  assertEquals(identityOf((await agent.pod("user"))!), user);
  await agent.remove("picky.yaml");
  await agent.untilGone("picky");
}

async function checkHealth(agent: AgentUnderTest, plugin: DevicePluginProcess): Promise<void> {
  const before = identityOf((await agent.pod("user"))!);
  await plugin.devices([{ id: "a", healthy: false }, { id: "b" }]);
  await agent.untilPod("user", "is told", (p) => healthIn(p)?.[0] === `${thing} a Unhealthy`);
  await plugin.kill();
  await agent.untilPod("user", "is unknown", (p) => healthIn(p)?.[0] === `${thing} a Unknown`);
  assertEquals(identityOf((await agent.pod("user"))!), before);
  await plugin.devices([{ id: "a" }, { id: "b" }]);
}

/** The plugin is away: what runs goes on, a restart that is asked for waits for it, and keeps the device. */
async function checkCrash(agent: AgentUnderTest, plugin: DevicePluginProcess): Promise<void> {
  const before = await agent.untilReady("user");
  await agent.kill();
  await agent.start();
  assertEquals(identityOf(await agent.untilReady("user")), identityOf(before));
  await agent.cli("restart", "user/main");
  const taken = await plugin.calls("Allocate");
  await plugin.start();
  const after = await agent.untilPod(
    "user",
    "is restarted",
    (p) => isReady(p) && statusOf(p, "main").restartCount === 1,
  );
  assertEquals(healthIn(after), [`${thing} a Healthy`]);
  assertEquals(await plugin.calls("Allocate"), taken, "it has its device, nothing is given anew");
  const readied = (await plugin.calls("PreStartContainer")).map((c) => `${c.request.devicesIds}`);
  assertEquals(readied.filter((id) => id === "a").length, 2, "once for each start");
}

async function checkReboot(agent: AgentUnderTest, plugin: DevicePluginProcess): Promise<void> {
  await agent.kill();
  await cutPower(agent);
  await plugin.kill();
  await agent.start();
  await agent.untilPod(
    "user",
    "waits for its plugin",
    (p) => statusOf(p, "main").state?.waiting?.reason === "WaitingForDevices",
  );
  const { stdout } = await agent.cli("events", "--for", "pod/user");
  assertStringIncludes(stdout, "its device plugin has not registered again yet");
  await plugin.start();
  const after = await agent.untilPod("user", "is back", isReady);
  assertEquals(healthIn(after), [`${thing} a Healthy`]);
}

/** A plugin of which the node knows by its pod alone, as DaemonSets bring them. */
async function checkPluginInPod(agent: AgentUnderTest): Promise<void> {
  const resource = "example.com/inside";
  const state = join(agent.directory, "inside");
  await Deno.mkdir(state);
  await Deno.writeTextFile(devicesFile(state), JSON.stringify([{ id: "only" }]));
  const command = pluginCommand(directoryOf(agent), { state, resource });
  const host = (name: string, path: string, mountPath: string) => ({
    mount: { name, mountPath },
    volume: { name, hostPath: { path } },
  });
  const volumes = [
    host("root", "/", "/host"),
    host("plugins", directoryOf(agent), `/host${directoryOf(agent)}`),
  ];
  const plugin = podOf("plugin", [{
    ...shell("main", ""),
    command: ["sh", "-c", `HOME=${Deno.env.get("HOME")} exec chroot /host "$@"`, "sh", ...command],
    volumeMounts: volumes.map((v) => v.mount),
  }], { volumes: volumes.map((v) => v.volume) });
  await agent.write(
    "inside.yaml",
    plugin,
    podOf("client", [shell("main", `echo $DEVICES; ${stay}`, asks(1, resource))]),
  );
  await agent.untilLog("client", "main", /^only$/m);
  const before = identityOf(await agent.untilReady("plugin"));
  await agent.stop();
  await agent.start();
  await agent.untilPod("client", "is known again", (p) => healthIn(p)?.[0] === `${resource} only Healthy`);
  assertEquals(identityOf((await agent.pod("plugin"))!), before);
}

const checkpointOf = (agent: AgentUnderTest) => join(directoryOf(agent), "kubelet_internal_checkpoint");

async function checkLostRecord(agent: AgentUnderTest): Promise<void> {
  const before = identityOf(await agent.untilReady("user"));
  await agent.kill();
  await Deno.remove(checkpointOf(agent));
  await agent.start();
  await agent.write("other.yaml", podOf("other", [shell("main", `echo has $DEVICES; ${stay}`, asks(1))]));
  await agent.untilLog("other", "main", /^has b$/m);
  const after = await agent.untilPod(
    "user",
    "has its device",
    (p) => healthIn(p)?.[0] === `${thing} a Healthy`,
  );
  assertEquals(identityOf(after), before);
  await agent.remove("other.yaml");
  await agent.untilGone("other");
}

async function checkEnd(agent: AgentUnderTest): Promise<void> {
  await agent.remove("user.yaml");
  await agent.untilGone("user");
  await until(
    "nothing of it is on record",
    async () => !(await Deno.readTextFile(checkpointOf(agent))).includes(thing + `","DeviceIDs`),
  );
  await agent.write("late.yaml", podOf("late", [shell("main", stay, asks(1, "example.com/nothing"))]));
  const pod = await agent.untilEnded("late");
  assertEquals(pod.status?.reason, "UnexpectedAdmissionError");
  assert(pod.status?.message?.includes("nobody has offered example.com/nothing"), pod.status?.message);
}

Deno.test("device plugins: what they give is seen inside, waited for, kept over crashes, given back", async (t) => {
  const config = "apiVersion: agent/v1alpha1\nkind: AgentConfiguration\ndeviceWait: 6s\n";
  await using agent = await createAgent({ config });
  await agent.start();
  let plugin: DevicePluginProcess | undefined;
  const steps: [string, () => Promise<void>][] = [
    [
      "a pod waits for its plugin; the device is usable inside",
      () => checkWaiting(agent, async () => plugin = await startPlugin(agent)),
    ],
    ["a pod that asks for more than there is is refused", () => checkRefusal(agent)],
    [
      "a device that turns unhealthy is replaced where the pod wants it",
      () => checkReplacement(agent, plugin!),
    ],
    ["allocatedResourcesStatus follows the health of devices", () => checkHealth(agent, plugin!)],
    ["kill -9: what runs stays, and keeps its device", () => checkCrash(agent, plugin!)],
    ["a power cut: the pod waits for its plugin and is back", () => checkReboot(agent, plugin!)],
    ["a plugin in a static pod", () => checkPluginInPod(agent)],
    ["a lost record: what runs keeps its device, and nobody else is given it", () => checkLostRecord(agent)],
    ["devices are given back; what nobody ever offers is refused at last", () => checkEnd(agent)],
  ];
  try {
    for (const [name, check] of steps) if (!await t.step(name, check)) break;
  } finally {
    await plugin?.[Symbol.asyncDispose]();
  }
});
