/** Whoever speaks at kubelet.sock or answers as a device plugin, however badly, harms nobody else. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { silentLog } from "../../../../agent/lib/log.ts";
import { deviceAmounts } from "../../../../agent/model/devices.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { PluginReport } from "../../../../agent/model/plugin_report.ts";
import { createDevicePlugins, type DevicePlugins, runRegistration } from "../../../../plugins/device/mod.ts";
import {
  DevicePluginDefinition,
  type ListAndWatchResponse,
  RegistrationDefinition,
} from "../../../../plugins/rpc/gen/device_plugin.ts";
import {
  bindService,
  Code,
  createChannel,
  createClient,
  type Handlers,
  RpcError,
  serve,
} from "../../../../plugins/rpc/mod.ts";
import { startDevicePlugin } from "../../../drivers/device/start.ts";
import { until } from "../../../e2e/containerd.ts";

type Plugin = Handlers<typeof DevicePluginDefinition>;
const never = new AbortController().signal;
const one = { devices: [{ ID: "a", health: "Healthy" }] };

interface Lab {
  directory: string;
  plugins: DevicePlugins;
  reports(): readonly PluginReport[];
  /** Serves a plugin of this process and registers it; throws where it is not taken. */
  add(resource: string, plugin: Plugin, definition?: typeof DevicePluginDefinition): Promise<void>;
}

function lab(name: string, body: (lab: Lab) => Promise<void>): void {
  Deno.test(name, async () => {
    const directory = await Deno.makeTempDir();
    const leave = new AbortController();
    let reports: readonly PluginReport[] = [];
    const plugins = createDevicePlugins({
      log: silentLog,
      now: Date.now,
      report: (list) => reports = list,
      event: () => {},
    });
    const ended = [runRegistration({ host: createHost(), directory, plugins }, leave.signal)];
    await until("it serves", () => Deno.lstat(`${directory}/kubelet.sock`).then(() => true, () => false));
    try {
      await body({
        directory,
        plugins,
        reports: () => reports,
        async add(resource, plugin, definition = DevicePluginDefinition) {
          const endpoint = resource.replace("/", "_");
          const handlers: Plugin = { getDevicePluginOptions: () => Promise.resolve({}), ...plugin };
          const server = await serve(`${directory}/${endpoint}`, [bindService(definition, handlers)], {
            signal: leave.signal,
          });
          ended.push(server.finished);
          const channel = createChannel(`${directory}/kubelet.sock`);
          const request = { version: "v1beta1", endpoint, resourceName: resource };
          const call = { signal: leave.signal };
          await createClient(RegistrationDefinition, channel).register(request, call).finally(channel.close);
        },
      });
    } finally {
      leave.abort();
      plugins.close();
      await Promise.all(ended);
      await Deno.remove(directory, { recursive: true });
    }
  });
}

const offerOf = ({ plugins }: Lab, resource: string) => plugins.source.offers().get(resource);

lab("noise at kubelet.sock: a plugin that comes in between is registered", async (lab) => {
  const path = `${lab.directory}/kubelet.sock`;
  const preface = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const noise = async (round: number) => {
    const socket = await Deno.connect({ transport: "unix", path });
    const bytes = crypto.getRandomValues(new Uint8Array(1 + (round * 37) % 900));
    await socket.write(round % 2 === 0 ? bytes : new Uint8Array([...preface, ...bytes])).catch(() => {});
    socket.close();
  };
  const rounds = Array.from({ length: 300 }, (_, round) => round);
  const before = rounds.slice(0, 150).map(noise);
  await using _ = await startDevicePlugin(lab.directory, [{ id: "a" }], { resource: "a.com/good" });
  await Promise.all([...before, ...rounds.slice(150).map(noise)]);
  await until("it is registered", () => offerOf(lab, "a.com/good")?.connected === true);
});

lab(
  "a plugin that changes its list without an end makes little work, and its newest devices are known",
  async (lab) => {
    let [sent, told] = [0, 0];
    lab.plugins.source.subscribe(() => told++, never);
    async function* listAndWatch() {
      for (; sent < 100; sent++) {
        yield { devices: [{ ID: `d${sent}`, health: "Healthy" }] };
      }
      await new Promise<void>((resolve) => stop = resolve);
    }
    let stop = () => {};
    const begun = performance.now();
    await lab.add("a.com/x", { listAndWatch });
    await until("the last one is known", () => offerOf(lab, "a.com/x")?.devices[0]?.id === "d99");
    const passed = performance.now() - begun;
    assert(told <= 3 + passed / 20, `${told} times in ${passed} ms`);
    stop();
  },
);

