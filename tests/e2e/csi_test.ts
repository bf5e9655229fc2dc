/**
 * Volumes of a CSI driver, a process of its own, in containers of a real containerd: inline, shared, block, through the
 * deaths of agent and driver, and of a driver that is itself a static pod. Not for: claims that a driver provisions.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { dirname, join } from "@std/path";
import { parseMountInfo } from "../../agent/lib/mountinfo.ts";
import type { Container, PersistentVolume, Pod, PodSpec, Volume } from "../../agent/model/gen/v1.ts";
import { createDisks } from "../drivers/csi/disks.ts";
import type { DriverOptions } from "../drivers/csi/services.ts";
import { type CsiDriverProcess, startCsiDriver } from "../drivers/csi/start.ts";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { run, until } from "./containerd.ts";
import { identityOf, podOf, secret, shell, stay } from "./pods.ts";

interface Bench {
  agent: AgentUnderTest;
  driver: CsiDriverProcess;
  /** Of the driver. */
  state: string;
}

const group = 4321;
const mount: Partial<Container> = { volumeMounts: [{ name: "data", mountPath: "/data" }] };

const user = (name: string, volume: Volume, container: Container, spec: Partial<PodSpec> = {}): Pod =>
  podOf(name, [container], { volumes: [volume], ...spec });

const csiDriver = (name: string): object => ({
  apiVersion: "storage.k8s.io/v1",
  kind: "CSIDriver",
  metadata: { name },
  spec: {
    podInfoOnMount: true,
    fsGroupPolicy: "File",
    volumeLifecycleModes: ["Ephemeral", "Persistent"],
  },
});

const claimed = (claimName: string): Volume => ({ name: "data", persistentVolumeClaim: { claimName } });

/** A volume that its driver has, the PersistentVolume for it, and a claim that names that. */
async function volumeOf({ state, driver }: Bench, name: string, volumeMode: string): Promise<object[]> {
  const bytes = 8 * 2 ** 20;
  await createDisks(state).create({ id: `vol-${name}`, name, bytes, kind: "ext4", attached: false });
  const common = { accessModes: ["ReadWriteOnce"], volumeMode, storageClassName: "" };
  const volume: PersistentVolume = {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name },
    spec: {
      ...common,
      capacity: { storage: "8Mi" },
      csi: { driver: driver.name, volumeHandle: `vol-${name}` },
    },
  };
  const claim = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name },
    spec: { ...common, volumeName: name, resources: { requests: { storage: "8Mi" } } },
  };
  return [volume, claim];
}

const mountPoints = async (below: string): Promise<string[]> =>
  parseMountInfo(await Deno.readTextFile("/proc/self/mountinfo")).map((m) => m.path)
    .filter((path) => path.startsWith(`${below}/`)).sort();

/** What drivers have mounted below the agent's root. */
const csiMounts = async ({ root }: AgentUnderTest): Promise<string[]> =>
  (await mountPoints(root)).filter((path) => /kubernetes\.io[/~]csi/.test(path));

const loops = async ({ directory }: AgentUnderTest): Promise<string[]> =>
  (await run("losetup", "-l", "-n", "-O", "BACK-FILE")).split("\n").filter((file) =>
    file.includes(directory)
  );

async function times({ driver }: Bench, method: string, volumeId: string): Promise<number> {
  const calls = await driver.calls(method);
  return calls.filter((c) => c.phase === "begin" && c.request["volumeId"] === volumeId).length;
}

/** A removed pod whose driver is away says so. */
const untilWaits = (agent: AgentUnderTest, pod: string): Promise<void> =>
  until(`${pod} waits for its driver`, async () => {
    interface Told {
      message: string;
      involvedObject: { name: string };
    }
    const { items } = await agent.api<{ items: Told[] }>("/events");
    return items.some((e) =>
      e.involvedObject.name === pod && e.message.includes("UnmountVolume.TearDown failed")
    );
  });

const inlinePod = (name: string, driver: string, spec: Partial<PodSpec> = {}): Pod =>
  user(
    name,
    {
      name: "data",
      csi: {
        driver,
        volumeAttributes: { content: "from the driver" },
        nodePublishSecretRef: { name: "keys" },
      },
    },
    shell("main", `cd /data; cat content token context.json; echo; ${stay}`, mount),
    spec,
  );

async function checkInline({ agent, driver }: Bench): Promise<void> {
  await agent.write("inline.yaml", inlinePod("inline", driver.name, { serviceAccountName: "robot" }));
  const said = await agent.untilLog("inline", "main", /\}\n/);
  const context = JSON.parse(said.slice(said.indexOf("{"))) as Record<string, string>;
  assertEquals(said.slice(0, said.indexOf("{")), "from the drivers3cr3t");
  const about = (key: string) => context[`csi.storage.k8s.io/${key}`];
  assertEquals(["pod.name", "pod.namespace", "serviceAccount.name", "ephemeral"].map(about), [
    "inline",
    "default",
    "robot",
    "true",
  ]);
  assertEquals(about("pod.uid"), (await agent.pod("inline"))?.metadata?.uid);
}

