/** Device plugins by the kubelet's API v1beta1: the public face of plugins/device. */
export { responseCodec } from "./answers.ts";
export { createDevicePlugins, type DevicePlugins, type DevicePluginsOptions } from "./plugins.ts";
export { runRegistration } from "./registration.ts";
