/** Tables of what is used, as kubectl top's. Pure. */
import type { Container, Pod } from "../../model/gen/v1.ts";
import { parseQuantity } from "../../model/quantity.ts";
import type { NodeMetrics, PodMetrics, UsageList } from "../../model/resource_metrics.ts";
import type { Row } from "./text.ts";

export interface Used {
  /** Cores. */
  cpu: number;
  /** Bytes. */
  memory: number;
}

const amounts = ({ cpu, memory }: UsageList): Used => ({
  cpu: parseQuantity(cpu) ?? 0,
  memory: parseQuantity(memory) ?? 0,
});

const sum = (list: readonly Used[]): Used => ({
  cpu: list.reduce((total, u) => total + u.cpu, 0),
  memory: list.reduce((total, u) => total + u.memory, 0),
});

/** kubectl rounds cores up, and bytes down. */
const cells = ({ cpu, memory }: Used): string[] => [
  `${Math.ceil(Math.round(cpu * 1e9) / 1e6)}m`,
  `${Math.floor(memory / 2 ** 20)}Mi`,
];

const share = (used: number, of: number): string => of > 0 ? `${Math.floor(used / of * 100)}%` : "-";

export interface UsageTable {
  head: string[];
  rows: Row[];
}

export interface PodUsageOptions {
  containers: boolean;
  namespaces: boolean;
  /** Beside the amounts, their share of what was requested. */
  shares: boolean;
  sortBy: "cpu" | "memory" | undefined;
}

interface Line {
  names: string[];
  used: Used;
  requested: Used;
}

/** `pods` tell what was requested. */
export function podUsageTable(
  metrics: readonly PodMetrics[],
  pods: readonly Pod[],
  { containers, namespaces, shares, sortBy }: PodUsageOptions,
): UsageTable {
  const lines = metrics.flatMap((m): Line[] => {
    const { name, namespace = "" } = m.metadata;
    const pod = pods.find((p) => p.metadata?.name === name && p.metadata.namespace === namespace);
    const names = [...(namespaces ? [namespace] : []), name];
    const each = m.containers.map((c) => ({
      names: [...names, c.name],
      used: amounts(c.usage),
      requested: requestOf(pod, c.name),
    }));
    if (containers) return each;
    return [{ names, used: sum(each.map((l) => l.used)), requested: sum(each.map((l) => l.requested)) }];
  });
  if (sortBy !== undefined) lines.sort((a, b) => b.used[sortBy] - a.used[sortBy]);
  return {
    head: [
      ...(namespaces ? ["NAMESPACE"] : []),
      ...(containers ? ["POD", "NAME"] : ["NAME"]),
      "CPU(cores)",
      "MEMORY(bytes)",
      ...(shares ? ["CPU(requested)", "MEMORY(requested)"] : []),
    ],
    rows: lines.map(({ names, used, requested }) => [
      ...names,
      ...cells(used),
      ...(shares ? [share(used.cpu, requested.cpu), share(used.memory, requested.memory)] : []),
    ]),
  };
}

function requestOf(pod: Pod | undefined, name: string): Used {
  const all: Container[] = [...pod?.spec?.containers ?? [], ...pod?.spec?.initContainers ?? []];
  const requests = all.find((c) => c.name === name)?.resources?.requests;
  return {
    cpu: parseQuantity(requests?.["cpu"] ?? "0") ?? 0,
    memory: parseQuantity(requests?.["memory"] ?? "0") ?? 0,
  };
}

export function nodeUsageTable(nodes: readonly NodeMetrics[]): UsageTable {
  return {
    head: ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"],
    rows: nodes.map(({ metadata, usage, allocatable }) => {
      const [used, most] = [amounts(usage), amounts(allocatable)];
      const [cpu = "", memory = ""] = cells(used);
      return [metadata.name, cpu, share(used.cpu, most.cpu), memory, share(used.memory, most.memory)];
    }),
  };
}
