/** Devices without a device plugin: CDI specs, device nodes of the host, NVIDIA's GPUs. Not for: wiring. */
export { type Cdi, type CdiRuntime, createCdi } from "./cdi.ts";
export { createHostDevices, type LocalDevices } from "./host_devices.ts";
export { withDeviceGroups } from "./host_nodes.ts";
export { createNvidia, type NvidiaHost } from "./nvidia.ts";
