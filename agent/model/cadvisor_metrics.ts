/**
 * The kubelet's /metrics/cadvisor: the families that dashboards and alerts commonly use. Pure. Source: cAdvisor,
 * metrics/prometheus.go and prometheus_machine.go, and the labels that the kubelet gives (pkg/kubelet/server). Left out:
 * what cAdvisor does not measure under a kubelet and tells as 0 (container_tasks_state, container_cpu_load_…, machine_nvm_…),
 * sockets (each open file would have to be looked at). Not for: reading cgroups.
 */
import { cgroupFamilies, type Labels, type Row } from "./cadvisor_families.ts";
import type { CgroupReading, InterfaceReading, PodReading, Traffic } from "./cgroup_reading.ts";
import type { ContainerStatus, Pod } from "./gen/v1.ts";
import { family, type Sample } from "./resource_metrics.ts";
import type { NodeReading } from "./stats_node.ts";
import { type Capacity, usedOf } from "./stats_parts.ts";
import type { NodeUsage, SystemReading } from "./usage.ts";

export interface CadvisorFacts {
  usage: NodeUsage;
  node: NodeReading;
  readings: readonly PodReading[];
  system: readonly SystemReading[];
  pods: readonly Pod[];
  /** By id of the container. */
  fileDescriptors: ReadonlyMap<string, number>;
  /** Where pods lie. */
  disk: { device: string; capacity: Capacity | undefined };
  /** Paths of block devices, by `MAJOR:MINOR`. */
  devices: ReadonlyMap<string, string>;
  machine: {
    cpus: number;
    /** Where they are known. */
    cores?: number;
    sockets?: number;
    /** Bytes. */
    memory: number;
    kernel: string;
    system: string;
    ids: Readonly<Record<"boot_id" | "machine_id" | "system_uuid", string>>;
  };
}

const none: Labels = { container: "", image: "", name: "", namespace: "", pod: "" };

/** The root of the cgroups, which is the node. */
function nodeRow({ usage, node, disk, devices, machine }: CadvisorFacts): Row {
  const { capacity, device } = disk;
  return {
    labels: { ...none, id: "/" },
    reading: {
      ...usage.node,
      ...{ pageFaults: node.pageFaults, majorPageFaults: node.majorPageFaults, pressure: node.pressure },
      ...{ swap: node.swap.used, io: node.io },
      ...(node.tasks.now === undefined ? {} : { threads: node.tasks.now }),
      limits: { cpuShares: 1024, cpuPeriod: 100_000, memory: machine.memory },
    },
    fs: {
      device,
      capacity,
      ...(capacity === undefined ? {} : { used: usedOf(capacity) }),
    },
    startedAt: Math.floor(node.bootedAt / 1000),
    devices,
  };
}

