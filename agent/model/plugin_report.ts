/** What users are shown of a plugin on this node. Not for: how it got there. */

/**
 * `registering`: asked, and not yet taken; `registered`; `replaced`: another socket, a newer one, bears the same name;
 * `failed`: see its error, it is asked again. Of a driver that the agent runs: `starting` until its socket answers,
 * `running`, `failed`, `stopping`.
 */
export type PluginState =
  | "registering"
  | "registered"
  | "replaced"
  | "failed"
  | "starting"
  | "running"
  | "stopping";

export interface PluginReport {
  /** Of the driver or resource; of the socket's file until it has said one. */
  name: string;
  /** `CSIPlugin`, `DevicePlugin`, or what else it calls itself; "" until it has said; `Driver` for one that we run. */
  type: string;
  state: PluginState;
  /** The registration socket; of a driver, the one that it serves at, or "". */
  socket: string;
  /** Where it serves; "" until it has said. */
  endpoint: string;
  versions: readonly string[];
  /** What was wrong last; "" when nothing is. */
  error: string;
  /** When the state began, in milliseconds since the epoch. */
  since: number;
}
