/**
 * Gives memory back that only starts and bursts need: garbage, freed heap, and the pages of our own executable that no
 * longer run (the kernel reads them again from its cache should they). On a small box that is 30 of 70 MB.
 * Not for: caches of our own; there are none to speak of.
 */
import { createMailbox } from "../lib/mailbox.ts";
import type { Host } from "../ports.ts";
import type { StatusStore } from "../status_store.ts";

const MADV_DONTNEED = 4;

declare global {
  /** Present with V8's `--expose-gc`, which the build sets. */
  var gc: ((options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void) | undefined;
}

export interface Mapping {
  start: bigint;
  end: bigint;
}

/**
 * The mappings of `executable` that never hold anything but the file's own bytes: its code, and the read-only segment at
 * its beginning. Other read-only parts were relocated in memory and must stay. Source: proc_pid_maps(5).
 */
export function discardable(maps: string, executable: string): Mapping[] {
  const row = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+\s+(.*)$/;
  return maps.split("\n").flatMap((line) => {
    const [, start, end, permissions, offset, path] = row.exec(line) ?? [];
    const constant = permissions === "r-xp" || (permissions === "r--p" && Number(`0x${offset}`) === 0);
    return path === executable && constant ? [{ start: BigInt(`0x${start}`), end: BigInt(`0x${end}`) }] : [];
  });
}

/** `undefined` where libc has not got the calls (musl). */
function openLibc() {
  try {
    return Deno.dlopen("libc.so.6", {
      madvise: { parameters: ["u64", "usize", "i32"], result: "i32" },
      malloc_trim: { parameters: ["usize"], result: "i32" },
    });
  } catch {
    return undefined;
  }
}

function release(libc: ReturnType<typeof openLibc>): void {
  // Only a collection of the last resort gives the heap's empty pages back.
  globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
  if (libc === undefined) return;
  const maps = Deno.readTextFileSync("/proc/self/maps");
  for (const { start, end } of discardable(maps, Deno.execPath())) {
    libc.symbols.madvise(start, end - start, MADV_DONTNEED);
  }
  libc.symbols.malloc_trim(0n);
}

/** Once after the start, then after each burst: when nothing has changed for a while. Costs nothing when idle. */
export async function runSlimming(
  o: { host: Host; store: StatusStore; quietMs: number },
  signal: AbortSignal,
): Promise<void> {
  const libc = openLibc();
  const changes = createMailbox<true>();
  // Events alone, such as a probe's that fails for days, are no burst of work.
  o.store.subscribe((change) => change.kind !== "event" && changes.put(true), signal);
  changes.put(true);
  while (!signal.aborted) {
    await changes.wait(signal);
    while (changes.take() !== undefined && !signal.aborted) {
      await o.host.sleep(o.quietMs, signal).catch(() => {});
    }
    if (!signal.aborted) release(libc);
  }
}
