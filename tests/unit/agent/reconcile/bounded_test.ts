import { assertEquals } from "@std/assert";
import type { Runtime } from "../../../../agent/ports.ts";
import { boundSandboxes } from "../../../../agent/reconcile/bounded.ts";
import { createSandboxSpec } from "../../../contract/specs.ts";

/** A runtime whose sandboxes are made when the test says so. */
function createSlowRuntime() {
  const begun: string[] = [];
  const finish = new Map<string, () => void>();
  const runtime = {
    async runPodSandbox(spec) {
      const { name } = spec.pod.metadata!;
      begun.push(name!);
      await new Promise<void>((resolve) => finish.set(name!, resolve));
      return name!;
    },
  } as Partial<Runtime> as Runtime;
  return { runtime, begun, finish };
}

const signal = new AbortController().signal;
const turn = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("as many sandboxes as allowed at once, the others in the order of asking", async () => {
  const { runtime, begun, finish } = createSlowRuntime();
  const bounded = boundSandboxes(runtime, 2);
  const made = ["a", "b", "c"].map((name) => bounded.runPodSandbox(createSandboxSpec({ name }), signal));
  await turn();
  assertEquals(begun, ["a", "b"]);
  finish.get("a")!();
  await made[0];
  await turn();
  assertEquals(begun, ["a", "b", "c"]);
  for (const done of finish.values()) done();
  assertEquals(await Promise.all(made), ["a", "b", "c"]);
});

Deno.test("a pod on the host's network waits for none that hangs", async () => {
  const { runtime, begun, finish } = createSlowRuntime();
  const bounded = boundSandboxes(runtime, 1);
  const hung = bounded.runPodSandbox(createSandboxSpec({ name: "hung" }), signal);
  const network = bounded.runPodSandbox(
    createSandboxSpec({ name: "network", spec: { hostNetwork: true } }),
    signal,
  );
  await turn();
  assertEquals(begun.sort(), ["hung", "network"]);
  for (const done of finish.values()) done();
  await Promise.all([hung, network]);
});

Deno.test("who is abandoned while waiting takes no place", async () => {
  const { runtime, begun, finish } = createSlowRuntime();
  const bounded = boundSandboxes(runtime, 1);
  const first = bounded.runPodSandbox(createSandboxSpec({ name: "first" }), signal);
  const leave = new AbortController();
  const left = bounded.runPodSandbox(createSandboxSpec({ name: "left" }), leave.signal).catch(() => "left");
  leave.abort();
  assertEquals(await left, "left");
  finish.get("first")!();
  await first;
  const next = bounded.runPodSandbox(createSandboxSpec({ name: "next" }), signal);
  await turn();
  assertEquals(begun, ["first", "next"]);
  finish.get("next")!();
  await next;
});
