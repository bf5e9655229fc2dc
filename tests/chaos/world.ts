/**
 * What there is on the machine of one instance of the agent: everything that the runtime, the kernel and the file system
 * know, read without the agent's help. Not for: what there should be (expect.ts).
 */
import { join } from "@std/path";
import { instanceOf } from "../../agent/config/defaults.ts";
import { findShims } from "../../plugins/containerd/processes.ts";
import { ContainerState, PodSandboxState, RuntimeServiceDefinition } from "../../plugins/rpc/gen/cri.ts";
import { createChannel, createClient } from "../../plugins/rpc/mod.ts";
import { output } from "../e2e/agent.ts";
import { names, text } from "./files.ts";
import {
  type DeviceUser,
  type DriverTraces,
  type Given,
  readDeviceUsers,
  readDriver,
  readGiven,
} from "./plugin_traces.ts";

export interface WorldSandbox {
  id: string;
  uid: string;
  ready: boolean;
}

export interface WorldContainer {
  id: string;
  sandboxId: string;
  uid: string;
  name: string;
  attempt: number;
  state: "created" | "running" | "exited" | "unknown";
}

/** What a running container sees. */
export interface Inside {
  env: ReadonlyMap<string, string>;
  /** Bytes. */
  memoryLimit: number;
  /** The files of its ConfigMap and its Secret, where it has them. */
  page: string | undefined;
  word: string | undefined;
  /** Names of files in its claim, and what is in its inline volume. */
  disk: string[];
  note: string | undefined;
}

export interface World {
  sandboxes: WorldSandbox[];
  containers: WorldContainer[];
  /** By container id. */
  inside: Map<string, Inside>;
  /** Ids that containerd knows below CRI, and those of them that have a task. */
  records: string[];
  tasks: string[];
  /** Ids of sandboxes that have a shim. */
  shims: string[];
  /** Relative to the directory of containerd's state and to that of pods; volumes of claims are all `pvc`. */
  runtimeMounts: string[];
  podMounts: string[];
  networkNamespaces: string[];
  /** Sandbox ids that hold an address, that libcni remembers, that the packet filter names. */
  addresses: string[];
  networkResults: string[];
  natRules: string[];
  /** Sandbox ids that hold an address of the further network, and that the agent remembers to be in it. */
  furtherAddresses: string[];
  furtherRecords: string[];
  /** Below the instance's root, in any hierarchy: `burstable/podUID/ID`. */
  cgroups: string[];
  /** Uids, and `NAMESPACE_NAME_UID`. */
  podDirectories: string[];
  logDirectories: string[];
  /** Container ids; those whose link leads nowhere begin with `dangling`. */
  logLinks: string[];
  /** Names of files: start keys with a random part, and when they were made, in ms. */
  starts: { key: string; at: number }[];
  driver: DriverTraces;
  /** How many of them the agent has on record. */
  volumeRecords: number;
  given: Given[];
}

export interface Lists {
  sandboxes: WorldSandbox[];
  containers: WorldContainer[];
}

export interface DeviceLists {
  users: DeviceUser[];
  given: Given[];
}

export interface WorldReader {
  runtimeSocket: string;
  containerdConfig: string;
  /** The runtime's lists alone; throws when it is away. */
  lists(): Promise<Lists>;
  devices(): DeviceLists;
  read(): Promise<World>;
  close(): void;
}

const lines = (s: string): string[] => s.split("\n").filter((line) => line !== "");

const states: Record<ContainerState, WorldContainer["state"]> = {
  [ContainerState.CONTAINER_CREATED]: "created",
  [ContainerState.CONTAINER_RUNNING]: "running",
  [ContainerState.CONTAINER_EXITED]: "exited",
  [ContainerState.CONTAINER_UNKNOWN]: "unknown",
};

export interface WorldOptions {
  root: string;
  startsDirectory: string;
  /** Name of the further network, and where its addresses are kept. */
  network: string;
  dataDir: string;
  /** Of the CSI driver. */
  driverState: string;
}

