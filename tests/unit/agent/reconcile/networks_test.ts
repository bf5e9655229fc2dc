/** Further networks in whole lives of pods: waiting for a definition, failures, a crash, the end. */
import { assert, assertEquals } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { NetworkAttachmentDefinition } from "../../../../agent/model/gen/v1.ts";
import { NETWORK_STATUS, NETWORKS } from "../../../../agent/model/networks.ts";
import { type Desired, type DesiredPod, noObjects } from "../../../../agent/model/wish.ts";
import {
  type Bench,
  container,
  createBench,
  desired,
  isReady,
  podOf,
  status,
  until,
  withBench,
} from "./bench.ts";

const lan: NetworkAttachmentDefinition = {
  metadata: { name: "lan", namespace: "default" },
  spec: { config: '{"cniVersion":"1.0.0","type":"bridge"}' },
};

const withLan = (...pods: DesiredPod[]): Desired => ({
  ...desired(...pods),
  objects: { ...noObjects, networkAttachments: new Map([["default/lan", lan]]) },
});

function networked(): DesiredPod {
  const web = podOf("web", [container("a")]);
  return {
    ...web,
    pod: { ...web.pod, metadata: { ...web.pod.metadata, annotations: { [NETWORKS]: "lan" } } },
  };
}

const told = (bench: Bench) => bench.store.events().map((e) => `${e.reason}: ${e.message}`);
const sandboxOf = (bench: Bench) => bench.fake.pods()[0]!.sandboxes[0]!.id;

Deno.test("a pod waits for the definition of its network, and tells of it when it is attached", () =>
  withBench(async (bench) => {
    bench.reconciler.update(desired(networked()));
    await until(bench, "it waits", () => status(bench, "web")?.reason === "CreatePodSandboxError");
    assertEquals(
      status(bench, "web")?.message,
      "no manifest describes NetworkAttachmentDefinition default/lan: the pod waits for it",
    );
    assertEquals(bench.fake.callsOf("createContainer"), []);
    bench.reconciler.update(withLan(networked()));
    await until(bench, "it runs", () => isReady(bench, "web"));
    assertEquals(bench.networks.calls, [`attach ${sandboxOf(bench)} net1`]);
    assert(told(bench).includes("AddedInterface: Add net1 [10.9.0.2] from default/lan"));
    const annotation = bench.store.pods()[0]!.metadata!.annotations![NETWORK_STATUS];
    assertEquals(JSON.parse(annotation!), [{
      name: "default/lan",
      interface: "net1",
      ips: ["10.9.0.2"],
      dns: {},
    }]);

    const sandbox = sandboxOf(bench);
    bench.reconciler.update(desired());
    await until(bench, "it is gone", () => bench.store.pods().length === 0);
    assertEquals(bench.networks.calls.slice(1), [`detach ${sandbox}`]);
    const last = bench.fake.calls.map((c) => c.method).filter((m) => m.startsWith("stop"));
    assertEquals(last, ["stopContainer", "stopPodSandbox"]);
    assertEquals(bench.networks.holders(), []);
  }));

Deno.test("a failed attachment is told and tried again; no container starts before", () =>
  withBench(async (bench) => {
    bench.networks.fail(
      "attach",
      new AgentError("CreatePodSandboxError", "network default/lan (net1): busy"),
    );
    bench.reconciler.update(withLan(networked()));
    await until(bench, "it runs", () => isReady(bench, "web"));
    assert(told(bench).includes("FailedCreatePodSandBox: network default/lan (net1): busy"));
    assertEquals(bench.networks.calls.length, 2);
    assertEquals(bench.fake.callsOf("runPodSandbox").length, 1, "the sandbox stays");
  }));

Deno.test("what is attached is known to the next agent, which leaves it before the sandbox ends", () =>
  withBench(async (bench, root) => {
    bench.reconciler.update(withLan(networked()));
    await until(bench, "it runs", () => isReady(bench, "web"));
    await bench.leave();
    const next = createBench(root, bench.fake, bench.networks);
    try {
      await next.reconciler.recover();
      next.reconciler.update(withLan(networked()));
      await until(next, "it runs still", () => isReady(next, "web"));
      assertEquals(next.networks.calls.length, 1, "nothing is attached again");
      next.networks.fail("detach", ...Array(3).fill(new AgentError("FailedKillPod", "busy")));
      next.reconciler.update(desired());
      await until(next, "it is gone", () => next.store.pods().length === 0);
      assertEquals(next.networks.calls.filter((c) => c.startsWith("detach")).length, 3);
      assertEquals(next.networks.holders().length, 1, "left to whoever collects what has leaked");
    } finally {
      await next.leave();
    }
  }));
