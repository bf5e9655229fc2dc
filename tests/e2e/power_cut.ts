/** The power goes: all processes of an instance die at once. Not for: the agent's own process, which its test kills. */
import type { AgentUnderTest } from "./agent.ts";
import { until } from "./containerd.ts";

/** The pid of the containerd whose configuration lies below the instance. */
export function containerdPid(agent: AgentUnderTest): number | undefined {
  for (const entry of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    try {
      const words = Deno.readTextFileSync(`/proc/${entry.name}/cmdline`).split("\0");
      if (words[0]!.endsWith("containerd") && words.some((w) => w.startsWith(agent.root))) {
        return Number(entry.name);
      }
    } catch {
      // It ended meanwhile.
    }
  }
  return undefined;
}

/** Every process of the instance, at once, as when the power goes; mounts and namespaces stay behind as litter. */
export async function cutPower(agent: AgentUnderTest): Promise<void> {
  const { directory, state } = agent.places();
  const shims: number[] = [];
  for (const entry of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    try {
      const command = Deno.readTextFileSync(`/proc/${entry.name}/cmdline`);
      if (command.includes(directory) || command.includes(state)) shims.push(Number(entry.name));
      const cgroups = Deno.readTextFileSync(`/proc/${entry.name}/cgroup`);
      if (cgroups.includes(agent.places().cgroupRoot)) shims.push(Number(entry.name));
    } catch {
      // It ended meanwhile.
    }
  }
  for (const pid of new Set(shims)) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      // It ended meanwhile.
    }
  }
  await until("nothing of it runs", () => containerdPid(agent) === undefined);
}
