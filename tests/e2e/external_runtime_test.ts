/** A containerd that somebody else runs: the agent uses it, marks what is its own, and leaves it as it was. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createAgent } from "./agent.ts";
import { startPrivateContainerd } from "./containerd.ts";
import { podOf, shell, statusOf, stay } from "./pods.ts";

Deno.test("the agent drives a containerd that it did not start, survives its restart, and leaves it running", async () => {
  await using containerd = await startPrivateContainerd();
  const foreign = await containerd.ctr("containers", "list", "-q");
  {
    await using agent = await createAgent();
    await agent.start(["--container-runtime-endpoint", `unix://${containerd.endpoint}`]);
    await agent.write("web.yaml", podOf("web", [shell("main", `echo up; ${stay}`)]));
    const before = await agent.untilReady("web");
    const id = statusOf(before, "main").containerID!.replace("containerd://", "");
    const { Labels } = JSON.parse(await containerd.ctr("containers", "info", id)) as {
      Labels: Record<string, string>;
    };
    assertEquals(
      ["pod.name", "pod.namespace", "pod.uid", "container.name"].map((key) => Labels[`io.kubernetes.${key}`]),
      ["web", "default", before.metadata!.uid!, "main"],
    );
    await containerd.restart();
    await agent.write("next.yaml", podOf("next", [shell("main", stay)]));
    await agent.untilReady("next");
    const after = await agent.untilReady("web");
    assertEquals(statusOf(after, "main").containerID, `containerd://${id}`);
    await containerd.ctr("tasks", "kill", "--signal", "SIGKILL", id);
    await agent.untilPod("web", "is restarted", (p) => statusOf(p, "main").restartCount === 1);
    assert((await agent.cli("status")).stdout.includes(containerd.endpoint));
  }
  assertEquals(
    await containerd.ctr("containers", "list", "-q"),
    foreign,
    "teardown took ours along, and only ours",
  );
});

Deno.test("a containerd of somebody else without a network gets one where that is asked for, and loses it again", async () => {
  await using containerd = await startPrivateContainerd({ network: false });
  const confDir = `${containerd.directory}/cni`;
  const names = async () => (await Array.fromAsync(Deno.readDir(confDir))).map((e) => e.name);
  {
    const config = JSON.stringify({
      apiVersion: "agent/v1alpha1",
      kind: "AgentConfiguration",
      network: { write: true, bandwidth: true },
      managedRuntime: { cniConfDir: confDir },
    });
    await using agent = await createAgent({ config });
    await agent.start(["--container-runtime-endpoint", `unix://${containerd.endpoint}`]);
    const { plugins } = JSON.parse(await Deno.readTextFile(`${confDir}/10-agent.conflist`));
    assertEquals(plugins.map((p: { type: string }) => p.type), ["bridge", "portmap", "bandwidth"]);
    const annotations = { "kubernetes.io/egress-bandwidth": "10M" };
    await agent.write("web.yaml", podOf("web", [shell("main", stay)], {}, { annotations }));
    assert((await agent.untilReady("web")).status!.podIP!.startsWith("10."));
    const queues = new TextDecoder().decode(
      (await new Deno.Command("tc", { args: ["qdisc", "show"] }).output()).stdout,
    );
    assertMatch(queues, /qdisc tbf .* rate 10Mbit/);
  }
  assertEquals(await names(), []);
});
