/**
 * What this machine is: addresses, memory, processors. Read at the start; of addresses also what becomes of them.
 */
import { parseLoadedProfiles } from "../model/apparmor.ts";
import { followAddresses, type InterfaceAddress, nodeAddresses } from "../node/addresses.ts";

export interface Machine {
  hostname: string;
  /** Primary first. */
  addresses: string[];
  /** Of the kernel, as uname tells it. */
  kernel: string;
  /** In Go's words. */
  arch: string;
  cpus: number;
  /** Bytes. */
  memory: number;
  /** Bytes of huge pages by the bytes of one. */
  hugePages: ReadonlyMap<number, number>;
}

export const readText = (path: string) => {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
};

const readInterfaces = () =>
  Deno.networkInterfaces().map((i): InterfaceAddress => ({
    interface: i.name,
    family: i.family,
    address: i.address,
  }));

/** As it is now, of a machine that had `before`. */
export const newestAddresses = (before: readonly string[], configured: readonly string[]): string[] =>
  followAddresses(before, configured, readInterfaces(), readText("/proc/net/route"));

export function readMachine(configured: readonly string[]): Machine {
  return {
    hostname: Deno.hostname().toLowerCase(),
    addresses: nodeAddresses(configured, readInterfaces(), readText("/proc/net/route")),
    kernel: Deno.osRelease(),
    arch: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
    cpus: navigator.hardwareConcurrency,
    memory: Deno.systemMemoryInfo().total,
    hugePages: readHugePages(),
  };
}

/** Names of the loaded profiles; `undefined` where AppArmor is off. */
export function readApparmor(): Set<string> | undefined {
  if (!readText("/sys/module/apparmor/parameters/enabled").startsWith("Y")) return undefined;
  return parseLoadedProfiles(readText("/sys/kernel/security/apparmor/profiles"));
}

function readHugePages(): Map<number, number> {
  const directory = "/sys/kernel/mm/hugepages";
  try {
    return new Map(
      [...Deno.readDirSync(directory)].map(({ name }): [number, number] => {
        const size = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? NaN) * 1024;
        return [size, size * Number(readText(`${directory}/${name}/nr_hugepages`))];
      }).filter(([size]) => !Number.isNaN(size)),
    );
  } catch {
    return new Map();
  }
}