export interface ListReader extends Disposable {
  /** Throws when the runtime is away. */
  lists(): Promise<Lists>;
}

/** Of the runtime at a socket. */
export function createListReader(runtimeSocket: string): ListReader {
  const channel = createChannel(runtimeSocket);
  const client = createClient(RuntimeServiceDefinition, channel);

  const lists = async (): Promise<Lists> => {
    const options = { signal: AbortSignal.timeout(5000) };
    const [{ items }, { containers }] = await Promise.all([
      client.listPodSandbox({}, options),
      client.listContainers({}, options),
    ]);
    const uidOf = (labels: Record<string, string>) => labels["io.kubernetes.pod.uid"] ?? "";
    return {
      sandboxes: items.map((s) => ({
        id: s.id,
        uid: uidOf(s.labels),
        ready: s.state === PodSandboxState.SANDBOX_READY,
      })),
      containers: containers.map((c) => ({
        id: c.id,
        sandboxId: c.podSandboxId,
        uid: uidOf(c.labels),
        name: c.metadata?.name ?? "",
        attempt: c.metadata?.attempt ?? 0,
        state: states[c.state] ?? "unknown",
      })),
    };
  };
  return { lists, [Symbol.dispose]: () => channel.close() };
}

export function createWorldReader(o: WorldOptions): WorldReader {
  const { instanceId } = instanceOf(o.root);
  const state = `/run/agent-${instanceId}/containerd`;
  const runtimeSocket = `${state}/containerd.sock`;
  const reader = createListReader(runtimeSocket);
  const { lists } = reader;

  const ctr = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await output("ctr", ["-a", runtimeSocket, "-n", "k8s.io", ...args]);
    if (code !== 0) throw new Error(`ctr ${args.join(" ")}: ${stderr}`);
    return stdout;
  };

  const read = async (): Promise<World> => {
    const [{ sandboxes, containers }, records, taskTable, nat] = await Promise.all([
      lists(),
      ctr("containers", "list", "-q"),
      ctr("tasks", "list"),
      output("iptables-save", ["-t", "nat"]),
    ]);
    const pids = new Map(
      lines(taskTable).slice(1).map((line) => {
        const [id, pid] = line.split(/\s+/);
        return [id!, Number(pid)] as const;
      }),
    );
    const running = containers.filter((c) => c.state === "running" && pids.has(c.id));
    return {
      sandboxes,
      containers,
      inside: new Map(running.map((c) => [c.id, lookInside(pids.get(c.id)!)])),
      records: lines(records),
      tasks: [...pids.keys()],
      shims: findShims(runtimeSocket).map((p) => p.argv[p.argv.indexOf("-id") + 1] ?? ""),
      ...readMounts(state, join(o.root, "pods")),
      ...readNetwork(o.root, nat.stdout),
      furtherAddresses: readAddresses(join(o.dataDir, o.network)),
      furtherRecords: readResults(o.network, "net1"),
      cgroups: readCgroups(`agent-${instanceId}/kubepods`),
      podDirectories: names(join(o.root, "pods")),
      logDirectories: names(join(o.root, "logs/pods")),
      logLinks: readLinks(join(o.root, "logs/containers")),
      starts: readStarts(o.startsDirectory),
      driver: await readDriver(o.root, o.driverState),
      volumeRecords: names(join(o.root, "agent/csi")).length,
      given: readGiven(o.root),
    };
  };

  return {
    runtimeSocket,
    containerdConfig: join(o.root, "agent/containerd/config.toml"),
    lists,
    devices: () => ({ users: readDeviceUsers(state), given: readGiven(o.root) }),
    read,
    close: () => reader[Symbol.dispose](),
  };
}

