/**
 * Waiting for the end of a process that is no child of ours: pidfd_open(2) and poll(2), so that nothing is asked in
 * between. Not for: ending it.
 */
import { isAlive, type RunningProcess } from "./proc.ts";

const pidfdOpen = 434; // the same number on every architecture
const POLLIN = 1;

const symbols = {
  syscall: { parameters: ["i64", "i64", "i64"], result: "i64" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "u64"], result: "i64" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

let libc: Deno.DynamicLibrary<typeof symbols>["symbols"] | undefined;

const O_CLOEXEC = 0o2000000;

/** Resolves when the process has ended or the signal aborts. */
export async function untilExit(p: RunningProcess, signal: AbortSignal): Promise<void> {
  if (signal.aborted || !isAlive(p)) return;
  libc ??= Deno.dlopen("libc.so.6", symbols).symbols;
  const { syscall, poll, pipe2, write, close } = libc;
  const pidfd = Number(syscall(BigInt(pidfdOpen), BigInt(p.pid), 0n));
  // The number may have been given to another process before it was opened.
  if (pidfd < 0 || !isAlive(p)) {
    if (pidfd >= 0) close(pidfd);
    return await untilGone(p, signal);
  }
  const ends = new Int32Array(2);
  if (pipe2(new Uint8Array(ends.buffer), O_CLOEXEC) !== 0) {
    close(pidfd);
    return await untilGone(p, signal);
  }
  const wake = () => void write(ends[1]!, new Uint8Array(1), 1n);
  signal.addEventListener("abort", wake, { once: true });
  try {
    await poll(new Uint8Array(new Int32Array([pidfd, POLLIN, ends[0]!, POLLIN]).buffer), 2n, -1);
  } finally {
    signal.removeEventListener("abort", wake);
    for (const fd of [pidfd, ...ends]) close(fd);
  }
}

const lookMs = 500;

/** For kernels before 5.3, and when descriptors are scarce. */
async function untilGone(p: RunningProcess, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && isAlive(p)) await new Promise((resolve) => setTimeout(resolve, lookMs));
}
