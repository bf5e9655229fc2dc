/**
 * Starts a program apart from the agent: a session of its own, its output in a file, no pipe and no signal in common, so
 * that the end of the agent is nothing to it. Keeps its log bounded. Not for: when to start it.
 */
import type { RunningProcess } from "./proc.ts";

export interface LaunchOptions {
  argv: readonly string[];
  /** All of it, besides what the program may know of ours. */
  env: Readonly<Record<string, string>>;
  logPath: string;
  /** Default the root directory. */
  workingDir?: string;
  /** Finds the program once it has become itself: between fork and exec a process has its parent's arguments. */
  find(pid: number): RunningProcess | undefined;
}

const LOG_LIMIT = 8 * 1024 * 1024;
const APPEAR_MS = 5000;

/** What a program may know of our environment: proxies and certificates. Never NOTIFY_SOCKET. */
const INHERITED =
  /^(https?_proxy|no_proxy|all_proxy|ssl_cert_file|ssl_cert_dir|tmpdir|lang|tz|gogc|gomemlimit)$/i;

/** The background job is no leader of a process group, so setsid(1) makes the session without another fork. */
const SCRIPT = 'log=$1 dir=$2; shift 2; cd "$dir" && umask 022 && ' +
  '{ setsid "$@" </dev/null >>"$log" 2>&1 & } && echo $!';

/** `undefined` when it ended before it could be seen. Throws when its directory is not there. */
export async function startApart(options: LaunchOptions): Promise<RunningProcess | undefined> {
  const { argv, env, logPath, workingDir = "/", find } = options;
  await capLog(logPath);
  await Deno.writeTextFile(logPath, "", { append: true, mode: 0o600 });
  const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => INHERITED.test(name));
  const { stdout, stderr } = await new Deno.Command("/bin/sh", {
    args: ["-c", SCRIPT, "sh", logPath, workingDir, ...argv],
    clearEnv: true,
    env: { ...Object.fromEntries(inherited), ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const pid = Number(new TextDecoder().decode(stdout).trim());
  if (pid === 0) throw new Error(new TextDecoder().decode(stderr).trim());
  return await untilSeen(pid, find);
}

async function untilSeen(pid: number, find: LaunchOptions["find"]): Promise<RunningProcess | undefined> {
  const end = performance.now() + APPEAR_MS;
  const exists = () => {
    try {
      return Deno.statSync(`/proc/${pid}`).isDirectory;
    } catch {
      return false;
    }
  };
  while (exists() && performance.now() < end) {
    const found = find(pid);
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return find(pid);
}

/** Programs append, so their file may be emptied under them; the text before goes to `LOG.1`. */
export async function capLog(path: string): Promise<void> {
  const size = await Deno.stat(path).then((s) => s.size, () => 0);
  if (size < LOG_LIMIT) return;
  await Deno.copyFile(path, `${path}.1`);
  await Deno.truncate(path, 0);
}

const TAIL = 16 * 1024;

/** The last lines of a log, in one line. */
export async function lastLines(path: string, count: number): Promise<string> {
  const file = await Deno.open(path).catch(() => undefined);
  if (file === undefined) return "";
  using _ = file;
  const { size } = await file.stat();
  await file.seek(Math.max(0, size - TAIL), Deno.SeekMode.Start);
  const bytes = new Uint8Array(TAIL);
  const text = new TextDecoder().decode(bytes.subarray(0, await file.read(bytes) ?? 0));
  return text.trim().split("\n").slice(-count).join(" | ");
}