async function checkShared(b: Bench): Promise<void> {
  const { agent } = b;
  const spec: Partial<PodSpec> = { securityContext: { runAsUser: 1000, runAsGroup: 1000, fsGroup: group } };
  const writes = `cd /data; echo hello >file && echo "$(id -G); $(stat -c %g:%a . file)"; ${stay}`;
  await agent.write("shared.yaml", ...await volumeOf(b, "shared", "Filesystem"));
  await agent.write(
    "one.yaml",
    user("one", claimed("shared"), shell("main", writes, mount), spec),
  );
  const said = await agent.untilLog("one", "main", /\n/);
  assertMatch(said, new RegExp(`^1000 ${group}; ${group}:2775\\n?.*${group}:6..\\n`, "s"));
  await agent.write(
    "two.yaml",
    user("two", claimed("shared"), shell("main", `cat /data/file; ${stay}`, mount), spec),
  );
  await agent.untilLog("two", "main", /hello/);
  assertEquals([await times(b, "NodeStageVolume", "vol-shared"), (await loops(agent)).length], [1, 1]);
}

async function checkBlock(b: Bench): Promise<void> {
  const { agent, state } = b;
  const script = "echo raw bytes | dd of=/dev/xvda conv=fsync && head -c 10 /dev/xvda; " + stay;
  await agent.write(
    "block.yaml",
    ...await volumeOf(b, "raw", "Block"),
    user(
      "block",
      claimed("raw"),
      shell("main", script, { volumeDevices: [{ name: "data", devicePath: "/dev/xvda" }] }),
    ),
  );
  await agent.untilLog("block", "main", /raw bytes\n/);
  using image = await Deno.open(`${state}/volumes/vol-raw.img`);
  const start = new Uint8Array(10);
  await image.read(start);
  assertEquals(new TextDecoder().decode(start), "raw bytes\n", "what the driver has of the device");
}

/** Both die; a pod of the driver is removed meanwhile. */
async function checkDeaths(b: Bench): Promise<void> {
  const { agent, driver } = b;
  const names = ["inline", "two", "block"];
  const identities = () => Promise.all(names.map(async (name) => identityOf(await agent.untilReady(name))));
  const [before, mounted] = [await identities(), await csiMounts(agent)];
  const uid = (await agent.pod("one"))!.metadata!.uid!;
  await Promise.all([agent.kill(), driver.kill()]);
  await agent.remove("one.yaml");
  await agent.start();
  await untilWaits(agent, "one");
  assertEquals([await identities(), await csiMounts(agent)], [before, mounted]);
  const script = "cd /data; echo still there >more; cat file more";
  const exec = await agent.cli("exec", "two", "--", "sh", "-c", script);
  assertEquals([exec.code, exec.stdout], [0, "hello\nstill there\n"]);
  await driver.start();
  const rest = mounted.filter((path) => !path.includes(uid));
  await until("its volume is released", async () => (await csiMounts(agent)).length === rest.length);
  assertEquals(await csiMounts(agent), rest);
  assertEquals(await identities(), before);
  assertEquals([
    await times(b, "NodeStageVolume", "vol-shared"),
    await times(b, "NodeUnstageVolume", "vol-shared"),
  ], [1, 0]);
}

async function checkEnd(b: Bench): Promise<void> {
  const { agent } = b;
  for (const name of ["two.yaml", "block.yaml", "inline.yaml", "shared.yaml"]) await agent.remove(name);
  await until("all are gone", async () => (await agent.pods()).length === 0);
  await until("nothing is staged", async () => (await loops(agent)).length === 0);
  assertEquals(await csiMounts(agent), []);
  const order = (await b.driver.calls()).filter((c) =>
    c.phase === "end" && c.outcome === "OK" && c.request["volumeId"] === "vol-shared"
  ).map((c) => c.method);
  assertEquals(order, [
    "ControllerPublishVolume",
    "NodeStageVolume",
    "NodePublishVolume",
    "NodePublishVolume",
    "NodeUnpublishVolume",
    "NodeUnpublishVolume",
    "NodeUnstageVolume",
    "ControllerUnpublishVolume",
  ]);
}

