/**
 * The plugins of a chaos run: a CSI driver and a device plugin, processes of their own that are killed and started again.
 * The driver outlives the agent, which needs it to the end. Not for: when (script.ts), what they leave (plugin_traces.ts).
 */
import { join } from "@std/path";
import { type CsiDriverProcess, startCsiDriver } from "../drivers/csi/start.ts";
import { type DevicePluginProcess, startDevicePlugin } from "../drivers/device/start.ts";
import { output } from "../e2e/agent.ts";
import { startRegisteringPlugin } from "../fakes/registration.ts";
import { devices, driverName, resourceName } from "./pods.ts";
import type { Plugin } from "./script.ts";

export type PluginProcess = Pick<CsiDriverProcess | DevicePluginProcess, "kill" | "start" | "ended">;
export type Plugins = Record<Plugin, PluginProcess>;

export interface ChaosDriver extends AsyncDisposable {
  driver: CsiDriverProcess;
  /** Where it keeps its volumes. */
  state: string;
  /** Has it registered with the agent of this root directory, as a sidecar does that is never killed. */
  register(root: string): Promise<void>;
}

export async function startChaosDriver(): Promise<ChaosDriver> {
  await using stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "chaos-csi-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const state = join(directory, "state");
  stack.defer(() => detachLoops(state));
  const driver = stack.use(await startCsiDriver(directory, { name: driverName, state }));
  const owned = stack.move();
  return {
    driver,
    state,
    async register(root) {
      const registry = join(root, "plugins_registry");
      await Deno.mkdir(registry, { recursive: true });
      const introduction = { type: "CSIPlugin", name: driverName, endpoint: driver.socket };
      owned.use(await startRegisteringPlugin(join(registry, "chaos.sock"), introduction));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A run that failed may leave some. */
async function detachLoops(state: string): Promise<void> {
  const { stdout } = await output("losetup", ["-l", "-n", "-O", "NAME,BACK-FILE"]);
  for (const line of stdout.split("\n").filter((line) => line.includes(`${state}/`))) {
    await output("losetup", ["-d", line.split(/\s+/)[0]!]);
  }
}

export const startChaosDevices = (root: string): Promise<DevicePluginProcess> =>
  startDevicePlugin(join(root, "device-plugins"), devices.map((id) => ({ id })), {
    resource: resourceName,
    preStart: true,
  });
