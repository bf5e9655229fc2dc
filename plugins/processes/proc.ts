/**
 * What /proc says about processes that we started. The world is the record: a process is ours when its arguments or its
 * environment say so, and it is the same one as before when its start time is the same; so there is no pid file that
 * could lie. Not for: deciding what to start or stop.
 */

export interface RunningProcess {
  pid: number;
  /** Clock ticks since boot: with the pid, the identity of a process. */
  startTime: string;
  argv: string[];
}

/** State and start time from the text of /proc/PID/stat; the name in parentheses may hold anything (proc(5)). */
export function parseStat(
  text: string,
): { state: string; ppid: number; session: number; startTime: string } | undefined {
  const fields = text.slice(text.lastIndexOf(")") + 1).trim().split(" ");
  const [state, ppid, startTime] = [fields[0], fields[1], fields[19]];
  if (state === undefined || ppid === undefined || startTime === undefined) return undefined;
  return { state, ppid: Number(ppid), session: Number(fields[3]), startTime };
}

function read(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined; // gone in between
  }
}

function stat(pid: number): ReturnType<typeof parseStat> {
  const text = read(`/proc/${pid}/stat`);
  const parsed = text === undefined ? undefined : parseStat(text);
  return parsed?.state === "Z" || parsed?.state === "X" ? undefined : parsed;
}

/** The process with this number, if there is one that has become a program. */
export function processAt(pid: number): RunningProcess | undefined {
  const argv = read(`/proc/${pid}/cmdline`)?.split("\0").slice(0, -1) ?? [];
  const startTime = stat(pid)?.startTime;
  return startTime === undefined || argv.length === 0 ? undefined : { pid, startTime, argv };
}

/** All whose arguments match. */
export function findProcesses(matches: (argv: string[]) => boolean): RunningProcess[] {
  const found: RunningProcess[] = [];
  for (const entry of Deno.readDirSync("/proc")) {
    if (!/^[0-9]+$/.test(entry.name)) continue;
    const process = processAt(Number(entry.name));
    if (process !== undefined && matches(process.argv)) found.push(process);
  }
  return found;
}

/** Those of the pids that are processes now. */
export function processesOf(pids: ReadonlySet<number>): RunningProcess[] {
  return [...pids].flatMap((pid) => {
    const startTime = stat(pid)?.startTime;
    return startTime === undefined ? [] : [{ pid, startTime, argv: [] }];
  });
}

/** Direct children: for a shim, the first process of each of its containers. */
export function childrenOf(parent: RunningProcess): RunningProcess[] {
  return findProcesses((argv) => argv.length > 0).filter((p) => stat(p.pid)?.ppid === parent.pid);
}

/** Neither gone, nor a zombie, nor another process with the same number. */
export function isAlive(p: RunningProcess): boolean {
  return stat(p.pid)?.startTime === p.startTime;
}

/** Whether it began the session that it is in, as all that we start apart do. */
export const leadsSession = (pid: number): boolean => stat(pid)?.session === pid;

/** A variable of the environment that the process was started with. */
export function environmentOf(p: RunningProcess, name: string): string | undefined {
  const entry = read(`/proc/${p.pid}/environ`)?.split("\0").find((e) => e.startsWith(`${name}=`));
  return entry?.slice(name.length + 1);
}

/** Whether the program's file was replaced since (a package was upgraded). */
export function wasReplaced(p: RunningProcess): boolean {
  try {
    return Deno.readLinkSync(`/proc/${p.pid}/exe`).endsWith(" (deleted)");
  } catch {
    return false;
  }
}

export function signalProcess(p: RunningProcess, signal: Deno.Signal): void {
  if (!isAlive(p)) return;
  try {
    Deno.kill(p.pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Resolves as `false` when it still lives after `ms`. */
export async function waitForExit(p: RunningProcess, ms: number): Promise<boolean> {
  const end = performance.now() + ms;
  while (isAlive(p)) {
    if (performance.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return true;
}

/** Kills what is left of the session's first process group, whose leader it was. */
export function killGroup(leader: RunningProcess): void {
  try {
    Deno.kill(-leader.pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** The kernel needs a moment, too. */
const KILL_MS = 5000;

/** SIGTERM, and SIGKILL when that had no effect in `graceMs`. */
export async function endProcess(p: RunningProcess, graceMs: number): Promise<void> {
  signalProcess(p, "SIGTERM");
  if (await waitForExit(p, graceMs)) return;
  signalProcess(p, "SIGKILL");
  if (!await waitForExit(p, Math.max(graceMs, KILL_MS))) {
    throw new Error(`${p.argv[0]} (${p.pid}) cannot be killed`);
  }
}
