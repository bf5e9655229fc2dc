/** /metrics/cadvisor, from the parts that know it; nothing is read until it is asked for. Not for: its form (model/). */
import { basename } from "@std/path";
import { cadvisorMetrics } from "../../model/cadvisor_metrics.ts";
import type { DeviceTraffic, PodReading } from "../../model/cgroup_reading.ts";
import { parseCpuTopology } from "../../model/cpu_topology.ts";
import { countOpenFiles } from "../../node/cgroup_readings.ts";
import { createMachineInfo } from "../../node/node_info.ts";
import { readNode } from "../../node/node_reading.ts";
import type { Host } from "../../ports.ts";
import { readMachine, readText } from "../machine.ts";
import type { KubeletApiOptions } from "./mod.ts";

export function cadvisorPage(
  { config, host, store, parts }: KubeletApiOptions,
): (signal: AbortSignal) => Promise<string> {
  const machine = readMachine(config.nodeIPs);
  const machineInfo = createMachineInfo(host, machine);
  const places = [...parseCpuTopology((path) => readText(`/sys/devices/system/${path}`)).cpus.values()];
  const countOf = (key: "core" | "socket") =>
    places.length === 0 ? {} : { [`${key}s`]: new Set(places.map((p) => p[key])).size };
  return async (signal) => {
    const pods = store.pods();
    const cgroups = await parts.cgroups();
    const [usage, node, found, system, capacity, device, info] = await Promise.all([
      parts.usage.look(signal),
      readNode(host),
      Promise.all(pods.map((pod) => cgroups.read({ pod, uid: pod.metadata?.uid ?? "" }))),
      cgroups.system([]),
      parts.usage.capacity(),
      deviceAt(host, config.rootDir),
      machineInfo(),
    ]);
    const readings = found.filter((reading) => reading !== undefined);
    return cadvisorMetrics({
      ...{ usage, node, readings, system, pods, disk: { device, capacity } },
      fileDescriptors: await openFiles(host, readings),
      devices: await deviceNames(host, [...readings.flatMap(cgroupsOf), node]),
      machine: {
        ...{
          cpus: machine.cpus,
          ...countOf("core"),
          ...countOf("socket"),
          memory: parts.node.memoryCapacity,
        },
        ...{ kernel: info.kernelVersion, system: info.osImage },
        ids: { boot_id: info.bootID, machine_id: info.machineID, system_uuid: info.systemUUID },
      },
    });
  };
}

/** By id of the container. */
async function openFiles(host: Host, readings: readonly PodReading[]): Promise<Map<string, number>> {
  const containers = readings.flatMap((pod) => [...pod.containers]);
  return new Map(
    await Promise.all(
      containers.map(async (
        [id, { pids }],
      ): Promise<[string, number]> => [id, await countOpenFiles(host, pids)]),
    ),
  );
}

/** Of the file system that a path is on, as it is mounted; the last of those that hold it is on top. */
async function deviceAt(host: Host, path: string): Promise<string> {
  const holds = (mount: string) => mount === "/" || path === mount || path.startsWith(`${mount}/`);
  const mounts = (await host.mounts()).filter(({ path }) => holds(path));
  const longest = Math.max(...mounts.map(({ path }) => path.length));
  return mounts.findLast(({ path }) => path.length === longest)?.source ?? "";
}

const cgroupsOf = ({ whole, containers }: PodReading) => [whole, ...containers.values()];

/** Paths of the devices that are named in readings, by their numbers. */
async function deviceNames(
  host: Host,
  readings: readonly { io: readonly DeviceTraffic[] }[],
): Promise<ReadonlyMap<string, string>> {
  const all = readings.flatMap(({ io }) => io);
  const names = new Map<string, string>();
  for (const number of new Set(all.map(({ device }) => device))) {
    const link = await host.readlink(`/sys/dev/block/${number}`).catch(() => undefined);
    if (link !== undefined) names.set(number, `/dev/${basename(link)}`);
  }
  return names;
}
