/**
 * A private containerd with exactly the configuration and network that the agent gives to its own, for the peers that
 * bring none. Not for: the agent, which starts its own.
 */
import {
  bridgeName,
  createManagedContainerd,
  detectHost,
  findBinaries,
} from "../../../plugins/containerd/mod.ts";
import { createPauseImageArchive, PAUSE_IMAGE } from "../../../plugins/cri/pause_image.ts";
import { run } from "../../e2e/containerd.ts";
import { writeImageArchive } from "../../../tools/busybox_image.ts";
import { IMAGE } from "../pods.ts";

export interface BenchRuntime {
  directory: string;
  socket: string;
  /** For the peer's pods, should it make cgroups for them. */
  cgroupRoot: string;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function pauseArchive(directory: string): Promise<string> {
  const path = `${directory}/pause.tar`;
  const { archive } = await createPauseImageArchive(Deno.build.arch === "aarch64" ? "arm64" : "amd64");
  await Deno.writeFile(path, archive);
  return path;
}

/** A kubelet mounts its own directory onto itself; below that is what pods have that were not taken away. */
async function unmountBelow(directory: string): Promise<void> {
  const mounts = Deno.readTextFileSync("/proc/self/mounts").split("\n").map((line) =>
    line.split(" ")[1] ?? ""
  );
  for (const mount of mounts.filter((m) => m.startsWith(`${directory}/`)).reverse()) {
    await run("umount", mount);
  }
}

export async function startRuntime(): Promise<BenchRuntime> {
  const directory = await Deno.makeTempDir({ prefix: "agent-bench-", dir: "/run" });
  const socket = `${directory}/containerd.sock`;
  const cgroupRoot = `/${directory.slice("/run/".length)}`;
  const managed = createManagedContainerd({
    root: `${directory}/root`,
    state: `${directory}/state`,
    socket,
    configPath: `${directory}/config.toml`,
    logPath: `${directory}/containerd.log`,
    stateDir: `${directory}/agent`,
    binaries: await findBinaries(),
    cniConfDir: `${directory}/net.d`,
    instance: directory,
    bridge: bridgeName(directory),
    sandboxImage: PAUSE_IMAGE,
    cgroupRoot,
    ...await detectHost(),
    registryConfigDir: `${directory}/certs.d`,
    cdiSpecDirs: [],
  });
  await managed.ensure(AbortSignal.timeout(60_000));
  const demo = await writeImageArchive(directory, "demo.tar", { tags: [IMAGE] });
  for (const archive of [await pauseArchive(directory), demo]) {
    await run("ctr", "-a", socket, "-n", "k8s.io", "images", "import", archive);
  }
  return {
    directory,
    socket,
    cgroupRoot,
    async [Symbol.asyncDispose]() {
      await managed.stopForGood(AbortSignal.timeout(120_000));
      await unmountBelow(directory);
      await Deno.remove(directory, { recursive: true });
    },
  };
}
