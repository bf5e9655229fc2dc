/** What is told of this machine and its system in a Node's status. Not for: what changes while it runs. */
import type { NodeSystemInfo } from "../model/gen/v1.ts";
import type { Host } from "../ports.ts";

export type MachineInfo = Omit<
  NodeSystemInfo,
  "containerRuntimeVersion" | "kubeletVersion" | "kubeProxyVersion"
>;

/** A file that is not there is "", as the kubelet has it. */
export async function readMachineInfo(
  host: Pick<Host, "readText">,
  { kernel, arch }: { kernel: string; arch: string },
): Promise<MachineInfo> {
  const read = async (...paths: string[]) => {
    for (const path of paths) {
      const text = (await host.readText(path).catch(() => undefined))?.trim();
      if (text !== undefined && text !== "") return text;
    }
    return "";
  };
  const machineID = await read("/etc/machine-id", "/var/lib/dbus/machine-id");
  const swap = swapOf(await read("/proc/meminfo"));
  return {
    machineID,
    systemUUID: await read("/sys/class/dmi/id/product_uuid", "/proc/device-tree/vm,uuid") || machineID,
    bootID: await read("/proc/sys/kernel/random/boot_id"),
    kernelVersion: kernel,
    osImage: prettyName(await read("/etc/os-release", "/usr/lib/os-release")),
    operatingSystem: "linux",
    architecture: arch,
    ...(swap > 0 && { swap: { capacity: swap } }),
  };
}

/** As often as cAdvisor looks again: an upgrade of the system or more swap are told within five minutes. */
const holdsMs = 300_000;

/** The same, which reads nothing while it holds. */
export function createMachineInfo(
  host: Pick<Host, "readText" | "monotonic">,
  machine: { kernel: string; arch: string },
): () => Promise<MachineInfo> {
  let known: { info: Promise<MachineInfo>; until: number } | undefined;
  return () => {
    if (known === undefined || host.monotonic() >= known.until) {
      known = { info: readMachineInfo(host, machine), until: host.monotonic() + holdsMs };
      known.info.catch(() => known = undefined);
    }
    return known.info;
  };
}

/** Bytes. */
const swapOf = (meminfo: string): number => 1024 * Number(/^SwapTotal: +(\d+) kB$/m.exec(meminfo)?.[1] ?? 0);

/** Of os-release(5). */
function prettyName(text: string): string {
  const value = /^PRETTY_NAME=(.*)$/m.exec(text)?.[1]?.trim() ?? "";
  const quoted = /^(["'])(.*)\1$/.exec(value)?.[2] ?? value;
  return quoted === "" ? "Linux" : quoted.replace(/\\(.)/g, "$1");
}
