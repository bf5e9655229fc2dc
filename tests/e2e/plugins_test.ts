/** Drivers that the agent runs itself, and what registers: seen by the command line, over a crash and to the end. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createAgent } from "./agent.ts";
import { until } from "./containerd.ts";

const program = new URL("../fakes/registering_program.ts", import.meta.url).pathname;

Deno.test("plugins: a driver of plugins.d runs, registers, outlives the agent, and ends with its file", async () => {
  await using agent = await createAgent({ withImage: false });
  const [file, socket] = [`${agent.root}/plugins.d/gpu.yaml`, `${agent.root}/plugins_registry/gpu/reg.sock`];
  await Deno.mkdir(`${agent.root}/plugins.d`, { recursive: true });
  const cache = JSON.parse(
    new TextDecoder().decode(
      (await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output()).stdout,
    ),
  ).denoDir;
  await Deno.writeTextFile(
    file,
    `apiVersion: agent/v1alpha1
kind: Driver
metadata: { name: gpu }
spec:
  command: [${Deno.execPath()}, run, -A, --no-check, ${program}]
  args: [${socket}, DRAPlugin, gpu.example]
  env: [{ name: DENO_DIR, value: ${cache} }]
  socket: ${socket}
`,
  );
  const check = await agent.cli("check", `${agent.root}/plugins.d`);
  assertEquals([check.code, check.stdout], [0, "No problems.\n"]);
  await agent.start();
  const plugins = async () => (await agent.cli("get", "plugins", "--no-headers")).stdout;
  const seen = (pattern: RegExp) =>
    until(`plugins show ${pattern}`, async () => pattern.test(await plugins()));
  await seen(/^gpu +Driver +running/m);
  await seen(/^gpu\.example +DRAPlugin +failed .*not supported yet/m);
  assertMatch((await agent.cli("events", "--for", "plugin/gpu.example")).stdout, /PluginRegistrationFailed/);
  const log = `${agent.root}/logs/plugins/gpu.log`;
  await until(
    "the plugin is told",
    async () => /told: .*not supported yet/.test(await Deno.readTextFile(log)),
  );

  const told = await Deno.readTextFile(log);
  await agent.kill();
  await agent.start();
  await seen(/^gpu +Driver +running/m);
  await until(
    "the same process is told again",
    async () => (await Deno.readTextFile(log)).length > told.length,
  );
  assert((await Deno.readTextFile(log)).startsWith(told), "its log goes on");

  await Deno.writeTextFile(file, "kind: Driver\n");
  await until("a broken edit is told", async () => (await agent.problems()).some((p) => p.file === file));
  assertMatch((await agent.cli("check", file)).stdout, /gpu\.yaml:1:1: apiVersion: expected agent\/v1alpha1/);
  await seen(/^gpu +Driver +running/m);
  await Deno.remove(file);
  await until("nothing is left of it", async () => await plugins() === "");
});
