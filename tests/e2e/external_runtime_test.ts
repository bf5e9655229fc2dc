/** A containerd that somebody else runs: the agent uses it, marks what is its own, and leaves it as it was. */
import { assert, assertEquals } from "@std/assert";
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
