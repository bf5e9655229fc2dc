/**
 * Effects of the default pod network: writes the conflist where no other is, and takes away what it left on the host.
 * A file that others wrote, or changed, is never touched. Not for: the conflist's content (cni.ts).
 */
import { dirname, join } from "@std/path";
import { AgentError } from "../../agent/model/errors.ts";
import {
  choosePodCIDR,
  type Conflist,
  defaultConflist,
  isNetworkConfig,
  parseRoutes,
  preferredPodCIDR,
} from "./cni.ts";
import { dropsForwarding, runProgram } from "./detect.ts";
import { planChainRemoval } from "./iptables.ts";

export interface DefaultNetwork {
  confDir: string;
  binDir: string;
  bridge: string;
  /** Absent: one that nothing on this machine uses, kept from then on. */
  podCIDR?: string;
  podCIDRv6?: string;
  /** Obeys the annotations of pods that limit it. */
  bandwidth?: boolean;
  /** The instance's own directory for IPAM and for the record of what we wrote. */
  stateDir: string;
  /** "" for the node's one agent. */
  instance: string;
}

const FILE_NAME = "10-agent.conflist";

async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The copy beside our state tells whether the file in the CNI directory is still as we wrote it. */
function copyPath(network: DefaultNetwork): string {
  return join(network.stateDir, FILE_NAME);
}

/** Writes the default conflist unless another configuration is there. Returns whether the network is ours. */
export async function writeDefaultNetwork(network: DefaultNetwork): Promise<boolean> {
  await Deno.mkdir(network.confDir, { recursive: true, mode: 0o755 });
  await Deno.mkdir(network.stateDir, { recursive: true, mode: 0o700 });
  const path = join(network.confDir, FILE_NAME);
  const names = (await Array.fromAsync(Deno.readDir(network.confDir))).map((e) => e.name).filter(
    isNetworkConfig,
  );
  if (names.some((name) => name !== FILE_NAME)) return false;
  const [present, copy] = await Promise.all([readText(path), readText(copyPath(network))]);
  if (present !== undefined && present !== copy) return false;
  const text = `${JSON.stringify(await conflist(network, copy), undefined, 2)}\n`;
  if (text === present) return true;
  await Deno.writeTextFile(copyPath(network), text);
  await Deno.writeTextFile(`${path}.new`, text, { mode: 0o644 });
  await Deno.rename(`${path}.new`, path);
  return true;
}

async function conflist(network: DefaultNetwork, previous: string | undefined): Promise<Conflist> {
  const versions = await runProgram([join(network.binDir, "bridge")], {
    env: { CNI_COMMAND: "VERSION" },
    stdin: `{"cniVersion":"0.4.0"}`,
  });
  const podCIDR = network.podCIDR ?? previousCIDR(previous) ??
    choosePodCIDR(parseRoutes(await readText("/proc/net/route") ?? ""), preferredPodCIDR(network.instance));
  if (podCIDR === undefined) {
    throw new AgentError("RuntimeUnavailable", "no free private IPv4 range for pods: set podCIDR", {
      retry: false,
    });
  }
  return defaultConflist({
    supportedVersions: parseVersions(versions.stdout),
    bridge: network.bridge,
    podCIDR,
    ...(network.podCIDRv6 === undefined ? {} : { podCIDRv6: network.podCIDRv6 }),
    ipamDir: join(network.stateDir, "ipam"),
    firewall: await dropsForwarding(),
    bandwidth: network.bandwidth === true,
  });
}

function parseVersions(text: string): string[] {
  try {
    const answer: unknown = JSON.parse(text);
    const versions = (answer as { supportedVersions?: unknown } | null)?.supportedVersions;
    return Array.isArray(versions) ? versions.filter((v) => typeof v === "string") : [];
  } catch {
    return [];
  }
}

/** Pods keep their addresses over restarts of the agent: the range in use stays. */
function previousCIDR(conflist: string | undefined): string | undefined {
  return /"subnet": "([0-9.]+\/[0-9]+)"/.exec(conflist ?? "")?.[1];
}

/** How many addresses of the network are given away; pods of others may have some where the runtime is not ours. */
export async function addressesInUse(network: DefaultNetwork): Promise<number> {
  const directory = join(network.stateDir, "ipam", network.bridge);
  const entries = await Array.fromAsync(Deno.readDir(directory)).catch(() => []);
  return entries.filter((e) => /^[0-9a-f.:]+$/i.test(e.name)).length;
}

/** Removes bridge, packet filter chains, addresses and our conflist. What is gone already is no error. */
export async function removeDefaultNetwork(network: DefaultNetwork): Promise<void> {
  const copy = await readText(copyPath(network));
  if (copy === undefined) return;
  for (const program of ["iptables", "ip6tables"]) {
    const rules = await runProgram([program, "-t", "nat", "-S"]);
    if (rules.code !== 0) continue;
    for (const args of planChainRemoval(rules.stdout, network.bridge)) {
      await runProgram([program, "-t", "nat", ...args]);
    }
  }
  await runProgram(["ip", "link", "delete", network.bridge]);
  await removeCachedResults(network.bridge);
  const path = join(network.confDir, FILE_NAME);
  if (await readText(path) === copy) await Deno.remove(path);
  await Deno.remove(join(network.stateDir, "ipam"), { recursive: true }).catch(() => undefined);
  await Deno.remove(copyPath(network));
}

/** libcni keeps the result of each ADD below /var/lib/cni/results, named after the network. */
async function removeCachedResults(networkName: string): Promise<void> {
  const directory = "/var/lib/cni/results";
  const entries = await Array.fromAsync(Deno.readDir(directory)).catch(() => []);
  const ours = entries.filter((e) => e.name.startsWith(`${networkName}-`));
  await Promise.all(ours.map((e) => Deno.remove(join(directory, e.name)).catch(() => undefined)));
  if (ours.length === 0) return;
  for (const d of [directory, dirname(directory)]) await Deno.remove(d).catch(() => undefined); // only when empty
}