/** The driver and what it runs on, from the host, as the image has neither. */
async function driverPod({ directory, root }: AgentUnderTest, name: string): Promise<Pod> {
  const bundle = join(directory, "driver.js");
  const main = new URL("../drivers/csi/main.ts", import.meta.url).pathname;
  await run(Deno.execPath(), "bundle", "-q", "--platform", "deno", "-o", bundle, main);
  const libraries = (await run("ldd", Deno.execPath())).matchAll(/\s(\/\S+)/g);
  const own = [`${root}/pods`, `${root}/plugins`];
  const options: DriverOptions = {
    name,
    state: "/tmp/driver",
    nodeOnly: true,
    registration: `${root}/plugins_registry/${name}-reg.sock`,
  };
  const shared = { mountPropagation: "Bidirectional" };
  const mounts = [
    ...own.map((path) => ({ path, ...shared })),
    ...new Set([...libraries].map(([, file]) => dirname(file!))),
    `${root}/plugins_registry`,
    bundle,
    Deno.execPath(),
  ].map((m) => typeof m === "string" ? { path: m } : m);
  const argv = [Deno.execPath(), "run", "-A", "--no-config", "--quiet", bundle];
  const script = `ln -s busybox /bin/umount; exec ${argv.join(" ")} ${root}/plugins/${name}.sock "$OPTIONS"`;
  return podOf(name.split(".")[0]!, [
    shell("driver", script, {
      env: [{ name: "OPTIONS", value: JSON.stringify(options) }, { name: "DENO_DIR", value: "/tmp/deno" }],
      securityContext: { privileged: true },
      volumeMounts: mounts.map(({ path, ...more }, i) => ({ name: `v${i}`, mountPath: path, ...more })),
    }),
  ], { volumes: mounts.map(({ path }, i) => ({ name: `v${i}`, hostPath: { path } })) });
}

/** As on a machine whose root is a shared mount. What is left mounted there fails the test. */
async function withShared(paths: string[], test: () => Promise<void>): Promise<void> {
  for (const path of paths) {
    await run("mount", "--bind", path, path);
    await run("mount", "--make-shared", path);
  }
  try {
    await test();
  } catch (error) {
    for (const path of paths) await run("umount", "-l", path);
    throw error;
  }
  for (const path of paths) await run("umount", path);
}

async function checkStaticPod({ agent }: Bench): Promise<void> {
  const { root } = agent;
  const name = "static.csi.example";
  await Deno.mkdir(`${root}/plugins`, { recursive: true });
  await withShared([`${root}/pods`, `${root}/plugins`], async () => {
    await agent.write("user.yaml", csiDriver(name), inlinePod("user", name));
    const driver = await driverPod(agent, name);
    await agent.write("driver.yaml", driver);
    await agent.untilLog("user", "main", /from the driver/);
    assert((await Deno.lstat(`${root}/plugins/${name}.sock`)).isSocket);
    const [before, mounted] = [identityOf(await agent.untilReady("user")), await csiMounts(agent)];
    await agent.remove("driver.yaml");
    await agent.untilGone("static");
    assertEquals([identityOf(await agent.untilReady("user")), await csiMounts(agent)], [before, mounted]);
    await agent.remove("user.yaml");
    await untilWaits(agent, "user");
    await agent.write("driver.yaml", driver);
    await agent.untilGone("user");
    assertEquals(await csiMounts(agent), []);
    await agent.write("user.yaml", csiDriver(name), inlinePod("user", name));
    await agent.untilReady("user");
    await agent.stop();
    const torn = await agent.cli("teardown", ...agent.flags);
    assertEquals([torn.code, await csiMounts(agent)], [0, []], `users go first: ${torn.stderr}`);
  });
  const registry = [...Deno.readDirSync(`${root}/plugins_registry`)].map((e) => e.name);
  assertEquals(registry.filter((file) => file.startsWith(name)), [], "it takes its sockets with it");
}

Deno.test("csi", async (t) => {
  // The driver outlives the agent, which needs it to end, but is gone when all went well.
  await using stack = new AsyncDisposableStack();
  const started: CsiDriverProcess[] = [];
  stack.defer(async () => void await Promise.all(started.map((driver) => driver.kill())));
  const agent = stack.use(await createAgent());
  await agent.start();
  const directory = join(agent.directory, "csi");
  const [name, state] = ["test.csi.example", join(directory, "state")];
  await Deno.mkdir(directory);
  const driver = await startCsiDriver(directory, {
    name,
    state,
    without: ["VOLUME_MOUNT_GROUP"],
    registration: `${agent.root}/plugins_registry/${name}-reg.sock`,
  });
  started.push(driver);
  const b: Bench = { agent, driver, state };
  await agent.write("objects.yaml", csiDriver(name), secret("keys", { token: "s3cr3t" }));
  const step = async (what: string, check: (b: Bench) => Promise<void>) => {
    const ok = await t.step(what, () => check(b));
    if (!ok && driver.ended()) await driver.start();
    assert(ok, "what follows builds upon it");
  };
  await step("an inline volume has what its driver was told of the pod, and its secret", checkInline);
  await step("two pods share a volume, which is staged once, and their fsGroup's", checkShared);
  await step("a block device is written and read in the container", checkBlock);
  await step(
    "agent and driver are killed: nothing restarts, and a pod removed meanwhile is released when both are back",
    checkDeaths,
  );
  await step("the last pod that goes takes its volume from the node", checkEnd);
  await step("a driver may be a static pod, and goes after the pods that have its volumes", checkStaticPod);
  await driver.stop();
  assertEquals(await loops(agent), []);
});
