/** The device plugin API on a real plugin, a process of its own. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { silentLog } from "../../../../agent/lib/log.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { PluginReport } from "../../../../agent/model/plugin_report.ts";
import { createDevicePlugins, type DevicePlugins, runRegistration } from "../../../../plugins/device/mod.ts";
import { type DeviceOptions, startDevicePlugin, type TestDevice } from "../../../drivers/device/start.ts";
import { until } from "../../../e2e/containerd.ts";

const resource = "example.com/thing";
const never = new AbortController().signal;

/** What an agent has of device plugins. */
class Agent implements AsyncDisposable {
  readonly plugins: DevicePlugins;
  reports: readonly PluginReport[] = [];
  #leave = new AbortController();
  #ended: Promise<void>;

  constructor(directory: string, rememberMs = 300_000) {
    this.plugins = createDevicePlugins({
      log: silentLog,
      now: Date.now,
      report: (reports) => this.reports = reports,
      event: () => {},
      rememberMs,
    });
    this.#ended = runRegistration(
      { host: createHost(), directory, plugins: this.plugins },
      this.#leave.signal,
    );
    this.#ended.catch(() => {});
  }

  offer = () => this.plugins.source.offers().get(resource);
  ids = () => this.offer()?.devices.map((d) => d.healthy ? d.id : `${d.id}!`).join();
  connected = (yes = true) => until(`connected: ${yes}`, () => this.offer()?.connected === yes);
  has = (ids: string) => until(`devices ${ids}, not ${this.ids()}`, () => this.ids() === ids);
  allocate = (...ids: string[]) => this.plugins.source.allocate(resource, ids, never);

  async [Symbol.asyncDispose]() {
    this.#leave.abort();
    this.plugins.close();
    await this.#ended;
  }
}

interface Lab {
  directory: string;
  start(options?: Partial<DeviceOptions>, devices?: TestDevice[]): ReturnType<typeof startDevicePlugin>;
}

