/**
 * A host of its own whose first process is systemd, on an overlay of this one's files (machine.sh), in a network namespace
 * that is there already; gone without a trace afterwards. Not for: other kernels, or hardware.
 */
import { join } from "@std/path";
import { type CommandOutput, output } from "./agent.ts";
import { until } from "./containerd.ts";
import { cgroupMounts } from "./leftovers.ts";

export interface Machine extends AsyncDisposable {
  /** Runs a command there, by a shell. */
  run(command: string): Promise<CommandOutput>;
  /** The same; throws where it fails. Its standard output, without blanks around it. */
  must(command: string): Promise<string>;
  /** Where one of its files is seen from here. */
  path(inside: string): string;
}

const script = new URL("machine.sh", import.meta.url).pathname;
const environment = ["HOME=/root", "LANG=C.UTF-8", "NO_COLOR=1"];
const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Ends when systemd has started all that is to run. */
export async function startMachine(name: string, networkNamespace: string): Promise<Machine> {
  const root = await Deno.makeTempDir({ prefix: "agent-machine-" });
  const child = new Deno.Command("nsenter", {
    args: [`--net=/run/netns/${networkNamespace}`, "sh", script, name, root],
    stdin: "null",
    stdout: "null",
  }).spawn();
  const dispose = async () => {
    Deno.kill(await firstProcess(child.pid) ?? child.pid, "SIGKILL");
    await child.status;
    await until("its cgroups are gone", () => cgroupsOf(name).filter((at) => !isRemoved(at)).length === 0);
    await Deno.remove(root);
  };
  await using stack = new AsyncDisposableStack();
  stack.defer(dispose);
  await until("it has a first process", async () => await firstProcess(child.pid) !== undefined);
  const first = (await firstProcess(child.pid))!;
  const enter = ["-t", String(first), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"];
  const run = (command: string) =>
    output("nsenter", [...enter, "env", "-i", ...environment, path, "sh", "-c", command]);
  const must = async (command: string) => {
    const { code, stdout, stderr } = await run(command);
    if (code !== 0) throw new Error(`${command} failed with ${code}:\n${stdout}${stderr}`);
    return stdout.trim();
  };
  await until("systemd has started it", async () => {
    if (await programOf(first) !== "systemd") return false;
    return /^(running|degraded)/.test((await run("systemctl is-system-running")).stdout);
  }, 90_000);
  const kept = stack.move();
  return {
    run,
    must,
    path: (inside) => join(`/proc/${first}/root`, inside),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

const programOf = (pid: number): Promise<string> =>
  Deno.readTextFile(`/proc/${pid}/comm`).then((text) => text.trim(), () => "");

/** Of the namespaces that `unshare` has made. */
async function firstProcess(unshare: number): Promise<number | undefined> {
  if (await programOf(unshare) !== "unshare") return undefined;
  const children = await Deno.readTextFile(`/proc/${unshare}/task/${unshare}/children`).catch(() => "");
  return children === "" ? undefined : Number(children.split(" ")[0]);
}

/** The deepest first. */
function cgroupsOf(name: string): string[] {
  const below = (at: string): string[] => {
    try {
      const inner = [...Deno.readDirSync(at)].filter((e) => e.isDirectory);
      return [...inner.flatMap((e) => below(join(at, e.name))), at];
    } catch {
      return [];
    }
  };
  return cgroupMounts().flatMap((mount) => below(join(mount, name)));
}

function isRemoved(cgroup: string): boolean {
  try {
    Deno.removeSync(cgroup);
    return true;
  } catch {
    return false; // What it had is still dying.
  }
}
