/** Device nodes of the host: which there are, what hardware is behind them. Only reads. Not for: giving them away. */
import { type DeviceNode, deviceNodeOf } from "../../agent/model/device_node.ts";
import type { ContainerSpec } from "../../agent/model/container.ts";
import type { FoundNode } from "../../agent/model/host_devices.ts";
import type { Host } from "../../agent/ports.ts";
import { expandPattern } from "./look.ts";

export type NodeFiles = Pick<Host, "list" | "stat" | "realPath" | "readText">;

/** The device node at a path, links followed; anything else, or what cannot be looked at, is none. */
export async function nodeAt(host: Pick<Host, "stat">, path: string): Promise<DeviceNode | undefined> {
  return deviceNodeOf(await host.stat(path).catch(() => undefined));
}

/** The nodes that patterns name, in their order. */
export async function findNodes(host: NodeFiles, patterns: readonly string[]): Promise<FoundNode[]> {
  const found: FoundNode[] = [];
  for (const pattern of patterns) {
    for (const path of await expandPattern(host, pattern)) {
      const node = await nodeAt(host, path);
      if (node !== undefined) found.push({ path, ...await describe(host, node) });
    }
  }
  return found;
}

async function describe(
  host: NodeFiles,
  { kind, major, minor }: DeviceNode,
): Promise<Omit<FoundNode, "path">> {
  const number = `${kind}/${major}:${minor}`;
  const inSys = `/sys/dev/${number}`;
  const hardware = await host.realPath(`${inSys}/device`);
  const numaNode = await numaNodeOf(host, await host.realPath(inSys));
  return {
    node: number,
    ...(hardware !== undefined && { hardware }),
    ...(numaNode !== undefined && { numaNode }),
  };
}

/** That of the nearest hardware above a path in /sys that tells one. */
export async function numaNodeOf(
  host: Pick<Host, "readText">,
  path: string | undefined,
): Promise<number | undefined> {
  for (let at = path ?? ""; at.startsWith("/sys/devices/"); at = at.slice(0, at.lastIndexOf("/"))) {
    const text = await host.readText(`${at}/numa_node`).catch(() => undefined);
    if (text === undefined) continue;
    const node = Number(text);
    return Number.isInteger(node) && node >= 0 ? node : undefined;
  }
  return undefined;
}

/**
 * A container with the groups that own its device nodes, so that who is not root there can open them, too. In a user
 * namespace those groups do not exist.
 */
export async function withDeviceGroups(
  host: Pick<Host, "stat">,
  spec: ContainerSpec,
): Promise<ContainerSpec> {
  const devices = spec.edits.devices ?? [];
  if (devices.length === 0 || spec.sandbox.userNamespace !== undefined) return spec;
  const found = await Promise.all(devices.map((device) => host.stat(device.hostPath).catch(() => undefined)));
  const owners = found.map((stat) => stat?.gid ?? 0).filter((gid) => gid !== 0);
  const groups = [...new Set([...spec.edits.groups ?? [], ...owners])];
  return { ...spec, edits: { ...spec.edits, groups } };
}
