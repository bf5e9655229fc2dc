/**
 * A private containerd for tests: own root, state, socket, CNI configuration, bridge and subnet below one temporary
 * directory, and gone without a trace afterwards. Not for: users (plugins/containerd runs theirs).
 */
import { createPauseImageArchive, PAUSE_IMAGE, type PauseArch } from "../../plugins/cri/pause_image.ts";

export interface PrivateContainerd {
  /** Path of the socket. */
  endpoint: string;
  /** Everything is below it. */
  directory: string;
  bridge: string;
  /** SIGKILL and a new start with the same directories: what a crash of the runtime is. */
  restart(): Promise<void>;
  /** SIGKILL only. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** SIGSTOP and SIGCONT: a runtime that hangs, and wakes. */
  signal(signal: Deno.Signal): void;
  ctr(...args: string[]): Promise<string>;
  /** Removes every pod, stops containerd, and fails when mounts, network namespaces, a bridge, cgroups or shims are left. */
  [Symbol.asyncDispose](): Promise<void>;
}

const CNI_DIRECTORIES = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];
const CAP_SYS_RESOURCE = 24n;

/** Without `network` its directory of networks is empty. */
export async function startPrivateContainerd({ network = true } = {}): Promise<PrivateContainerd> {
  const directory = await Deno.makeTempDir({ prefix: "agent-e2e-", dir: "/run" });
  const id = crypto.randomUUID().slice(0, 6);
  const bridge = `agt${id}`;
  const endpoint = `${directory}/containerd.sock`;
  const config = `${directory}/config.toml`;
  await Deno.mkdir(`${directory}/cni`);
  const conflist = JSON.stringify(cniConfig(bridge, directory));
  if (network) await Deno.writeTextFile(`${directory}/cni/10-test.conflist`, conflist);
  await Deno.writeTextFile(config, containerdConfig(directory));

  let child: Deno.ChildProcess | undefined;
  const start = async (): Promise<void> => {
    const log = await Deno.open(`${directory}/containerd.log`, { create: true, append: true });
    child = new Deno.Command("containerd", { args: ["--config", config], stdout: "null", stderr: "piped" })
      .spawn();
    child.stderr.pipeTo(log.writable).catch(() => {});
    await until(`containerd answers at ${endpoint}`, () => answers(endpoint));
  };
  const kill = async (): Promise<void> => {
    child?.kill("SIGKILL");
    await child?.status;
    child = undefined;
  };
  const ctr = (...args: string[]): Promise<string> =>
    run("ctr", "--address", endpoint, "--namespace", "k8s.io", ...args);

  const dispose = async (): Promise<void> => {
    if (child === undefined) await start();
    const ids = await removeEverything(ctr, directory);
    child?.kill("SIGTERM");
    await child?.status;
    await run("ip", "link", "delete", bridge).catch(() => {});
    const left = await leftovers(directory, bridge, ids);
    if (left.length > 0) throw new Error(`the private containerd left behind:\n${left.join("\n")}`);
    await Deno.remove(directory, { recursive: true });
  };

  await start();
  const { archive } = await createPauseImageArchive(
    Deno.build.arch === "aarch64" ? "arm64" : "amd64" as PauseArch,
  );
  await Deno.writeFile(`${directory}/pause.tar`, archive);
  await ctr("images", "import", `${directory}/pause.tar`);
  return {
    endpoint,
    directory,
    bridge,
    start,
    kill,
    signal: (signal) => child!.kill(signal),
    restart: async () => {
      await kill();
      await start();
    },
    ctr,
    [Symbol.asyncDispose]: dispose,
  };
}

function containerdConfig(directory: string): string {
  const binDirectory = CNI_DIRECTORIES.find((d) => exists(`${d}/bridge`));
  if (binDirectory === undefined) throw new Error(`no CNI plugins in ${CNI_DIRECTORIES.join(", ")}`);
  return `version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing"]
[grpc]
  address = "${directory}/containerd.sock"
[ttrpc]
  address = "${directory}/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = ${!hasCapability(CAP_SYS_RESOURCE)}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${binDirectory}"
    conf_dir = "${directory}/cni"
`;
}

