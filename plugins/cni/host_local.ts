/**
 * What the host-local IPAM plugin has given away: one file for each address, with container and interface.
 * Source: containernetworking/plugins, plugins/ipam/host-local/backend/disk. Not for: giving it back.
 */
import { join } from "@std/path";
import { type CniNetwork, isContainerId, isInterfaceName, isJson } from "../../agent/model/cni_config.ts";
import type { Host } from "../../agent/ports.ts";
import type { Lease } from "./leaks.ts";

const defaultDirectory = "/var/lib/cni/networks";

/** Directories in which a network's plugins keep addresses. */
function directoriesOf({ name, plugins }: CniNetwork): string[] {
  const ipams = plugins.map((p) => p.config["ipam"]).filter(isJson).filter((i) => i["type"] === "host-local");
  const parents = ipams.map((i) => typeof i["dataDir"] === "string" && i["dataDir"] || defaultDirectory);
  return [...new Set(parents)].map((parent) => join(parent, name));
}

export async function readLeases(
  host: Pick<Host, "list" | "readText" | "stat">,
  network: CniNetwork,
): Promise<Lease[]> {
  const paths = (await Promise.all(
    directoriesOf(network).map(async (directory) => {
      const names = await host.list(directory) ?? [];
      return names.filter((name) => /^[0-9a-f.:]+$/i.test(name)).map((name) => join(directory, name));
    }),
  )).flat();
  const leases = await Promise.all(paths.map(async (path): Promise<Lease[]> => {
    const [text, found] = await Promise.all([host.readText(path), host.stat(path)]);
    const [containerId = "", ifname = "eth0"] = (text ?? "").trim().split(/\r?\n/);
    if (found === undefined || !isContainerId(containerId) || !isInterfaceName(ifname)) return [];
    return [{ network, containerId, ifname, since: found.mtimeMs }];
  }));
  return leases.flat();
}
