/** What this node refuses, before anything of it runs, and that the refusal ends with its reason. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Pod, PodSpec } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { identityOf, podOf, shell, stay } from "./pods.ts";

interface Told {
  reason: string;
  message: string;
  involvedObject: { name: string };
}

/** Writes the pod and waits until it has failed for this reason, in words like these, with an event, and without containers. */
async function untilRefused(agent: AgentUnderTest, pod: Pod, reason: string, words: string): Promise<void> {
  const name = pod.metadata!.name!;
  await agent.write(`${name}.yaml`, pod);
  const { status } = await agent.untilPod(name, reason, (p) => p.status?.reason === reason);
  assertEquals(status?.phase, "Failed");
  assertStringIncludes(status?.message ?? "", `Pod was rejected: ${words}`);
  const { items } = await agent.api<{ items: Told[] }>("/events");
  const told = items.filter((e) => e.involvedObject.name === name && e.reason === reason);
  assertEquals(told.length, 1);
  assert(told[0]!.message.startsWith(words), told[0]!.message);
}

const simple = (name: string, spec: Partial<PodSpec> = {}) => podOf(name, [shell("main", stay)], spec);

const asking = (name: string, requests: Record<string, string>, spec: Partial<PodSpec> = {}) =>
  podOf(name, [shell("main", stay, { resources: { requests } })], spec);

async function checkNode(agent: AgentUnderTest): Promise<void> {
  const { labels } = await agent.api<{ labels: Record<string, string> }>("/status");
  assertEquals([labels["disk"], labels["kubernetes.io/os"]], ["ssd", "linux"]);
  const term = (...values: string[]): Partial<PodSpec> => ({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: "disk", operator: "In", values }] }],
        },
      },
    },
  });
  await untilRefused(
    agent,
    simple("placed", term("hdd")),
    "NodeAffinity",
    "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
  );
  await untilRefused(
    agent,
    simple("selected", { nodeSelector: { disk: "hdd" } }),
    "NodeAffinity",
    "Predicate",
  );
  await untilRefused(
    agent,
    simple("os", { os: { name: "windows" } }),
    "PodOSNotSupported",
    "Failed to admit",
  );
  assertEquals((await agent.ctr("containers", "list", "-q")).trim(), "", "nothing of them runs");
  await agent.write("placed.yaml", simple("placed", term("hdd", "ssd")));
  await agent.write("selected.yaml", simple("selected", { nodeSelector: { disk: "ssd" } }));
  await Promise.all([agent.untilReady("placed"), agent.untilReady("selected")]);
  for (const name of ["placed", "selected", "os"]) await agent.remove(`${name}.yaml`);
}

async function checkRoom(agent: AgentUnderTest): Promise<void> {
  const all = String(navigator.hardwareConcurrency);
  await untilRefused(
    agent,
    asking("huge", { cpu: "1000" }),
    "OutOfcpu",
    "Node didn't have enough resource: cpu",
  );
  const once = podOf("once", [
    shell("main", "while ! [ -e /tmp/end ]; do sleep 0.05; done", { resources: { requests: { cpu: all } } }),
  ], { restartPolicy: "Never" });
  await agent.write("once.yaml", once);
  await agent.untilReady("once");
  await untilRefused(
    agent,
    asking("next", { cpu: all }),
    "OutOfcpu",
    "Node didn't have enough resource: cpu",
  );
  await agent.kill();
  await agent.start();
  await agent.untilPod("next", "is refused again", (p) => p.status?.reason === "OutOfcpu");
  await agent.untilReady("once");
  await agent.cli("exec", "once", "--", "touch", "/tmp/end");
  await agent.untilReady("next");
  await agent.write(
    "urgent.yaml",
    asking("urgent", { cpu: all }, { priorityClassName: "system-node-critical" }),
  );
  await agent.untilReady("urgent");
  const { status } = await agent.untilPod("next", "made room", (p) => p.status?.phase === "Failed");
  assertEquals([status?.reason, status?.message], ["Preempting", "Preempted in order to admit critical pod"]);
  await agent.remove("urgent.yaml");
  await agent.untilReady("next");
  for (const name of ["huge", "once", "next"]) await agent.remove(`${name}.yaml`);
  await Promise.all(["huge", "once", "next", "urgent"].map((name) => agent.untilGone(name)));
}

async function checkPorts(agent: AgentUnderTest): Promise<void> {
  const ported = (name: string) =>
    podOf(name, [shell("main", stay, { ports: [{ containerPort: 80, hostPort: 18473 }] })]);
  await agent.write("second.yaml", ported("second"));
  const before = identityOf(await agent.untilReady("second"));
  await untilRefused(agent, ported("first"), "NodePorts", "Predicate NodePorts failed");
  await agent.kill();
  await agent.start();
  await agent.untilPod("first", "is refused again", (p) => p.status?.reason === "NodePorts");
  assertEquals(identityOf(await agent.untilReady("second")), before);
  await agent.remove("second.yaml");
  await agent.untilReady("first");
  await agent.remove("first.yaml");
}

async function checkSysctls(agent: AgentUnderTest): Promise<void> {
  const setting = (name: string, ...sysctls: { name: string; value: string }[]) =>
    podOf(
      name,
      [shell("main", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax")],
      {
        restartPolicy: "Never",
        securityContext: { sysctls },
      },
    );
  const forbidden = setting("unsafe", { name: "kernel.shmmax", value: "65536" });
  await untilRefused(
    agent,
    forbidden,
    "SysctlForbidden",
    'forbidden sysctl: "kernel.shmmax" not allowlisted',
  );
  const safe = { name: "net.ipv4.ip_unprivileged_port_start", value: "77" };
  await agent.write("safe.yaml", setting("safe", safe, { name: "kernel.msgmax", value: "12345" }));
  await agent.untilEnded("safe");
  assertEquals(await agent.logs("safe", "main"), "77\n12345\n");
}

Deno.test("admission", async (t) => {
  await using agent = await createAgent({
    config: `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
allowedUnsafeSysctls: ["kernel.msg*"]
---
apiVersion: agent/v1alpha1
kind: AgentConfiguration
nodeLabels: { disk: ssd }
`,
  });
  await agent.start();
  await t.step("nodeSelector, nodeAffinity and os: only what is for this node", () => checkNode(agent));
  await t.step("requests, priorityClassName and what has ended decide who has room", () => checkRoom(agent));
  await t.step(
    "a host port belongs to the pod that has it, over a crash, until it goes",
    () => checkPorts(agent),
  );
  await t.step("sysctls: safe and allowed ones are set, others refused", () => checkSysctls(agent));
});
