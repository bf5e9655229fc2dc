/** Devices without a device plugin: CDI specs, device nodes of the host, NVIDIA's GPUs. Not for: wiring. */
import type { Host } from "../../agent/ports.ts";
import type { SeenDevices } from "./host_devices.ts";
import { lookAlways } from "./look.ts";

export { type Cdi, type CdiRuntime, createCdi } from "./cdi.ts";
export { createHostDevices, type SeenDevices } from "./host_devices.ts";
export { withDeviceGroups } from "./host_nodes.ts";
export { createNvidia, type NvidiaHost } from "./nvidia.ts";

/** Follows what comes and goes until the signal aborts; one watch for all, since /dev is noisy. */
export async function followDevices(
  host: Pick<Host, "watchPlaces">,
  devices: readonly SeenDevices[],
  signal: AbortSignal,
): Promise<void> {
  const look = async () => {
    for (const each of devices) await each.look();
  };
  await lookAlways(host, devices.flatMap((each) => each.places), look, signal);
}
