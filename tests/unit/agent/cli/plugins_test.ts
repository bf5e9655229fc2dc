import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createLab, now } from "./lab.ts";

Deno.test("get plugins: who registered, who failed and why", async () => {
  await using lab = await createLab();
  const socket = (name: string) => `/var/lib/kubelet/plugins_registry/${name}`;
  const both = { type: "CSIPlugin", versions: ["1.0.0"], since: now - 60_000 };
  lab.store.setPlugins("registry", [
    { ...both, name: "a.example", state: "registered", socket: socket("a"), endpoint: "/run/a", error: "" },
    {
      ...both,
      name: "b",
      type: "",
      state: "failed",
      socket: socket("b"),
      endpoint: "",
      error: "nobody answers",
    },
  ]);
  assertEquals(
    (await lab.agent("get", "plugins")).out,
    "NAME        TYPE        STATE        AGE   ERROR\n" +
      "a.example   CSIPlugin   registered   60s\n" +
      "b           <unknown>   failed       60s   nobody answers\n",
  );
  assertMatch((await lab.agent("get", "plugin/a.example", "-o", "wide")).out, /1\.0\.0 +\S+\/a +\/run\/a/);
  assertEquals(JSON.parse((await lab.agent("get", "plugins", "b", "-o", "json")).out), {
    ...{ kind: "Plugin", metadata: { name: "b" }, state: "failed", socket: socket("b") },
    ...{ versions: ["1.0.0"], error: "nobody answers", since: "2026-03-01T11:59:00Z" },
  });
  const object = { kind: "Plugin", name: "vendor.example/gpu" };
  lab.store.addEvent({ type: "Normal", reason: "PluginRegistered", message: "m", object }, now);
  assertStringIncludes(
    (await lab.agent("events", "--for", "plugin/vendor.example/gpu")).out,
    "PluginRegistered",
  );
});
