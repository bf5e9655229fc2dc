/**
 * Cgroups that systemd makes, as transient slices over its bus: what the kubelet asks of it, by busctl(1). Limits that
 * are written past systemd would be lost when it reloads. Not for: names and limits (model/pod_cgroup.ts).
 *
 * Source: org.freedesktop.systemd1(5), systemd.resource-control(5); opencontainers/cgroups systemd/ for the properties.
 */
import { basename, dirname, join } from "@std/path";
import { cpuWeight } from "../model/cpu.ts";
import { AgentError } from "../model/errors.ts";
import type { CgroupLimits } from "../model/pod_cgroup.ts";
import type { Host } from "../ports.ts";
import { type Hierarchies, limitPlaces, removeTree, writeHugePages } from "./cgroup_files.ts";
import type { CgroupMaker } from "./cgroups.ts";

/** Name, D-Bus type, value. */
type Property = [name: string, type: "b" | "s" | "t" | "as", ...value: string[]];

const unlimited = "18446744073709551615";
const timeoutMs = 30_000;
const pauseMs = 10;

/** Limits as systemd writes them; shares and weights are different properties of the two versions. */
export function sliceProperties(limits: CgroupLimits, unified: boolean): Property[] {
  const { cpuShares, cpuQuota, cpuPeriod, memory, pids } = limits;
  const amount = (value: number | undefined): string => value === undefined ? unlimited : `${value}`;
  return [
    unified ? ["CPUWeight", "t", `${cpuWeight(cpuShares)}`] : ["CPUShares", "t", `${cpuShares}`],
    ...(cpuPeriod === undefined ? [] : [["CPUQuotaPeriodUSec", "t", `${cpuPeriod}`] as Property]),
    ["CPUQuotaPerSecUSec", "t", perSecond(cpuQuota, cpuPeriod)],
    [unified ? "MemoryMax" : "MemoryLimit", "t", amount(memory)],
    ...(pids === undefined ? [] : [["TasksMax", "t", `${pids}`] as Property]),
  ];
}

/** systemd keeps whole per cents of a processor. */
function perSecond(quota: number | undefined, period = 100_000): string {
  if (quota === undefined) return unlimited;
  const percent = 10_000;
  return `${Math.ceil((quota * 1_000_000) / period / percent) * percent}`;
}

/** What a slice is besides its limits; it hangs below its parent by its name. */
function sliceItself(path: string, unified: boolean): Property[] {
  const parent = dirname(path) === "/" ? "" : basename(dirname(path));
  return [
    ["Description", "s", `pods of Kubernetes ${basename(path)}`],
    ...(parent === "" ? [] : [["Wants", "as", "1", parent] as Property]),
    ["DefaultDependencies", "b", "false"],
    ["CPUAccounting", "b", "true"],
    ["MemoryAccounting", "b", "true"],
    [unified ? "IOAccounting" : "BlockIOAccounting", "b", "true"],
    ["TasksAccounting", "b", "true"],
  ];
}

/** What systemd answers when two pods ask for their common parent at once; the second is the wording of systemd 252. */
const madeByAnother = /already exists|was already loaded/;

const words = (properties: readonly Property[]): string[] => [`${properties.length}`, ...properties.flat()];

export function createSlices(host: Host, hierarchies: () => Promise<Hierarchies>): CgroupMaker {
  const ask = async (method: string, signature: string, ...args: string[]) => {
    const object = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1"];
    const argv = [
      "busctl",
      "call",
      ...object,
      "org.freedesktop.systemd1.Manager",
      method,
      signature,
      ...args,
    ];
    const { code, stderr } = await host.exec(argv, {}, AbortSignal.timeout(timeoutMs));
    return code === 0 ? undefined : new TextDecoder().decode(stderr).trim() || `busctl ended with ${code}`;
  };
  const demand = async (...call: Parameters<typeof ask>) => {
    const problem = await ask(...call);
    if (problem !== undefined) throw new Error(`systemd: ${call[0]} ${call[2]}: ${problem}`);
  };
  const exists = async (path: string) => {
    const stats = await Promise.all(limitPlaces(await hierarchies()).map((p) => host.stat(join(p, path))));
    return stats.every((stat) => stat !== undefined);
  };
  const change = (unit: string, properties: Property[]) =>
    demand("SetUnitProperties", "sba(sv)", unit, "true", ...words(properties));

  /** The answer comes before the job is done. */
  async function untilMade(path: string): Promise<void> {
    for (let left = timeoutMs / pauseMs; !await exists(path); left--) {
      if (left === 0) throw new Error(`systemd has not made ${path}`);
      await host.sleep(pauseMs, AbortSignal.timeout(timeoutMs));
    }
  }

  return {
    async write(path, limits) {
      const h = await hierarchies();
      const unified = h.unified !== undefined;
      const unit = basename(path);
      const properties = sliceProperties(limits, unified);
      if (await exists(path)) await change(unit, properties);
      else {
        const all = [...sliceItself(path, unified), ...properties];
        const problem = await ask(
          "StartTransientUnit",
          "ssa(sv)a(sa(sv))",
          unit,
          "replace",
          ...words(all),
          "0",
        );
        if (problem !== undefined && madeByAnother.test(problem)) await change(unit, properties);
        else if (problem !== undefined) {
          throw new Error(`systemd: StartTransientUnit ${unit}: ${problem}`);
        }
        await untilMade(path);
      }
      await writeHugePages(host, h, path, limits);
    },
    async remove(path) {
      const { all } = await hierarchies();
      const stats = await Promise.all(all.map((mount) => host.stat(join(mount, path))));
      if (stats.every((stat) => stat === undefined)) return;
      const problem = await ask("StopUnit", "ss", basename(path), "replace");
      if (problem !== undefined && !problem.includes("not loaded")) {
        throw new AgentError("FailedKillPod", `systemd: StopUnit ${basename(path)}: ${problem}`);
      }
      await Promise.all(all.map((mount) => removeTree(host, join(mount, path))));
    },
    /** Stopping a slice stops all in it, so it is left alone while there is a pod in it. */
    async removeEmpty(path) {
      const { all } = await hierarchies();
      const busy = await Promise.all(all.map((mount) => hasProcesses(host, join(mount, path))));
      if (!busy.includes(true)) await this.remove(path);
    },
    uidIn: (name) => /-pod([^-]+)\.slice$/.exec(name)?.[1]?.replaceAll("_", "-"),
  };
}

async function hasProcesses(host: Host, directory: string): Promise<boolean> {
  if (((await host.readText(join(directory, "cgroup.procs"))) ?? "").trim() !== "") return true;
  for (const name of await host.list(directory) ?? []) {
    const path = join(directory, name);
    if ((await host.lstat(path))?.kind === "directory" && await hasProcesses(host, path)) return true;
  }
  return false;
}