function podRows(facts: CadvisorFacts, pod: Pod): Row[] {
  const { usage, readings, devices, fileDescriptors } = facts;
  const { name = "", namespace = "", uid = "" } = pod.metadata ?? {};
  const reading = readings.find((r) => r.uid === uid);
  if (reading === undefined) return [];
  const own = { ...none, namespace, pod: name };
  const disks = usage.pods.find((p) => p.uid === uid)?.containers ?? [];
  const containers = statusesOf(pod).flatMap((status): Row[] => {
    const id = status.containerID?.replace(/^.*:\/\//, "") ?? "";
    const found = reading.containers.get(id);
    if (found === undefined) return [];
    const startedAt = Date.parse(status.state?.running?.startedAt ?? "") / 1000;
    const used = disks.find((d) => d.id === id)?.disk?.bytes;
    const open = fileDescriptors.get(id);
    return [{
      labels: { ...own, container: status.name, id: found.path, image: status.image, name: id },
      reading: found,
      devices,
      ...(used === undefined ? {} : { fs: { device: facts.disk.device, used } }),
      ...(Number.isNaN(startedAt) ? {} : { startedAt }),
      ...(open === undefined ? {} : { fileDescriptors: open }),
    }];
  });
  return [{ labels: { ...own, id: reading.whole.path }, reading: reading.whole, devices }, ...containers];
}

const rowsOf = (facts: CadvisorFacts): Row[] => [
  nodeRow(facts),
  ...facts.system.map(({ reading }: { reading: CgroupReading }): Row => ({
    ...{ labels: { ...none, id: reading.path }, reading, devices: facts.devices },
  })),
  ...facts.pods.flatMap((pod) => podRows(facts, pod)),
];

const statusesOf = ({ status }: Pod): ContainerStatus[] => [
  ...status?.initContainerStatuses ?? [],
  ...status?.containerStatuses ?? [],
  ...status?.ephemeralContainerStatuses ?? [],
];

const directions = ["receive", "transmit"] as const;
const counted: readonly (keyof Traffic)[] = ["bytes", "packets", "errors", "dropped"];

function networkFamilies(facts: CadvisorFacts, rows: readonly Row[]): string[] {
  const of = (labels: Labels, at: number, found: readonly InterfaceReading[]) =>
    found.map((device) => ({ labels: { ...labels, interface: device.name }, at, device }));
  const samples = [
    ...of({ ...none, id: "/" }, facts.node.at, facts.node.network),
    ...facts.readings.flatMap((pod) => {
      const row = rows.find((r) => r.reading === pod.whole);
      return row === undefined ? [] : of(row.labels, pod.whole.at, pod.network);
    }),
  ];
  return directions.flatMap((direction) =>
    counted.map((what) => {
      const suffix = what === "dropped" ? "packets_dropped" : what;
      const help = `Cumulative count of ${what === "dropped" ? "packets dropped" : what} while ` +
        `${direction === "receive" ? "receiving" : "transmitting"}`;
      return family(
        `container_network_${direction}_${suffix}_total`,
        "counter",
        help,
        samples.map(({ labels, at, device }): Sample => [labels, device[direction][what], at]),
      );
    })
  );
}

function machineFamilies({ machine, node }: CadvisorFacts): string[] {
  const { ids, kernel, system } = machine;
  const of = (name: string, help: string, value: number | undefined) =>
    family(name, "gauge", help, value === undefined ? [] : [[ids, value]]);
  const version = {
    cadvisorRevision: "",
    cadvisorVersion: "",
    dockerVersion: "",
    kernelVersion: kernel,
    osVersion: system,
  };
  return [
    family(
      "cadvisor_version_info",
      "gauge",
      "A metric with a constant '1' value labeled by kernel version, OS version, docker version, cadvisor version & cadvisor revision.",
      [[version, 1]],
    ),
    of("machine_cpu_cores", "Number of logical CPU cores.", machine.cpus),
    of("machine_cpu_physical_cores", "Number of physical CPU cores.", machine.cores),
    of("machine_cpu_sockets", "Number of CPU sockets.", machine.sockets),
    of("machine_memory_bytes", "Amount of memory installed on the machine.", machine.memory),
    of(
      "machine_swap_bytes",
      "Amount of swap memory available on the machine.",
      node.swap.used + node.swap.free,
    ),
    family(
      "machine_scrape_error",
      "gauge",
      "1 if there was an error while getting machine metrics, 0 otherwise.",
      [
        [{}, 0],
      ],
    ),
    family(
      "container_scrape_error",
      "gauge",
      "1 if there was an error while getting container metrics, 0 otherwise",
      [
        [{}, 0],
      ],
    ),
  ];
}

/** Prometheus text. */
export function cadvisorMetrics(facts: CadvisorFacts): string {
  const rows = rowsOf(facts);
  const families = cgroupFamilies.map(({ name, type, help, of }) =>
    family(
      name,
      type,
      help,
      rows.flatMap((row) =>
        of(row).map(([labels, value]): Sample => [{ ...row.labels, ...labels }, value, row.reading.at])
      ),
    )
  );
  return [...families, ...networkFamilies(facts, rows), ...machineFamilies(facts)].join("");
}