function cniConfig(bridge: string, directory: string): unknown {
  const subnet = `10.${200 + Math.floor(Math.random() * 50)}.${Math.floor(Math.random() * 250)}.0/24`;
  return {
    cniVersion: "0.4.0",
    name: bridge,
    plugins: [
      {
        type: "bridge",
        bridge,
        isGateway: true,
        ipMasq: false,
        ipam: { type: "host-local", dataDir: `${directory}/ipam`, ranges: [[{ subnet }]] },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  };
}

/** Whether this process has the capability (proc(5), CapEff). */
function hasCapability(bit: bigint): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)/m.exec(Deno.readTextFileSync("/proc/self/status"))?.[1] ?? "0";
  return (BigInt(`0x${mask}`) >> bit & 1n) === 1n;
}

/** @returns the ids of what was there */
async function removeEverything(ctr: PrivateContainerd["ctr"], directory: string): Promise<string[]> {
  const ids = (await ctr("containers", "list", "-q")).split("\n").filter((id) => id !== "");
  const { createChannel, createClient } = await import("../../plugins/rpc/mod.ts");
  const { RuntimeServiceDefinition } = await import("../../plugins/rpc/gen/cri.ts");
  const channel = createChannel(`${directory}/containerd.sock`);
  const client = createClient(RuntimeServiceDefinition, channel);
  const options = { signal: AbortSignal.timeout(60_000) };
  try {
    for (const { id } of (await client.listPodSandbox({}, options)).items) {
      await client.stopPodSandbox({ podSandboxId: id }, options);
      await client.removePodSandbox({ podSandboxId: id }, options);
    }
  } finally {
    channel.close();
  }
  const left = (await ctr("containers", "list", "-q")).trim();
  if (left !== "") throw new Error(`containers left: ${left}`);
  return ids;
}

async function leftovers(directory: string, bridge: string, ids: string[]): Promise<string[]> {
  const mounts = Deno.readTextFileSync("/proc/self/mountinfo").split("\n").filter((line) =>
    line.includes(directory)
  );
  const links = (await run("ip", "-o", "link")).split("\n").filter((line) => line.includes(bridge));
  const shims: string[] = [];
  for (const entry of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    const command = await Deno.readTextFile(`/proc/${entry.name}/cmdline`).catch(() => "");
    if (command.includes(`${directory}/containerd.sock`)) shims.push(command.replaceAll("\0", " "));
  }
  const hierarchies = [...Deno.readDirSync("/sys/fs/cgroup")].map((e) => `/sys/fs/cgroup/${e.name}`);
  const cgroups = ["/sys/fs/cgroup", ...hierarchies]
    .flatMap((root) => ids.map((id) => `${root}/k8s.io/${id}`))
    .filter(exists);
  return [...mounts, ...links, ...shims, ...cgroups];
}

async function answers(socket: string): Promise<boolean> {
  const result = await new Deno.Command("ctr", {
    args: ["--address", socket, "--connect-timeout", "1s", "plugins", "list", "-q"],
    stdout: "null",
    stderr: "null",
  }).output();
  return result.success;
}

const exists = (path: string): boolean => {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
};

/** Looks until it is true; throws after 20 s. */
export async function until(
  what: string,
  look: () => Promise<boolean> | boolean,
  limitMs = 20_000,
): Promise<void> {
  const end = performance.now() + limitMs;
  while (!await look()) {
    if (performance.now() > end) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function run(...argv: string[]): Promise<string> {
  const output = await new Deno.Command(argv[0]!, { args: argv.slice(1), stdin: "null" }).output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  if (!output.success) throw new Error(`${argv.join(" ")}: ${text(output.stderr)}${text(output.stdout)}`);
  return text(output.stdout);
}
