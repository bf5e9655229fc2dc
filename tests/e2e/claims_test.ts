/** PersistentVolumeClaims on a real containerd: who gets which volume, and what becomes of it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type {
  PersistentVolume,
  PersistentVolumeClaim,
  PersistentVolumeClaimSpec,
  Pod,
  Volume,
} from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent, isReady } from "./agent.ts";
import { until } from "./containerd.ts";
import { podOf, shell, stay } from "./pods.ts";
import { startCsiDriver } from "../drivers/csi/start.ts";
import { startRegisteringPlugin } from "../fakes/registration.ts";

const claimOf = (name: string, spec: Partial<PersistentVolumeClaimSpec> = {}): PersistentVolumeClaim => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Mi" } }, ...spec },
});

const claimed = (claimName: string, readOnly = false): Volume => ({
  name: "data",
  persistentVolumeClaim: { claimName, readOnly },
});
const mount = { volumeMounts: [{ name: "data", mountPath: "/data" }] };

/** A pod that runs a script in its volume, and stays. */
const user = (name: string, volume: Volume, script = "", spec: Partial<NonNullable<Pod["spec"]>> = {}): Pod =>
  podOf(name, [shell("main", `cd /data; ${script}; ${stay}`, mount)], { volumes: [volume], ...spec });

const items = async <T>(agent: AgentUnderTest, path: string) => (await agent.api<{ items: T[] }>(path)).items;
const claimsOf = (agent: AgentUnderTest) => items<PersistentVolumeClaim>(agent, "/persistentvolumeclaims");
const volumesOf = (agent: AgentUnderTest) => items<PersistentVolume>(agent, "/persistentvolumes");
const directories = (agent: AgentUnderTest): string[] => {
  try {
    return [...Deno.readDirSync(`${agent.root}/volumes`)].map((e) => e.name);
  } catch {
    return [];
  }
};
const phaseOf = async (agent: AgentUnderTest, name: string) => {
  const claim = (await claimsOf(agent)).find((c) => c.metadata?.name === name);
  return claim?.metadata?.deletionTimestamp === undefined ? claim?.status?.phase : "Terminating";
};
const untilPhase = (agent: AgentUnderTest, name: string, phase: string | undefined) =>
  until(`claim ${name} is ${phase ?? "gone"}`, async () => await phaseOf(agent, name) === phase);

interface Told {
  reason: string;
  message: string;
  involvedObject: { kind: string; name: string };
}

const eventsOf = async (agent: AgentUnderTest, name: string) =>
  (await items<Told>(agent, "/events")).filter((e) => e.involvedObject.name === name);

/** The class that is there without any manifest: WaitForFirstConsumer, and Delete. */
async function checkBuiltIn(agent: AgentUnderTest): Promise<void> {
  await agent.write("data.yaml", claimOf("data"));
  await untilPhase(agent, "data", "Pending");
  assertEquals(directories(agent), []);
  const [waiting] = await eventsOf(agent, "data");
  assertEquals(waiting?.reason, "WaitForFirstConsumer");
  const group = { securityContext: { fsGroup: 4711 } };
  await agent.write("first.yaml", user("first", claimed("data"), "echo written > file", group));
  await agent.untilReady("first");
  assertEquals(await phaseOf(agent, "data"), "Bound");
  const [directory] = directories(agent);
  await until(
    "it has written",
    () =>
      Deno.readTextFile(`${agent.root}/volumes/${directory}/file`).then(
        (text) => text === "written\n",
        () => false,
      ),
  );
  assertEquals(Deno.statSync(`${agent.root}/volumes/${directory}/file`).gid, 4711);
  await agent.remove("first.yaml");
  await agent.untilGone("first");
  await agent.write(
    "second.yaml",
    user("second", claimed("data", true), "cat file; touch no || echo refused"),
  );
  await agent.untilLog("second", "main", /written\n[\s\S]*refused/);
}

