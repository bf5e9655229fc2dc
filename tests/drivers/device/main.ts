/**
 * A small device plugin that is real: a process of its own with devices that it says it has, and knobs to make it
 * misbehave. `deno run -A tests/drivers/device/main.ts DIRECTORY OPTIONS`: the directory of kubelet.sock, options as JSON.
 * Not for: anybody's devices.
 */
import { basename, join } from "@std/path";
import { DevicePluginDefinition, RegistrationDefinition } from "../../../plugins/rpc/gen/device_plugin.ts";
import {
  bindService,
  type CallContext,
  createChannel,
  createClient,
  serve,
  type Server,
} from "../../../plugins/rpc/mod.ts";
import { createKnobs } from "../csi/knobs.ts";
import { type DeviceOptions, devicesFile, type TestDevice } from "./start.ts";

const [directory = "", text = "{}"] = Deno.args;
const options = JSON.parse(text) as DeviceOptions;
const turn = createKnobs(options.state);

const readDevices = () => Deno.readTextFileSync(devicesFile(options.state));

const listOf = (text: string) => ({
  devices: (JSON.parse(text) as TestDevice[]).map(({ id, healthy = true, numa = [] }) => ({
    ID: id,
    health: healthy ? "Healthy" : "Unhealthy",
    topology: { nodes: numa.map((node) => ({ ID: BigInt(node) })) },
  })),
});

/** An empty file ends the stream, and the plugin serves on. */
async function* listAndWatch(_request: object, { signal }: CallContext) {
  const watcher = Deno.watchFs(options.state);
  signal.addEventListener("abort", () => watcher.close());
  let told = readDevices();
  yield await turn("ListAndWatch", {}, () => listOf(told));
  for await (const _ of watcher) {
    const now = readDevices();
    if (now === "") return;
    if (now !== told) yield listOf(now);
    told = now;
  }
}

const service = bindService(DevicePluginDefinition, {
  getDevicePluginOptions: (request) =>
    turn("GetDevicePluginOptions", request, () => ({
      preStartRequired: options.preStart === true,
      getPreferredAllocationAvailable: options.prefer !== undefined,
    })),
  listAndWatch,
  getPreferredAllocation: (request) =>
    turn("GetPreferredAllocation", request, () => ({
      containerResponses: request.containerRequests.map((r) => ({
        deviceIDs: [...new Set([...r.mustIncludeDeviceIDs, ...options.prefer ?? []])].slice(
          0,
          r.allocationSize,
        ),
      })),
    })),
  allocate: (request) =>
    turn("Allocate", request, () => ({
      containerResponses: request.containerRequests.map(({ devicesIds }) => ({
        envs: { ...options.envs, DEVICES: devicesIds.join(",") },
        mounts: options.mounts ?? [],
        devices: options.nodes ?? [],
        annotations: options.annotations ?? {},
        cdiDevices: (options.cdi ?? []).map((name) => ({ name })),
      })),
    })),
  preStartContainer: (request) => turn("PreStartContainer", request, () => ({})),
});

const socket = join(directory, `${options.resource.replace("/", "_")}.sock`);

async function register(signal: AbortSignal): Promise<void> {
  const channel = createChannel(join(directory, "kubelet.sock"));
  try {
    await turn("Register", {}, () =>
      createClient(RegistrationDefinition, channel).register({
        version: options.version ?? "v1beta1",
        endpoint: basename(socket),
        resourceName: options.resource,
      }, { signal, timeoutMs: 5000 }));
  } finally {
    channel.close();
  }
}

/** As real plugins do: whoever serves at kubelet.sock anew knows nothing of them, and has removed their socket. */
async function serveAgainAndAgain(): Promise<void> {
  const watcher = Deno.watchFs(directory);
  let [known, leave, server]: [string, AbortController, Server?] = ["", new AbortController()];
  const look = async () => {
    const file = await Deno.lstat(join(directory, "kubelet.sock")).catch(() => undefined);
    const identity = `${file?.ino} ${file?.mtime?.getTime()}`;
    if (file === undefined || identity === known) return;
    known = identity;
    leave.abort();
    await server?.finished;
    leave = new AbortController();
    server = await serve(socket, [service], { signal: leave.signal });
    // A plugin that is not taken ends, as the API asks of it.
    await register(leave.signal).catch(() => Deno.exit(75));
  };
  await look();
  for await (const _ of watcher) await look();
}

await Deno.stdout.write(new TextEncoder().encode("running\n"));
await serveAgainAndAgain();
