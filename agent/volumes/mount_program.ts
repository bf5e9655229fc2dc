/**
 * Mounts by mount(8), for what the bare system call does not do: helpers of file systems, bind mounts with options,
 * paths that are too many for one call. Ends in time whatever becomes of the program. Not for: tmpfs and pins.
 */
import { AgentError } from "../model/errors.ts";
import type { CommandResult, Host } from "../ports.ts";

export interface ProgramMount {
  /** "" for a bind mount, which its options say. */
  type: string;
  source: string;
  target: string;
  /** As in fstab(5). */
  options: readonly string[];
  /** Where relative paths in options begin. */
  directory?: string;
}

export async function mountByProgram(
  host: Host,
  m: ProgramMount,
  limitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const argv = [
    "mount",
    ...(m.type === "" ? [] : ["-t", m.type]),
    ...(m.options.length === 0 ? [] : ["-o", m.options.join(",")]),
    "--",
    m.source,
    m.target,
  ];
  const { code, stderr } = await runInTime(host, argv, { directory: m.directory, limitMs }, signal);
  if (code === 0) return;
  const said = new TextDecoder().decode(stderr).trim().split("\n")[0];
  throw new AgentError("FailedMount", `cannot mount ${m.source}: ${said || `mount ended with ${code}`}`);
}

/** A program that the kernel holds (a server that does not answer) is left behind: nobody waits for it. */
export async function runInTime(
  host: Host,
  argv: string[],
  options: { directory?: string | undefined; limitMs: number },
  signal: AbortSignal,
): Promise<CommandResult> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(options.limitMs)]);
  const run = host.exec(
    argv,
    { env: { LC_ALL: "C" }, ...(options.directory !== undefined && { cwd: options.directory }) },
    limit,
  );
  return await inTime(run, `${argv[0]} has not ended after ${options.limitMs / 1000} s`, limit);
}

/** Leaves work behind that the kernel holds and no signal ends. Throws FailedMount with the words given. */
export async function inTime<T>(work: Promise<T>, words: string, limit: AbortSignal): Promise<T> {
  const late = Promise.withResolvers<never>();
  const end = () => late.reject(new AgentError("FailedMount", words));
  if (limit.aborted) end();
  else limit.addEventListener("abort", end, { once: true });
  work.catch(() => {});
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    limit.removeEventListener("abort", end);
  }
}