lab("lists that are too long, too large or nonsense end the plugin, and nobody else", async (lab) => {
  const list = (devices: ListAndWatchResponse["devices"]): Plugin => ({
    async *listAndWatch() {
      yield { devices };
      await Promise.resolve();
    },
  });
  const many = (count: number, name: string) =>
    Array.from({ length: count }, (_, i) => ({ ID: name + i, health: "Healthy", topology: undefined }));
  const node = [{ ID: "a", health: "Healthy", topology: { nodes: [{ ID: -7n }] } }];
  await lab.add("a.com/long", list(many(10_001, "d")));
  await lab.add("a.com/large", list(many(1, "x".repeat(5_000_000))));
  await lab.add("a.com/node", list(node));
  const { listAndWatch } = DevicePluginDefinition.methods;
  const garbled = {
    ...listAndWatch.responseType,
    encode: () => ({ finish: () => new Uint8Array([0x0a, 0xff, 0xff]) }),
  };
  const methods = {
    ...DevicePluginDefinition.methods,
    listAndWatch: { ...listAndWatch, responseType: garbled },
  };
  await lab.add(
    "a.com/garbled",
    list([]),
    { ...DevicePluginDefinition, methods } as unknown as typeof DevicePluginDefinition,
  );
  const errors = () => Object.fromEntries(lab.reports().map((r) => [r.name, r.error]));
  await until("all are judged", () => Object.values(errors()).every((error) => error !== ""));
  const said = errors();
  assertEquals(said["a.com/long"], "expected at most 10000 devices, got 10001");
  assert(said["a.com/large"]!.startsWith("RESOURCE_EXHAUSTED"), said["a.com/large"]);
  assertEquals(said["a.com/node"], "device a: expected NUMA nodes from 0 to 1024");
  assert(said["a.com/garbled"]!.includes("cannot be decoded"), said["a.com/garbled"]);
  const amounts = [...lab.plugins.source.offers()].map(([name, o]) => [name, o.connected, o.devices.length]);
  assertEquals(amounts, ["long", "large", "node", "garbled"].map((name) => [`a.com/${name}`, false, 0]));
});

lab(
  "one that does not tell its options is not taken: it is told why, and asked for nothing else",
  async (lab) => {
    const calls: string[] = [];
    const fails = (call: string) => () => {
      calls.push(call);
      throw new RpcError(Code.UNKNOWN, "no power");
    };
    const plugin = { getDevicePluginOptions: fails("options"), listAndWatch: fails("list") };
    const error = await assertRejects(() => lab.add("a.com/x", plugin), RpcError);
    assertEquals([error.code, calls], [Code.UNKNOWN, ["options"]]);
    assertEquals(error.message, "UNKNOWN: failed to get device plugin options: UNKNOWN: no power");
    assertEquals(lab.plugins.source.offers().size, 0);
    assertEquals(lab.reports().map((r) => r.state), ["failed"]);
  },
);

lab("one whose list fails at once is on the node with no devices, and is not asked again", async (lab) => {
  let asked = 0;
  const listAndWatch = () => {
    asked++;
    throw new RpcError(Code.UNKNOWN, "no power");
  };
  await lab.add("a.com/x", { listAndWatch });
  await until("it is offered", () => offerOf(lab, "a.com/x") !== undefined);
  assertEquals(
    deviceAmounts(lab.plugins.source.offers()),
    new Map([["a.com/x", { capacity: 0, allocatable: 0 }]]),
  );
  assertEquals([lab.reports()[0]?.state, asked], ["failed", 1]);
});

lab(
  "one that never answers holds up its own devices only; answers for nobody, or for several, are refused",
  async (lab) => {
    const ends = (signal: AbortSignal) =>
      new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    const silence = async (_request: object, { signal }: { signal: AbortSignal }) => {
      await ends(signal);
      return {};
    };
    async function* listAndWatch(_request: object, { signal }: { signal: AbortSignal }) {
      yield one;
      await ends(signal);
    }
    const answers = (containerResponses: object[]) => () => Promise.resolve({ containerResponses });
    const silent = lab.add("a.com/silent", { listAndWatch, getDevicePluginOptions: silence });
    silent.catch(() => {}); // it ends with the test
    await lab.add("a.com/nobody", { listAndWatch, allocate: answers([]) });
    await lab.add("a.com/several", { listAndWatch, allocate: answers([{}, {}]) });
    await lab.add("a.com/good", { listAndWatch, allocate: answers([{ envs: { A: "1" } }]) });
    const { source } = lab.plugins;
    await until("three are there", () => source.offers().size === 3);
    assertEquals((await source.allocate("a.com/good", ["a"], never)).env, { A: "1" });
    for (const [name, got] of [["nobody", 0], ["several", 2]] as const) {
      const call = () => source.allocate(`a.com/${name}`, ["a"], never);
      await assertRejects(call, AgentError, `expected an answer for one container, got ${got}`);
    }
    assertEquals(lab.reports().find((r) => r.name === "a.com/silent")?.state, "registering");
  },
);