/** The claim is in use while the agent is killed and its manifest goes: pods first, then the volume. */
async function checkProtection(agent: AgentUnderTest): Promise<void> {
  const before = await agent.untilReady("second");
  await agent.kill();
  await agent.remove("data.yaml");
  await agent.start();
  await untilPhase(agent, "data", "Terminating");
  const after = await agent.untilReady("second");
  assertEquals(
    after.status?.containerStatuses?.[0]?.containerID,
    before.status?.containerStatuses?.[0]?.containerID,
  );
  assertEquals(directories(agent).length, 1);
  await agent.remove("second.yaml");
  await agent.untilGone("second");
  await untilPhase(agent, "data", undefined);
  await until("the volume is deleted", () => directories(agent).length === 0);
}

/** Retain keeps the volume of a claim that is gone, for the claim that names it. */
async function checkRetain(agent: AgentUnderTest): Promise<void> {
  await agent.write("kept.yaml", {
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name: "kept" },
    provisioner: "agent.local/directory",
    reclaimPolicy: "Retain",
  }, claimOf("kept", { storageClassName: "kept" }));
  await untilPhase(agent, "kept", "Bound");
  const [volume] = await volumesOf(agent);
  await Deno.writeTextFile(`${volume!.spec!.local!.path}/file`, "still here\n");
  await agent.write("kept.yaml", claimOf("other", { storageClassName: "" }));
  await until("it is released", async () => (await volumesOf(agent))[0]?.status?.phase === "Released");
  const again = claimOf("kept", { storageClassName: "kept", volumeName: volume!.metadata!.name! });
  await agent.write("kept.yaml", again, user("heir", claimed("kept"), "cat file"));
  await agent.untilLog("heir", "main", /still here/);
  await agent.remove("kept.yaml");
  await agent.untilGone("heir");
}

async function checkEphemeral(agent: AgentUnderTest): Promise<void> {
  const own: Volume = { name: "data", ephemeral: { volumeClaimTemplate: { spec: claimOf("x").spec! } } };
  const before = directories(agent).length;
  await agent.write("brief.yaml", user("brief", own, "echo mine > file"));
  const brief = await agent.untilReady("brief");
  const claim = (await claimsOf(agent)).find((c) => c.metadata?.name === "brief-data");
  assertEquals([claim?.status?.phase, claim?.metadata?.ownerReferences?.[0]?.uid], [
    "Bound",
    brief.metadata?.uid,
  ]);
  await agent.remove("brief.yaml");
  await agent.untilGone("brief");
  await untilPhase(agent, "brief-data", undefined);
  await until("its volume is deleted", () => directories(agent).length === before);
}

/** Also a volume of a manifest. */
async function checkOncePod(agent: AgentUnderTest): Promise<void> {
  const path = `${agent.directory}/disk`;
  await Deno.mkdir(path);
  const volume: PersistentVolume = {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: "disk" },
    spec: { accessModes: ["ReadWriteOncePod"], capacity: { storage: "1Gi" }, hostPath: { path } },
  };
  const claim = claimOf("alone", { accessModes: ["ReadWriteOncePod"], storageClassName: "" });
  await agent.write("one.yaml", user("one", claimed("alone"), "echo one > file"));
  await until(
    "the pod waits for the claim",
    async () =>
      (await eventsOf(agent, "one")).some((e) =>
        e.message.includes('persistentvolumeclaim "alone" not found')
      ),
  );
  await agent.write("alone.yaml", claim);
  await until(
    "the claim waits for a volume",
    async () => (await eventsOf(agent, "alone")).some((e) => e.reason === "FailedBinding"),
  );
  await agent.write("disk.yaml", volume);
  await agent.untilReady("one");
  await agent.write("two.yaml", user("two", claimed("alone"), "cat file"));
  await until(
    "the second waits",
    async () =>
      (await eventsOf(agent, "two")).some((e) => e.message.includes("ReadWriteOncePod access mode")),
  );
  assert(!isReady((await agent.pod("two"))!));
  await agent.remove("one.yaml");
  await agent.untilLog("two", "main", /one/);
  const { stdout } = await agent.cli("get", "pvc");
  assertMatch(stdout, /^NAME +STATUS +VOLUME +CAPACITY +ACCESS MODES +STORAGECLASS +AGE\n/);
  assertMatch(stdout, /\nalone +Bound +disk +1Gi +RWOP +/);
  for (const name of ["two.yaml", "alone.yaml", "disk.yaml"]) await agent.remove(name);
  await agent.untilGone("two");
  await until("nothing is left", async () => (await claimsOf(agent)).length === 0);
  assertEquals(await Deno.readTextFile(`${path}/file`), "one\n", "volumes of manifests are never deleted");
}

