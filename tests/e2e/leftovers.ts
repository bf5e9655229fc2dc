/**
 * What an instance of the agent, or one pod of it, has on the machine besides its own files: processes, mounts, network
 * namespaces, bridges, packet filter rules, cgroups, addresses. Not for: removing it.
 */
import { dirname, join } from "@std/path";
import { bridgeName } from "../../plugins/containerd/mod.ts";

/** Where an instance leaves things outside of its directory. */
export interface InstancePlaces {
  directory: string;
  root: string;
  cgroupRoot: string;
  /** State and socket of its containerd. */
  state: string;
  socket: string;
}

const entries = (path: string): string[] => {
  try {
    return [...Deno.readDirSync(path)].map((e) => join(path, e.name));
  } catch {
    return [];
  }
};

const exists = (path: string): boolean => {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
};

async function linesOf(program: string, ...args: string[]): Promise<string[]> {
  const { stdout } = await new Deno.Command(program, { args, stdin: "null", stderr: "null" }).output();
  return new TextDecoder().decode(stdout).split("\n");
}

/** Mount points of the cgroup hierarchies, v1 and v2. */
export const cgroupMounts = (): string[] =>
  Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
    .filter((line) => / - cgroup2? /.test(line)).map((line) => line.split(" ")[4]!);

function processes(words: readonly string[]): string[] {
  return entries("/proc").filter((path) => /\/\d+$/.test(path)).flatMap((path) => {
    try {
      const command = Deno.readTextFileSync(`${path}/cmdline`).replaceAll("\0", " ");
      return words.some((word) => command.includes(word)) ? [`process ${path}: ${command}`] : [];
    } catch {
      return []; // It ended meanwhile.
    }
  });
}

const mounts = (words: readonly string[]): string[] =>
  Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
    .filter((line) => words.some((word) => line.includes(word))).map((line) => `mount ${line}`);

export const networkNamespaces = (places: InstancePlaces): string[] =>
  entries(`${places.state}/io.containerd.grpc.v1.cri/netns`).sort();

export async function instanceLeftovers(places: InstancePlaces): Promise<string[]> {
  const runDir = dirname(places.state);
  const bridge = bridgeName(places.root);
  const words = [places.directory, runDir];
  const [links, rules] = await Promise.all([
    linesOf("ip", "-o", "link"),
    linesOf("iptables", "-t", "nat", "-S"),
  ]);
  const cgroups = cgroupMounts().map((mount) => mount + places.cgroupRoot).filter(exists);
  return [
    ...processes(words),
    ...mounts(words),
    ...links.filter((line) => line.includes(bridge)).map((line) => `link ${line}`),
    ...rules.filter((line) => line.includes(bridge)).map((line) => `rule ${line}`),
    ...cgroups.map((path) => `cgroup ${path}`),
    ...[runDir].filter(exists).map((path) => `directory ${path}`),
  ];
}

/** Everything of one pod that is on the machine; empty when the pod is gone without a trace. */
export async function podTraces(
  places: InstancePlaces,
  pod: { uid: string; name: string; ip: string; containerIds: string[] },
): Promise<string[]> {
  const { root } = places;
  const cgroups = cgroupMounts().flatMap((mount) =>
    ["", "/besteffort", "/burstable"].map((qos) =>
      `${mount}${places.cgroupRoot}/kubepods${qos}/pod${pod.uid}`
    )
  );
  const rules = await linesOf("iptables", "-t", "nat", "-S");
  const files = [
    join(root, "pods", pod.uid),
    ...entries(join(root, "logs/pods")).filter((path) => path.includes(pod.uid)),
    ...entries(join(root, "logs/containers")).filter((path) => path.includes(`/${pod.name}_`)),
    ...entries(join(root, "agent/ipam")).flatMap(entries).filter((path) => path.endsWith(`/${pod.ip}`)),
    ...cgroups,
  ];
  return [
    ...files.filter(exists),
    ...processes(pod.containerIds),
    ...mounts([pod.uid, ...pod.containerIds]),
    ...rules.filter((line) => pod.ip !== "" && line.includes(pod.ip)),
  ];
}
