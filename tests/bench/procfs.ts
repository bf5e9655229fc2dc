/** What the kernel says of one process (proc(5)). Not for: its children. */

export interface Memory {
  /** MiB: all that is resident, the anonymous part of it, and with shared pages counted by share. */
  rss: number;
  anonymous: number;
  pss: number;
}

const MIB = 1024;
/** USER_HZ: what /proc counts CPU time in, whatever the kernel's own tick is. */
const TICKS_PER_SECOND = 100;

const read = (pid: number, file: string): string => Deno.readTextFileSync(`/proc/${pid}/${file}`);

function kib(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? NaN);
}

export function readMemory(pid: number): Memory {
  const [status, rollup] = [read(pid, "status"), read(pid, "smaps_rollup")];
  return {
    rss: kib(status, "VmRSS") / MIB,
    anonymous: kib(status, "RssAnon") / MIB,
    pss: kib(rollup, "Pss") / MIB,
  };
}

/** CPU seconds of all threads since the start. */
export function readCpuSeconds(pid: number): number {
  const fields = read(pid, "stat").replace(/^.*\) /, "").split(" ");
  // utime and stime are fields 14 and 15 of the whole line, whose first two are gone.
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Bytes that the process caused to be written to disks. */
export function readWrittenBytes(pid: number): number {
  return Number(/^write_bytes: (\d+)/m.exec(read(pid, "io"))?.[1] ?? NaN);
}