function lookInside(pid: number): Inside {
  const env = (text(`/proc/${pid}/environ`) ?? "").split("\0").map((e) => {
    const at = e.indexOf("=");
    return [e.slice(0, at), e.slice(at + 1)] as const;
  });
  const cgroup = text(`/proc/${pid}/cgroup`) ?? "";
  const v1 = /^\d+:[^:]*\bmemory\b[^:]*:(.*)$/m.exec(cgroup)?.[1];
  const v2 = /^0::(.*)$/m.exec(cgroup)?.[1] ?? "";
  const limit = v1 === undefined
    ? text(`/sys/fs/cgroup${v2}/memory.max`)
    : text(`/sys/fs/cgroup/memory${v1}/memory.limit_in_bytes`);
  return {
    env: new Map(env),
    memoryLimit: Number(limit ?? NaN),
    page: text(`/proc/${pid}/root/page/version`),
    word: text(`/proc/${pid}/root/key/word`),
    disk: names(`/proc/${pid}/root/disk`),
    note: text(`/proc/${pid}/root/note/content`),
  };
}

/** containerd's own place for them, with netns_mounts_under_state_dir. */
const namespaces = "io.containerd.grpc.v1.cri/netns";

function readMounts(
  state: string,
  pods: string,
): Pick<World, "runtimeMounts" | "podMounts" | "networkNamespaces"> {
  const paths = lines(Deno.readTextFileSync("/proc/self/mountinfo")).map((line) => line.split(" ")[4]!);
  const below = (directory: string) =>
    paths.filter((p) => p.startsWith(`${directory}/`)).map((p) => p.slice(directory.length + 1));
  return {
    runtimeMounts: below(state).filter((p) => !p.startsWith(namespaces)),
    networkNamespaces: [...new Set([...below(join(state, namespaces)), ...names(join(state, namespaces))])],
    podMounts: below(pods).map((p) => p.replace(/~csi\/pvc-[^/]+\//, "~csi/pvc/")),
  };
}

/** Of host-local's store: who holds one. */
const readAddresses = (directory: string): string[] =>
  names(directory).filter((name) => /^[0-9.]+$/.test(name))
    .map((name) => (text(join(directory, name)) ?? "").split(/\s/)[0]!);

/** Of the record of attachments: who has this interface, or anything else, in the network. */
const readResults = (network: string, ifname: string): string[] =>
  names("/var/lib/cni/results").filter((name) => name.startsWith(`${network}-`))
    .map((name) => name.slice(`${network}-`.length).replace(new RegExp(`-${ifname}$`), ""));

function readNetwork(
  root: string,
  nat: string,
): Pick<World, "addresses" | "networkResults" | "natRules"> {
  const ipam = join(root, "agent/ipam");
  const [network] = names(ipam);
  const addresses = readAddresses(join(ipam, network ?? "none"));
  const results = readResults(network ?? "none", "eth0");
  const ids = nat.matchAll(new RegExp(`name: \\\\"${network}\\\\" id: \\\\"([0-9a-f]{64})`, "g"));
  return { addresses, networkResults: results, natRules: [...new Set([...ids].map((m) => m[1]!))] };
}

function readCgroups(below: string): string[] {
  const found = new Set<string>();
  const walk = (directory: string, path: string) => {
    for (const entry of Deno.readDirSync(directory)) {
      if (!entry.isDirectory) continue;
      const name = path === "" ? entry.name : `${path}/${entry.name}`;
      if (/(^|\/)pod/.test(name)) found.add(name);
      walk(join(directory, entry.name), name);
    }
  };
  for (const hierarchy of ["", ...names("/sys/fs/cgroup")]) {
    const top = join("/sys/fs/cgroup", hierarchy, below);
    try {
      walk(top, "");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) && !(error instanceof Deno.errors.NotADirectory)) {
        throw error;
      }
    }
  }
  return [...found].sort();
}

function readLinks(directory: string): string[] {
  return names(directory).map((name) => {
    const id = /-([0-9a-f]{64})\.log$/.exec(name)?.[1] ?? name;
    try {
      Deno.statSync(join(directory, name));
      return id;
    } catch {
      return `dangling ${id}`;
    }
  });
}

function readStarts(directory: string): World["starts"] {
  return names(directory).map((name) => ({
    key: name.slice(0, name.lastIndexOf("_")),
    at: Deno.statSync(join(directory, name)).mtime!.getTime(),
  }));
}
