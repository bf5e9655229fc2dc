/**
 * What this machine is: addresses, memory, processors. Read once at the start. Not for: what becomes of it.
 */
import { type InterfaceAddress, nodeAddresses } from "../node/addresses.ts";

export interface Machine {
  hostname: string;
  /** Primary first. */
  addresses: string[];
  cpus: number;
  /** Bytes. */
  memory: number;
}

const readText = (path: string) => {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
};

export function readMachine(configured: readonly string[]): Machine {
  const interfaces = Deno.networkInterfaces().map((i): InterfaceAddress => ({
    interface: i.name,
    family: i.family,
    address: i.address,
  }));
  return {
    hostname: Deno.hostname().toLowerCase(),
    addresses: nodeAddresses(configured, interfaces, readText("/proc/net/route")),
    cpus: navigator.hardwareConcurrency,
    memory: Deno.systemMemoryInfo().total,
  };
}
