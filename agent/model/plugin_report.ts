/** What users are shown of a plugin on this node. Not for: how it got there. */

/**
 * `registering`: asked, and not yet taken; `registered`; `replaced`: another socket, a newer one, bears the same name;
 * `failed`: see its error, it is asked again.
 */
export type PluginState = "registering" | "registered" | "replaced" | "failed";

export interface PluginReport {
  /** Of the driver or resource; of the socket's file until it has said one. */
  name: string;
  /** `CSIPlugin`, `DevicePlugin`, or what else it calls itself; "" until it has said. */
  type: string;
  state: PluginState;
  /** The registration socket. */
  socket: string;
  /** Where it serves; "" until it has said. */
  endpoint: string;
  versions: readonly string[];
  /** What was wrong last; "" when nothing is. */
  error: string;
  /** When the state began, in milliseconds since the epoch. */
  since: number;
}