interface Summary {
  pods: { podRef: { name: string }; volume: { pvcRef?: { name: string }; capacityBytes?: number }[] }[];
}

/** The summary tells how large the claim's file system is: less than the 8Mi of its disk. */
const untilMeasured = (agent: AgentUnderTest, pod: string, claim: string): Promise<void> =>
  until(`${claim} is measured`, async () => {
    const { pods } = await agent.api<Summary>("/stats/summary");
    const volumes = pods.find((p) => p.podRef.name === pod)?.volume ?? [];
    const bytes = volumes.find((v) => v.pvcRef?.name === claim)?.capacityBytes ?? 0;
    return bytes > 2 ** 20 && bytes < 8 * 2 ** 20;
  });

/** A claim whose class is of a CSI driver that is a process of its own, and comes late. */
async function checkDriver(agent: AgentUnderTest): Promise<void> {
  const name = "test.csi.example";
  const storageClass = {
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name: "driver" },
    provisioner: name,
    volumeBindingMode: "WaitForFirstConsumer",
  };
  const claim = claimOf("disk", { storageClassName: "driver", resources: { requests: { storage: "8Mi" } } });
  await agent.write("driver.yaml", storageClass, claim);
  await agent.write("writer.yaml", user("writer", claimed("disk"), "echo on disk > file"));
  await until(
    "the pod waits for the driver",
    async () =>
      (await eventsOf(agent, "writer")).some((e) => e.message.includes(`waiting for CSI driver ${name}`)),
  );
  await using driver = await startCsiDriver(await Deno.makeTempDir({ dir: agent.directory }));
  await using _registration = await startRegisteringPlugin(
    `${agent.root}/plugins_registry/${name}-reg.sock`,
    {
      type: "CSIPlugin",
      name,
      endpoint: driver.socket,
    },
  );
  await agent.untilReady("writer");
  const volume = (await volumesOf(agent)).find((v) => v.spec?.csi !== undefined);
  assertEquals([volume?.spec?.csi?.driver, volume?.status?.phase], [name, "Bound"]);
  await untilMeasured(agent, "writer", "disk");
  await agent.kill();
  await agent.start();
  await agent.remove("writer.yaml");
  await agent.untilGone("writer");
  await agent.write("reader.yaml", user("reader", claimed("disk"), "cat file"));
  await agent.untilLog("reader", "main", /on disk/);
  await agent.remove("reader.yaml");
  await agent.remove("driver.yaml");
  await driver.untilCalled("DeleteVolume");
  await untilPhase(agent, "disk", undefined);
  await until(
    "the volume is gone",
    async () => (await volumesOf(agent)).every((v) => v.spec?.csi === undefined),
  );
  const order = (await driver.calls()).filter((c) => c.phase === "begin").map((c) => c.method);
  assertEquals(order.filter((m) => m === "CreateVolume").length, 1);
  assert(order.lastIndexOf("NodeUnstageVolume") < order.indexOf("DeleteVolume"), order.join(" "));
}

Deno.test("claims", async (t) => {
  await using agent = await createAgent();
  await agent.start();
  await t.step(
    "a claim gets a directory with its first pod; the next pod reads what it wrote",
    () => checkBuiltIn(agent),
  );
  await t.step(
    "a claim in use outlives its manifest and a kill; with the last pod its volume is deleted",
    () => checkProtection(agent),
  );
  await t.step("Retain: a released volume is kept, for the claim that names it", () => checkRetain(agent));
  await t.step("ephemeral: a volumeClaimTemplate comes and goes with its pod", () => checkEphemeral(agent));
  await t.step(
    "a CSI driver makes and deletes the volume of a claim, whenever it and the agent come",
    () => checkDriver(agent),
  );
  await t.step(
    "ReadWriteOncePod and volumes of manifests: pods wait and say for what",
    () => checkOncePod(agent),
  );
});
