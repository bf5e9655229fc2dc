/**
 * Files of /sys/devices/system as machines had them, one `path: text` a line; all but that of the VM are from the tests of
 * hwloc (github.com/open-mpi/hwloc, tests/hwloc/linux).
 */
import { type CpuTopology, parseCpuTopology } from "../../../../../agent/model/cpu_topology.ts";

export type MachineName =
  | "amd-4-sockets-8-nodes"
  | "amd-sparse-nodes"
  | "intel-4-nodes-interleaved"
  | "intel-hybrid"
  | "intel-offline-cpus"
  | "power9-gpu-nodes"
  | "vm-2-cpus";

export function machine(name: MachineName): CpuTopology {
  const text = Deno.readTextFileSync(new URL(`${name}.txt`, import.meta.url));
  const files = new Map(
    text.split("\n").map((line): [string, string] => {
      const at = line.indexOf(": ");
      return [line.slice(0, at), line.slice(at + 2)];
    }),
  );
  return parseCpuTopology((path) => files.get(path));
}
