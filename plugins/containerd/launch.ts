/**
 * Starts containerd apart from the agent: a session of its own, its output in a file, no pipe and no signal in common,
 * so that the end of the agent is nothing to it. Keeps its log bounded. Not for: when to start it.
 */
import { dirname } from "@std/path";
import { runProgram } from "./detect.ts";
import { findContainerd, type RunningProcess } from "./processes.ts";

export interface LaunchOptions {
  binaries: { containerd: string; runc: string };
  configPath: string;
  logPath: string;
}

const LOG_LIMIT = 8 * 1024 * 1024;
const APPEAR_MS = 5000;

/** What containerd may know of our environment: proxies and certificates for pulls. Never NOTIFY_SOCKET. */
const INHERITED =
  /^(https?_proxy|no_proxy|all_proxy|ssl_cert_file|ssl_cert_dir|tmpdir|lang|tz|gogc|gomemlimit)$/i;

/** The background job is no leader of a process group, so setsid(1) makes the session without another fork. */
const SCRIPT = 'cd / && umask 022 && { setsid "$@" </dev/null >>"$AGENT_LOG" 2>&1 & } && echo $!';

/** `undefined` when it ended before it could be seen. */
export async function startContainerd(
  options: LaunchOptions,
  env: Record<string, string>,
): Promise<RunningProcess | undefined> {
  await capLog(options.logPath);
  await Deno.writeTextFile(options.logPath, "", { append: true, mode: 0o600 });
  const { containerd, runc } = options.binaries;
  const directories = [
    dirname(containerd),
    dirname(runc),
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
  ];
  const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => INHERITED.test(name));
  const { stdout } = await new Deno.Command("/bin/sh", {
    args: ["-c", SCRIPT, "sh", containerd, "--config", options.configPath],
    clearEnv: true,
    env: {
      ...Object.fromEntries(inherited),
      ...env,
      PATH: [...new Set([...directories, "/sbin", "/bin"])].join(":"),
      AGENT_LOG: options.logPath,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).output();
  const pid = new TextDecoder().decode(stdout).trim();
  return pid === "" ? undefined : await untilSeen(Number(pid), options.configPath);
}

/** Between fork and exec the process still has its parent's arguments. */
async function untilSeen(pid: number, configPath: string): Promise<RunningProcess | undefined> {
  const end = performance.now() + APPEAR_MS;
  const exists = () => {
    try {
      return Deno.statSync(`/proc/${pid}`).isDirectory;
    } catch {
      return false;
    }
  };
  while (exists() && performance.now() < end) {
    const found = findContainerd(configPath);
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return findContainerd(configPath);
}

/** containerd appends, so its file may be emptied under it; the text before goes to `LOG.1`. */
export async function capLog(path: string): Promise<void> {
  const size = await Deno.stat(path).then((s) => s.size, () => 0);
  if (size < LOG_LIMIT) return;
  await Deno.copyFile(path, `${path}.1`);
  await Deno.truncate(path, 0);
}

/** The last lines of a log, in one line. */
export async function lastLines(path: string, count: number): Promise<string> {
  const { stdout } = await runProgram(["tail", "-n", String(count), path]);
  return stdout.trim().split("\n").join(" | ");
}
