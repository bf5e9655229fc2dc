/**
 * Ends everything that a managed containerd left running or mounted, without its cooperation: for tests, for the end
 * of a demonstration. A polite end (StopPodSandbox for each pod) comes before, elsewhere. Not for: the agent's stop,
 * which leaves containers alone.
 */
import { dirname, join } from "@std/path";
import { mountsWithin, parseMountInfo } from "../../agent/lib/mountinfo.ts";
import { runProgram } from "./detect.ts";
import {
  childrenOf,
  endProcess,
  type RunningProcess,
  signalProcess,
  waitForExit,
} from "../processes/proc.ts";

const KILL_MS = 5000;

/** Kills the containers first, so that their shims see the end and clean up, then the shims; then their cgroups. */
export async function endShims(shims: readonly RunningProcess[]): Promise<void> {
  const containers = shims.flatMap(childrenOf);
  const cgroups = containers.flatMap(cgroupsOf);
  containers.forEach((p) => signalProcess(p, "SIGKILL"));
  await Promise.all(containers.map((p) => waitForExit(p, KILL_MS)));
  await Promise.all(shims.map((shim) => endProcess(shim, 500)));
  await removeEmptyCgroups(cgroups);
}

/** Directories of a process in every hierarchy, from /proc/PID/cgroup (cgroups(7)). */
function cgroupsOf(p: RunningProcess): string[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(`/proc/${p.pid}/cgroup`);
  } catch {
    return [];
  }
  return parseCgroups(text);
}

/** `ID:CONTROLLERS:PATH` lines; the unified hierarchy has no controllers, and is at the top or in `unified`. */
export function parseCgroups(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.+)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) return [];
    const tops = controllers === "" ? ["", "unified"] : [controllers.replace(/^name=/, "")];
    return tops.map((top) => join("/sys/fs/cgroup", top, path));
  });
}

/** Only empty ones go, and the parent that the runtime made for containers without one. */
export async function removeEmptyCgroups(directories: readonly string[]): Promise<void> {
  for (const d of new Set(directories)) await Deno.remove(d).catch(() => undefined);
  const parents = new Set(directories.map(dirname).filter((d) => /\/(k8s\.io|default)$/.test(d)));
  for (const d of parents) await Deno.remove(d).catch(() => undefined);
}

/** Deepest first; what is busy is detached. */
export async function unmountBelow(directory: string): Promise<void> {
  const real = await Deno.realPath(directory).catch(() => undefined);
  if (real === undefined) return;
  const mounts = mountsWithin(parseMountInfo(await Deno.readTextFile("/proc/self/mountinfo")), real);
  for (const mount of mounts.reverse()) {
    const { code } = await runProgram(["umount", mount.path]);
    if (code !== 0) await runProgram(["umount", "-l", mount.path]);
  }
}

/** What a shim that containerd does not know kept on disk: its directories, and what it mounted there. */
export async function removeBundle(
  { root, state }: { root: string; state: string },
  id: string,
): Promise<void> {
  for (const top of [state, root]) {
    const bundle = `${top}/io.containerd.runtime.v2.task/k8s.io/${id}`;
    await unmountBelow(bundle);
    await Deno.remove(bundle, { recursive: true }).catch(() => undefined);
  }
}

/** Shims listen below /run/containerd/s, whatever `state` is; each bundle says where. */
export async function removeShimSockets(state: string): Promise<void> {
  const tasks = `${state}/io.containerd.runtime.v2.task`;
  for (const namespace of await names(tasks)) {
    for (const id of await names(join(tasks, namespace))) {
      const address = await Deno.readTextFile(join(tasks, namespace, id, "address")).catch(() => "");
      const path = address.trim().replace(/^unix:\/\//, "");
      if (path.startsWith("/run/containerd/s/")) await Deno.remove(path).catch(() => undefined);
    }
  }
}

async function names(directory: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(directory)).catch(() => []);
  return entries.map((e) => e.name);
}
