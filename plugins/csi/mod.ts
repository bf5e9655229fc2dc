/** CSI drivers of this node: the public face of plugins/csi. */
export { createCsiDrivers, type CsiDriversOptions } from "./drivers.ts";
