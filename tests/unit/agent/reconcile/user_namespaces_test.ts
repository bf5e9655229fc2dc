import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { IdRange } from "../../../../agent/model/user_namespace.ts";
import { createUserNamespaces } from "../../../../agent/reconcile/user_namespaces.ts";
import { createFakeRuntime, type FakeRuntime } from "../../../fakes/runtime.ts";
import { createSandboxSpec } from "../../../contract/specs.ts";
import {
  container,
  createBench,
  desired,
  idPool,
  isReady,
  podOf,
  status,
  until,
  withBench,
} from "./bench.ts";

const signal = new AbortController().signal;
const own = (name: string) => podOf(name, [container(name)], { hostUsers: false });
const firsts = (fake: FakeRuntime) =>
  Object.fromEntries(fake.pods().map((p) => [p.name, p.sandboxes[0]?.userNamespace?.first]));

Deno.test("hostUsers: false is refused, in the kubelet's words, where the runtime has no user namespaces", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(own("web")));
    await until(b, "refused", () => status(b, "web")?.reason === "CreatePodSandboxError");
    assertEquals(
      status(b, "web")?.message?.split(": expected")[0],
      "can't set `spec.hostUsers: false`, runtime does not support user namespaces",
    );
    assertEquals(b.fake.callsOf("runPodSandbox"), []);
  }));

Deno.test("hostUsers: each pod has ids of its own, and keeps them over a crash of the agent", () => {
  const fake = createFakeRuntime({ userNamespaces: true });
  return withBench(async (b, root) => {
    b.reconciler.update(desired(own("a"), own("b"), podOf("c", [container("c")])));
    await until(b, "ready", () => ["a", "b", "c"].every((name) => isReady(b, name)));
    const given = firsts(fake);
    assertEquals(new Set(Object.values(given)), new Set([65_536, 131_072, undefined]));
    assertEquals(fake.specOf("a").sandbox.userNamespace === undefined, given["a"] === undefined);
    await b.leave();
    const next = createBench(root, fake);
    try {
      fake.killSandbox(fake.pods().find((p) => p.name === "a")!.uid);
      next.reconciler.update(desired(own("a"), own("b"), own("d"), podOf("c", [container("c")])));
      await until(next, "ready again", () => isReady(next, "a") && isReady(next, "b"));
      assertEquals(firsts(fake)["a"], given["a"]);
      await until(
        next,
        "no ids are left",
        () => status(next, "d")?.message?.includes("could not find an empty slot") === true,
      );
      next.reconciler.update(desired(own("b"), own("d")));
      await until(next, "the ids of a are free", () => isReady(next, "d"));
      assertEquals(firsts(fake), { b: given["b"], d: given["a"] });
    } finally {
      await next.leave();
    }
  }, fake);
});

Deno.test("hostUsers: ranges that are asked for at once differ, and one that came to nothing is free again", async () => {
  const { runtime } = createFakeRuntime({ userNamespaces: true });
  const namespaces = createUserNamespaces({ runtime, pool: () => Promise.resolve(idPool) });
  const make = (uid: string) => (userNamespace: IdRange) =>
    runtime.runPodSandbox(createSandboxSpec({ uid, userNamespace }), signal).then(() => userNamespace.first);
  const fails = namespaces.withRange("x", () => Promise.reject(new Error("no")), signal);
  await assertRejects(() => fails, Error, "no");
  const both = await Promise.all(["a", "b"].map((uid) => namespaces.withRange(uid, make(uid), signal)));
  assertEquals(both, [65_536, 131_072]);
  await assertRejects(() => namespaces.withRange("c", make("c"), signal), AgentError, "all 2 are taken");
  const wrong = createUserNamespaces({ runtime, pool: () => Promise.resolve({ error: "the ids differ" }) });
  await assertRejects(
    () => wrong.withRange("c", make("c"), signal),
    AgentError,
    "create user namespace: the ids differ",
  );
});
