/** The agent as a service of a real systemd, which is the first process of a host made for this. */
import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { writeImageArchive } from "../../tools/busybox_image.ts";
import { type Cluster, startCluster } from "../fakes/cluster/cluster.ts";
import { binary, demoImage } from "./agent.ts";
import { until } from "./containerd.ts";
import { type Machine, startMachine } from "./machine.ts";
import { createNodeNetwork } from "./network.ts";
import { identityOf, podOf, shell, stay } from "./pods.ts";

const source = new URL("../../", import.meta.url).pathname;
const manifest = "/etc/kubernetes/manifests/kept.yaml";
const ofService = (machine: Machine, property: string) => machine.must(`systemctl show -P ${property} agent`);

async function podThere(machine: Machine): Promise<Pod | undefined> {
  const { code, stdout } = await machine.run("agent get pod kept -o json");
  return code === 0 ? JSON.parse(stdout) : undefined;
}

async function identityThere(machine: Machine): Promise<ReturnType<typeof identityOf>> {
  let pod: Pod | undefined;
  await until("the pod is ready", async () => {
    pod = await podThere(machine);
    return pod?.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") === true;
  }, 90_000);
  return identityOf(pod!);
}

/** By the words of the README. The watchdog is quicker than a user's. */
async function install(machine: Machine): Promise<void> {
  await machine.must("mkdir -p /srv/dist /srv/tools /srv/manifests /etc/systemd/system/agent.service.d");
  await Deno.copyFile(binary, machine.path("/srv/dist/agent"));
  for (const file of ["tools/install.sh", "manifests/agent.service"]) {
    await Deno.copyFile(source + file, machine.path(`/srv/${file}`));
  }
  const dropIn = "[Service]\nWatchdogSec=8\n";
  await Deno.writeTextFile(machine.path("/etc/systemd/system/agent.service.d/quick.conf"), dropIn);
  assertStringIncludes(await machine.must("/srv/tools/install.sh install"), "systemctl enable --now agent");
  await machine.must("systemctl enable --now agent");
  assertEquals(await ofService(machine, "SubState"), "running");
  assertMatch(await ofService(machine, "StatusText"), /pods running/);
  await writeImageArchive(machine.path("/var/lib/kubelet/agent/images"), "demo.tar", { tags: [demoImage] });
  await machine.must("mkdir -p /etc/kubernetes/manifests");
  const pod = podOf("kept", [shell("main", stay)]);
  await Deno.writeTextFile(machine.path(manifest), JSON.stringify({ apiVersion: "v1", kind: "Pod", ...pod }));
}

/** What ends it, or keeps it from working, is made good by systemd. */
async function checkRestart(machine: Machine, signal: "KILL" | "STOP"): Promise<void> {
  const before = { pod: await identityThere(machine), pid: await ofService(machine, "MainPID") };
  await machine.must(`kill -${signal} ${before.pid}`);
  await until(`systemd has started it again after ${signal}`, async () => {
    const pid = await ofService(machine, "MainPID");
    return pid !== "0" && pid !== before.pid && await ofService(machine, "SubState") === "running";
  }, 90_000);
  assertEquals(await identityThere(machine), before.pod);
}

async function checkJoin(machine: Machine, cluster: Cluster): Promise<void> {
  const before = await identityThere(machine);
  await machine.must("sysctl -qw net.ipv4.ip_forward=1");
  const words = ["--token", await cluster.bootstrapToken(), "--discovery-token-ca-cert-hash", cluster.pin];
  const joined = await machine.run(`agent join ${new URL(cluster.url).host} ${words.join(" ")}`);
  assertEquals(joined.code, 0, joined.stderr);
  assertStringIncludes(joined.stderr, "✓ service: agent.service is enabled and runs");
  assertStringIncludes(joined.stderr, "is Ready");
  assertStringIncludes(await machine.must("cat /var/lib/kubelet/instance-config.yaml"), "containerd.sock");
  assertEquals(await identityThere(machine), before);
}

async function checkReset(machine: Machine): Promise<void> {
  const before = { pod: await identityThere(machine), pid: await ofService(machine, "MainPID") };
  await machine.must("agent reset --force");
  assertNotEquals(await ofService(machine, "MainPID"), before.pid);
  const left = await machine.must(
    "find /var/lib/kubelet /etc/kubernetes -maxdepth 1 -name '*.conf' -o -maxdepth 1 -name '*config.yaml' -o -maxdepth 1 -name '*.env'",
  );
  assertEquals(left, "");
  assertEquals(await identityThere(machine), before.pod);
}

async function checkUninstall(machine: Machine): Promise<void> {
  await machine.must("agent delete pod kept --wait");
  await machine.must("/srv/tools/install.sh uninstall");
  assertEquals((await machine.run("systemctl is-active agent")).stdout.trim(), "inactive");
  assertEquals(
    (await machine.run("ls /usr/local/bin/agent /usr/local/lib/systemd/system/agent.service")).stdout,
    "",
  );
}

Deno.test("under a real systemd: installed and READY, started again when killed or hung, joined, reset, uninstalled; its container runs through it all", async () => {
  await using network = await createNodeNetwork(["box"]);
  await using cluster = await startCluster({ hostname: network.address });
  await using machine = await startMachine(network.namespaceOf("box"), network.namespaceOf("box"));
  await install(machine);
  await checkRestart(machine, "KILL");
  await checkRestart(machine, "STOP");
  await checkJoin(machine, cluster);
  await checkReset(machine);
  await checkUninstall(machine);
});
