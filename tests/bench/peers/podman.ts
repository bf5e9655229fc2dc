/**
 * `podman kube play` on private storage. Nothing stays resident but a conmon for each container, so memory and idle
 * CPU have no number. Not for: podman's other ways to start things (Quadlet, systemd).
 */
import { type CommandOutput, output } from "../../e2e/agent.ts";
import { run } from "../../e2e/containerd.ts";
import { writeImageArchive } from "../../../tools/busybox_image.ts";
import { type BenchPod, CONTAINER, createPods, IMAGE } from "../pods.ts";
import { type ContainerTimes, NotRunnable, type Peer } from "./peer.ts";
import { whenTrue } from "../wait.ts";
import { pauseArchive } from "./runtime.ts";
import { PAUSE_IMAGE } from "../../../plugins/cri/pause_image.ts";
import { findBinaries } from "../../../plugins/containerd/mod.ts";

const NETWORK = "agent-bench";

interface Inspected {
  Id: string;
  State: { Pid: number; StartedAt: string; FinishedAt: string };
}

/**
 * Limits as they are: podman would raise them, which needs CAP_SYS_RESOURCE. The pause image is ours because podman's
 * own is built from a program (catatonit) that Debian does not install with it.
 */
function configuration(directory: string, cniBinDir: string): string {
  return `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[network]
network_backend = "cni"
network_config_dir = "${directory}/net.d"
cni_plugin_dirs = ["${cniBinDir}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
infra_image = "${PAUSE_IMAGE}"
infra_command = "/pause"
`;
}

interface Podman {
  directory: string;
  ask(...args: string[]): Promise<CommandOutput>;
  /** @throws with what podman said */
  tell(...args: string[]): Promise<string>;
}

async function createPodman(directory: string): Promise<Podman> {
  const { cniBinDir } = await findBinaries();
  await Deno.writeTextFile(`${directory}/containers.conf`, configuration(directory, cniBinDir));
  const places = ["--root", `${directory}/root`, "--runroot", `${directory}/runroot`];
  const flags = [...places, "--tmpdir", `${directory}/tmp`, "--network-config-dir", `${directory}/net.d`];
  const env = { CONTAINERS_CONF: `${directory}/containers.conf` };
  const ask = (...args: string[]) => output("podman", [...flags, ...args], env);
  const tell = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await ask(...args);
    if (code !== 0) throw new Error(`podman ${args.join(" ")} ended with ${code}: ${stderr.trim()}`);
    return stdout;
  };
  return { directory, ask, tell };
}

/** Containers of a pod get this name. */
const containerOf = (pod: BenchPod): string => `${pod.name}-${CONTAINER}`;

async function play(podman: Podman, pods: readonly BenchPod[]): Promise<void> {
  const file = `${podman.directory}/${pods[0]?.name}.yaml`;
  await Deno.writeTextFile(file, pods.map((pod) => JSON.stringify(pod.spec)).join("\n---\n"));
  await podman.tell("kube", "play", "--network", NETWORK, file);
}

async function inspect(podman: Podman, pod: BenchPod): Promise<Inspected> {
  return (JSON.parse(await podman.tell("container", "inspect", containerOf(pod))) as Inspected[])[0]!;
}

async function containers(podman: Podman, pod: BenchPod): Promise<ContainerTimes[]> {
  const { Id: id, State } = await inspect(podman, pod);
  const finishedAt = Date.parse(State.FinishedAt);
  const [now, before] = [Date.parse(State.StartedAt), finishedAt > 0 ? finishedAt : undefined];
  // It restarts the same container: there is one record, in which the last end lies before the last start.
  const newest = { id, createdAt: NaN, startedAt: now, finishedAt: undefined };
  return before === undefined ? [newest] : [newest, { ...newest, startedAt: NaN, finishedAt: before }];
}

/** What `podman ps` shows: name of the pod → id of its container. */
async function running(podman: Podman): Promise<Map<string, string[]>> {
  const lines = await podman.tell("ps", "--pod", "--no-trunc", "--format", "{{.PodName}} {{.ID}} {{.Names}}");
  const all = lines.trim().split("\n").map((line) => line.split(" "));
  return new Map(
    all.filter(([pod, , name]) => name === `${pod}-${CONTAINER}`).map(([pod, id]) => [pod!, [id!]]),
  );
}

export async function createPodmanPeer(): Promise<Peer> {
  if ((await output("sh", ["-c", "command -v podman"])).code !== 0) {
    throw new NotRunnable("podman is not installed");
  }
  const directory = await Deno.makeTempDir({ prefix: "agent-bench-podman-", dir: "/run" });
  const podman = await createPodman(directory);
  const dispose = () => endPodman(podman);
  const remove = async (pods: readonly BenchPod[]): Promise<void> => {
    await podman.tell("pod", "stop", ...pods.map((pod) => pod.name));
    await podman.tell("pod", "rm", ...pods.map((pod) => pod.name));
  };
  try {
    await podman.tell("network", "create", NETWORK);
    const demo = await writeImageArchive(directory, "demo.tar", { tags: [IMAGE] });
    for (const archive of [await pauseArchive(directory), demo]) await podman.tell("load", "-i", archive);
    const trial = createPods("trial", 1);
    await play(podman, trial);
    await remove(trial);
  } catch (error) {
    await dispose();
    throw new NotRunnable(error instanceof Error ? error.message : String(error));
  }
  return {
    name: "podman kube play",
    restarts: true,
    add: (pods) => play(podman, pods),
    remove,
    whenRunning: async (pod) =>
      void await whenTrue("podman: the pod runs", async () => (await running(podman)).has(pod.name)),
    running: () => running(podman),
    async knows(pods) {
      const names = new Set((await podman.tell("pod", "ls", "--format", "{{.Name}}")).split("\n"));
      return pods.some((pod) => names.has(pod.name));
    },
    containers: (pod) => containers(podman, pod),
    exec: async (pod, command) => void await podman.tell("exec", containerOf(pod), ...command),
    processOf: async (pod) => (await inspect(podman, pod)).State.Pid,
    [Symbol.asyncDispose]: dispose,
  };
}

async function endPodman(podman: Podman): Promise<void> {
  const { directory } = podman;
  const { stdout } = await podman.ask("network", "inspect", NETWORK);
  const bridge = /"network_interface": "([^"]+)"/.exec(stdout)?.[1];
  await podman.ask("pod", "rm", "--all", "--force");
  await podman.ask("network", "rm", "--force", NETWORK);
  await output("umount", [`${directory}/root/overlay`]);
  if (bridge !== undefined) await output("ip", ["link", "delete", bridge]);
  await run("sh", "-c", removeEmptyCgroups);
  // Where host-local notes addresses unless it is told otherwise, which podman does not.
  await Deno.remove(`/var/lib/cni/networks/${NETWORK}`, { recursive: true }).catch(() => {});
  await Deno.remove(directory, { recursive: true });
}

/** Podman leaves those of pods in hierarchies that it limits nothing in. Only empty ones can go, so others' stay. */
const removeEmptyCgroups = `for parent in /sys/fs/cgroup/libpod_parent /sys/fs/cgroup/*/libpod_parent; do
  find "$parent" -depth -type d -exec rmdir {} ';' 2>/dev/null
done; true`;
