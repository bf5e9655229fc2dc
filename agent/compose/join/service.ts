/** The agent as a service of systemd, where systemd runs the host. Not for: other supervisors, whose users are told what to run. */
import { JoinFailure } from "../../cluster/join/join_failure.ts";
import type { Host } from "../../ports.ts";
import { calledAs, unitFile } from "../../build_info.ts";

type ServiceHost = Pick<Host, "stat" | "realPath" | "exec" | "writeFileAtomic">;

export const hasSystemd = async (host: Pick<Host, "stat">): Promise<boolean> =>
  await host.stat("/run/systemd/system") !== undefined;

const ownUnit = "/etc/systemd/system/agent.service";

async function systemctl(host: ServiceHost, args: string[], signal: AbortSignal): Promise<boolean> {
  return (await host.exec(["systemctl", ...args], {}, signal)).code === 0;
}

async function must(host: ServiceHost, args: string[], remedy: string, signal: AbortSignal): Promise<void> {
  const { code, stderr } = await host.exec(["systemctl", ...args], {}, signal);
  if (code === 0) return;
  const said = new TextDecoder().decode(stderr).trim().split("\n")[0] ?? "";
  throw new JoinFailure(`systemctl ${args.join(" ")} failed: ${said}`, remedy);
}

/** Enables and (re)starts agent.service; writes the unit where none is installed. @throws {JoinFailure} */
export async function startService(host: ServiceHost, signal: AbortSignal): Promise<{ installed: boolean }> {
  const known = await systemctl(host, ["cat", "agent.service"], signal);
  if (!known) {
    const [unit, self] = [unitFile(), await host.realPath(calledAs() ?? "")];
    if (unit === undefined || self === undefined) {
      throw new JoinFailure(
        "agent.service is not installed",
        "run `make install`, then `systemctl enable --now agent`",
      );
    }
    await host.writeFileAtomic(ownUnit, unit.replace(/^ExecStart=\S*/m, `ExecStart=${self}`), 0o644);
  }
  const remedy = "look at `journalctl -u agent -n 50`, then run the same command again: that is safe";
  await must(host, ["daemon-reload"], remedy, signal);
  await must(host, ["enable", "agent.service"], remedy, signal);
  await must(host, ["restart", "agent.service"], remedy, signal);
  return { installed: !known };
}

/** Whether it was running. */
export async function stopService(host: ServiceHost, signal: AbortSignal): Promise<boolean> {
  if (!await systemctl(host, ["is-active", "--quiet", "agent.service"], signal)) return false;
  await must(host, ["stop", "agent.service"], "stop the agent, then run the same command again", signal);
  return true;
}