function lab(name: string, body: (lab: Lab) => Promise<void>): void {
  Deno.test(name, async () => {
    const root = await Deno.makeTempDir();
    const directory = `${root}/device-plugins`;
    const start: Lab["start"] = (options = {}, devices = [{ id: "a" }, { id: "b", numa: [0, 1] }]) =>
      startDevicePlugin(directory, devices, { resource, ...options });
    try {
      await body({ directory, start });
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  });
}

lab("a plugin registers, tells its devices and gives them; it changes, ends and comes back", async (lab) => {
  const nodes = [{ containerPath: "/dev/x", hostPath: "/dev/null", permissions: "rw" }];
  const more = {
    envs: { COLOUR: "red" },
    mounts: [{ containerPath: "/lib/x", hostPath: "/usr/lib", readOnly: true }],
    annotations: { "example.com/a": "1" },
    cdi: ["example.com/thing=a"],
  };
  await using agent = new Agent(lab.directory);
  await using plugin = await lab.start({ nodes, preStart: true, prefer: ["b"], ...more });
  await agent.connected();
  assertEquals(agent.offer(), {
    devices: [{ id: "a", healthy: true, numaNodes: [] }, { id: "b", healthy: true, numaNodes: [0, 1] }],
    connected: true,
    prefers: true,
    preStarts: true,
  });
  assertEquals(agent.reports.map((r) => [r.name, r.type, r.state, r.error]), [
    [resource, "DevicePlugin", "registered", ""],
  ]);
  const question = { available: ["a", "b"], mustInclude: [], size: 1 };
  assertEquals(await agent.plugins.source.preferred(resource, question, never), ["b"]);
  assertEquals(await agent.allocate("a", "b"), {
    owner: resource,
    env: { COLOUR: "red", DEVICES: "a,b" },
    mounts: [{ containerPath: "/lib/x", hostPath: "/usr/lib", readonly: true }],
    devices: nodes,
    annotations: { "example.com/a": "1" },
    cdiDevices: ["example.com/thing=a"],
  });
  await agent.plugins.source.preStart(resource, ["a"], never);
  assertEquals((await plugin.calls("PreStartContainer")).map((c) => c.request), [{ devicesIds: ["a"] }]);

  let told = 0;
  agent.plugins.source.subscribe(() => told++, never);
  await plugin.devices([{ id: "a", healthy: false }, { id: "c" }]);
  await agent.has("a!,c");
  assertEquals(told, 1);
  await plugin.kill();
  await agent.connected(false);
  assertEquals(agent.ids(), "a!,c", "what it had is remembered");
  await assertRejects(() => agent.allocate("c"), AgentError, "is gone");
  await plugin.devices([{ id: "d" }]);
  await plugin.start();
  await until("it is back", () => agent.offer()?.connected === true && agent.ids() === "d");
});

lab(
  "a new run of the agent: plugins see the new kubelet.sock, find theirs gone and register again",
  async (lab) => {
    await using plugin = await lab.start();
    await Deno.writeTextFile(`${lab.directory}/kubelet_internal_checkpoint`, "kept");
    for (let run = 1; run <= 2; run++) {
      await using agent = new Agent(lab.directory);
      await agent.connected();
      assertEquals((await plugin.calls("Register")).length, run);
      assertEquals(((await Deno.stat(`${lab.directory}/kubelet.sock`)).mode ?? 0) & 0o777, 0o600);
    }
    assertEquals(await Deno.readTextFile(`${lab.directory}/kubelet_internal_checkpoint`), "kept");
  },
);

lab("a plugin that ends its list, or does not come back, is forgotten after a while", async (lab) => {
  await using agent = new Agent(lab.directory, 50);
  await using plugin = await lab.start();
  await agent.connected();
  await plugin.devices(undefined);
  await until("it is forgotten", () => agent.offer() === undefined);
  assertEquals(agent.reports, []);
});

lab("calls that fail say what the plugin said; one that hangs ends with the signal", async (lab) => {
  await using agent = new Agent(lab.directory);
  await using plugin = await lab.start({ preStart: true, prefer: [] });
  await agent.connected();
  const fail = { fail: { code: "INTERNAL" as const, message: "no power" } };
  await plugin.knobs({ Allocate: fail, PreStartContainer: fail, GetPreferredAllocation: fail });
  const { source } = agent.plugins;
  const error = await assertRejects(() => agent.allocate("a"), AgentError, "INTERNAL: no power");
  assertEquals([error.reason, error.message], [
    "UnexpectedAdmissionError",
    `Allocate of ${resource} failed: INTERNAL: no power`,
  ]);
  const preStart = await assertRejects(() => source.preStart(resource, ["a"], never), AgentError, "no power");
  assertEquals(preStart.reason, "CreateContainerConfigError");
  const question = { available: ["a", "b"], mustInclude: [], size: 1 };
  assertEquals(await source.preferred(resource, question, never), undefined);
  await plugin.knobs({ Allocate: { hang: true } });
  const hangs = source.allocate(resource, ["a"], AbortSignal.timeout(50));
  await assertRejects(() => hangs, AgentError, "CANCELLED");
  await plugin.knobs({});
  assertEquals((await agent.allocate("a")).env, { DEVICES: "a" });
});

lab(
  "answers are judged: devices without ids, paths that are none, permissions, foreign annotations",
  async (lab) => {
    await using agent = new Agent(lab.directory);
    const bad: [Partial<DeviceOptions>, string][] = [
      [{ mounts: [{ containerPath: "/a", hostPath: "b" }] }, `host_path: expected an absolute path, got "b"`],
      [{ nodes: [{ containerPath: "a", hostPath: "/b", permissions: "rw" }] }, "container_path: expected"],
      [
        { nodes: [{ containerPath: "/a", hostPath: "/b", permissions: "x" }] },
        `permissions: expected some of rwm, got "x"`,
      ],
      [{ envs: { "a=b": "c" } }, `a variable has the name "a=b"`],
      [{ annotations: { "agent/ephemeral": "{}" } }, "the annotation agent/ephemeral is not its own"],
    ];
    for (const [options, message] of bad) {
      await using _ = await lab.start(options);
      await agent.connected();
      assertStringIncludes((await assertRejects(() => agent.allocate("a"), AgentError)).message, message);
    }
    await using _ = await lab.start({}, [{ id: "" }]);
    await until(
      "it is judged",
      () => agent.reports[0]?.error === "expected device ids of 1 to 256 characters, got 0",
    );
    assertEquals(agent.offer()?.connected, false);
  },
);

lab("registrations that are wrong are refused with what was expected", async (lab) => {
  await using agent = new Agent(lab.directory);
  await until("it serves", () => Deno.lstat(`${lab.directory}/kubelet.sock`).then(() => true, () => false));
  const wrong: [Partial<DeviceOptions>, string][] = [
    [{ version: "v1alpha" }, `the API version is not supported: expected "v1beta1", got "v1alpha"`],
    [{ resource: "thing" }, `the resource name "thing" is invalid: expected DOMAIN/NAME`],
    [{ resource: "kubernetes.io/thing" }, `the resource name "kubernetes.io/thing" is invalid`],
  ];
  for (const [options, message] of wrong) {
    await using plugin = await lab.start(options);
    await until("it is told", async () => {
      const [said] = await plugin.outcomes("Register");
      if (said !== undefined) assertStringIncludes(said, message);
      return said !== undefined;
    });
  }
  assertEquals(agent.reports, []);
  const taken = runRegistration(
    { host: createHost(), directory: lab.directory, plugins: agent.plugins },
    never,
  );
  await assertRejects(() => taken, Error, "a kubelet answers at");
});
