/**
 * NVIDIA's GPUs as `nvidia.com/gpu`, where neither a device plugin nor a CDI spec offers them: found in /proc, given with
 * their nodes and the driver's libraries. Not for: MIG, sharing, graphics (a CDI spec or NVIDIA's device plugin).
 */
import type { ContainerEdits, DeviceEdit, MountEdit } from "../../agent/model/edits.ts";
import {
  isNvidiaLibrary,
  librariesOf,
  libraryDirectories,
  nameOf,
  nvidiaControlNodes,
  type NvidiaDriver,
  type NvidiaGpu,
  parseDriver,
  parseGpu,
  placesOfLibrary,
  placesOfProgram,
  programDirectories,
} from "../../agent/model/nvidia.ts";
import type { Device } from "../../agent/plugin_ports.ts";
import type { Host } from "../../agent/ports.ts";
import type { SeenDevices } from "./host_devices.ts";
import { nodeAt, type NodeFiles, numaNodeOf } from "./host_nodes.ts";
import { placesOf } from "./look.ts";
import { createLocalSource } from "./source.ts";

export const nvidiaResource = "nvidia.com/gpu";
const told = "/proc/driver/nvidia";
const programLimitMs = 10_000;

export type NvidiaHost = NodeFiles & Pick<Host, "exec">;

export function createNvidia(host: NvidiaHost): SeenDevices {
  const local = createLocalSource("NVIDIA's driver", (_resource, ids, signal) => editsFor(host, ids, signal));
  /** Once seen they stay, without health when they are gone. */
  const known = new Map<string, Device>();
  const look = async () => {
    for (const [id, device] of known) known.set(id, { ...device, healthy: false });
    for (const gpu of await findGpus(host)) {
      const inSys = await host.realPath(`/sys/bus/pci/devices/${gpu.bus}`);
      const numaNode = await numaNodeOf(host, inSys);
      known.set(gpu.bus, {
        id: gpu.bus,
        healthy: await nodeAt(host, nodeOf(gpu)) !== undefined,
        numaNodes: numaNode === undefined ? [] : [numaNode],
      });
    }
    local.offer(known.size === 0 ? new Map() : new Map([[nvidiaResource, [...known.values()]]]));
  };
  return { source: local.source, places: placesOf(["/dev/nvidia*"]), look };
}

const nodeOf = (gpu: NvidiaGpu): string => `/dev/nvidia${gpu.minor}`;

async function findGpus(host: NodeFiles): Promise<NvidiaGpu[]> {
  const gpus: NvidiaGpu[] = [];
  for (const bus of await host.list(`${told}/gpus`) ?? []) {
    const gpu = parseGpu(bus, await host.readText(`${told}/gpus/${bus}/information`) ?? "");
    if (gpu !== undefined) gpus.push(gpu);
  }
  return gpus;
}

async function editsFor(
  host: NvidiaHost,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<ContainerEdits> {
  const gpus = (await findGpus(host)).filter((gpu) => ids.includes(gpu.bus));
  const missing = ids.find((id) => !gpus.some((gpu) => gpu.bus === id));
  if (missing !== undefined) throw new Error(`the driver does not know the GPU ${missing} now`);
  await ensureUnifiedMemory(host, signal);
  const driver = parseDriver(await host.readText(`${told}/version`) ?? "");
  if (driver === undefined) throw new Error(`${told}/version does not tell the driver's version`);
  return {
    owner: `device ${nvidiaResource}`,
    // NVIDIA's own hook, where a runtime handler has one, is to leave the container alone.
    env: { NVIDIA_VISIBLE_DEVICES: "void" },
    devices: await existingNodes(host, [...gpus.map(nodeOf), ...nvidiaControlNodes]),
    mounts: [...await libraryMounts(host, driver, signal), ...await programMounts(host)],
  };
}

async function existingNodes(host: NodeFiles, paths: readonly string[]): Promise<DeviceEdit[]> {
  const found = await Promise.all(paths.map((path) => nodeAt(host, path)));
  return paths.filter((_, i) => found[i] !== undefined)
    .map((path) => ({ hostPath: path, containerPath: path, permissions: "rw" }));
}

/** The node that CUDA needs is made by NVIDIA's own program, which loads the module, too. */
async function ensureUnifiedMemory(host: NvidiaHost, signal: AbortSignal): Promise<void> {
  if (await nodeAt(host, "/dev/nvidia-uvm") !== undefined) return;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(programLimitMs)]);
  await host.exec(["nvidia-modprobe", "-c", "0", "-u"], {}, limit).catch(() => {});
  if (await nodeAt(host, "/dev/nvidia-uvm") === undefined) {
    throw new Error("/dev/nvidia-uvm does not exist: load the module nvidia-uvm, or install nvidia-modprobe");
  }
}

const bind = (hostPath: string, containerPath: string): MountEdit => ({
  hostPath,
  containerPath,
  readonly: true,
});

/** By the names that programs load, not the versions behind them: those change with the driver. */
async function libraryMounts(
  host: NvidiaHost,
  driver: NvidiaDriver,
  signal: AbortSignal,
): Promise<MountEdit[]> {
  const found = new Map<string, string>();
  for (const path of [...await cachedLibraries(host, signal), ...await listedLibraries(host, driver)]) {
    const real = nameOf(await host.realPath(path) ?? "");
    // A library of another version than the kernel module's only fails.
    if (real.endsWith(`.so.${driver.version}`) && !found.has(real)) found.set(real, path);
  }
  if (found.size === 0) throw new Error(`no library of NVIDIA's driver ${driver.version} is on this host`);
  return [...found.values()].flatMap((path) =>
    placesOfLibrary(path, driver.machine).map((place) => bind(path, place))
  );
}

async function cachedLibraries(host: NvidiaHost, signal: AbortSignal): Promise<string[]> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(programLimitMs)]);
  const cache = await host.exec(["/sbin/ldconfig", "-p"], {}, limit).catch(() => undefined);
  return cache?.code === 0 ? librariesOf(new TextDecoder().decode(cache.stdout)) : [];
}

async function listedLibraries(host: NodeFiles, driver: NvidiaDriver): Promise<string[]> {
  const listed = libraryDirectories(driver.machine).map(async (directory) => {
    const names = await host.list(directory).catch(() => undefined) ?? [];
    // The short name of a library before the file behind it.
    return names.filter(isNvidiaLibrary).sort((a, b) => a.length - b.length)
      .map((name) => `${directory}/${name}`);
  });
  return (await Promise.all(listed)).flat();
}

async function programMounts(host: NodeFiles): Promise<MountEdit[]> {
  for (const directory of programDirectories) {
    const path = `${directory}/nvidia-smi`;
    if (await host.stat(path) !== undefined) return placesOfProgram(path).map((place) => bind(path, place));
  }
  return [];
}
