/** RuntimeClasses as manifests, on a containerd with a second handler: what a class brings, what its absence holds up. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { until } from "./containerd.ts";
import { identityOf, podOf, shell, stay } from "./pods.ts";

const classOf = (handler: string) => ({
  apiVersion: "node.k8s.io/v1",
  kind: "RuntimeClass",
  metadata: { name: "fast" },
  handler,
  overhead: { podFixed: { memory: "24Mi" } },
});

/** Which of containerd's OCI runtimes has the pod's first container: each keeps what it runs in a directory of its own. */
function runtimeOf(agent: AgentUnderTest, pod: Pod): string[] {
  const id = pod.status!.containerStatuses![0]!.containerID!.replace(/^.*:\/\//, "");
  const { state } = agent.places();
  return ["runc", "second"].filter((name) => {
    try {
      return Deno.statSync(`${state}/${name}/k8s.io/${id}`).isDirectory;
    } catch {
      return false;
    }
  });
}

const untilSaid = (agent: AgentUnderTest, text: string) =>
  agent.untilPod("boxed", text, (p) => p.status?.message?.includes(text) === true);

Deno.test("runtimeClassName", async (t) => {
  await using agent = await createAgent({
    config: `apiVersion: agent/v1alpha1
kind: AgentConfiguration
managedRuntime: { runtimes: { second: /usr/sbin/runc } }
`,
  });
  await agent.start();
  await t.step("a class that nobody describes holds the pod, and is named", async () => {
    await agent.write("boxed.yaml", podOf("boxed", [shell("main", stay)], { runtimeClassName: "fast" }));
    const held = await untilSaid(agent, 'runtimeclass.node.k8s.io "fast" not found');
    assertEquals([held.status?.phase, held.status?.reason], ["Pending", "CreatePodSandboxError"]);
    const [problem] = await agent.problems();
    assertEquals([problem?.severity, problem?.field], ["warning", "spec.runtimeClassName"]);
    assertEquals((await agent.ctr("containers", "list", "-q")).trim(), "", "nothing of it runs");
  });
  await t.step("a handler that the runtime does not have is refused with those that it has", async () => {
    await agent.write("fast.yaml", classOf("nonesuch"));
    await untilSaid(agent, 'the runtime has no handler "nonesuch": it has runc, second');
  });
  await t.step("with the class it runs by its handler, with its overhead", async () => {
    await agent.write("fast.yaml", classOf("second"));
    const pod = await agent.untilReady("boxed");
    assertEquals(runtimeOf(agent, pod), ["second"]);
    assertEquals(pod.spec?.overhead, { memory: "24Mi" });
    assertEquals(await agent.problems(), []);
    const { stdout } = await agent.cli("get", "runtimeclasses");
    assertEquals(stdout.trimEnd().split("\n").map((line) => line.split(/ +/)), [
      ["NAME", "HANDLER"],
      ["fast", "second"],
    ]);
  });
  await t.step("neither the class's end nor the agent's ends the pod", async () => {
    const before = identityOf((await agent.pod("boxed"))!);
    assertStringIncludes(
      (await agent.cli("delete", "runtimeclass", "fast")).stdout,
      "runtimeclass/fast deleted",
    );
    await until("the class is missed", async () => (await agent.problems()).length > 0);
    await agent.kill();
    await agent.start();
    assertEquals(identityOf(await agent.untilReady("boxed")), before);
  });
  await t.step("another handler of the class makes the pod anew", async () => {
    const before = (await agent.pod("boxed"))!.status!.containerStatuses![0]!.containerID;
    await agent.write("fast.yaml", classOf("runc"));
    const after = await agent.untilPod("boxed", "is new", (p) => {
      const status = p.status?.containerStatuses?.[0];
      return status?.ready === true && status.containerID !== before;
    });
    assert(after.status?.containerStatuses?.[0]?.restartCount !== undefined);
    assertEquals(runtimeOf(agent, after), ["runc"]);
  });
});
