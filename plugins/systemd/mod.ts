// Tells the service manager what the agent is up to: ready, stopping, alive, a line of status (sd_notify(3),
// sd_watchdog_enabled(3)). Not for starting services.

/** The environment in which we were started; `Deno.env` is one. */
export interface NotifyEnvironment {
  get(name: string): string | undefined;
  delete(name: string): void;
}

export interface Notifier {
  /** Whether somebody listens; without that every call below does nothing. */
  readonly listening: boolean;
  /** How often `ping` is to be called, half of what the service manager allows; undefined without a watchdog. */
  readonly watchdogEveryMs: number | undefined;
  ready(): void;
  ping(): void;
  stopping(): void;
  /** One line for people, shown by `systemctl status`. */
  status(text: string): void;
}

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000;
/** Longest path in a sockaddr_un (unix(7)). */
const LONGEST_PATH = 108;

/**
 * Reads $NOTIFY_SOCKET and the watchdog's variables, and removes them: a runtime that we start would otherwise speak in
 * our name. The notifier never throws and never waits; a service manager that does not listen is not our failure.
 */
export function createNotifier(env: NotifyEnvironment, pid: number = Deno.pid): Notifier {
  const address = encodeAddress(env.get("NOTIFY_SOCKET"));
  const watchdogEveryMs = address && readWatchdog(env.get("WATCHDOG_USEC"), env.get("WATCHDOG_PID"), pid);
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) env.delete(name);
  const send = address === undefined ? () => {} : createSender(address);
  return {
    listening: address !== undefined,
    watchdogEveryMs,
    ready: () => send("READY=1"),
    ping: () => send("WATCHDOG=1"),
    stopping: () => send("STOPPING=1"),
    status: (text) => send(`STATUS=${text.replaceAll("\n", " ")}`),
  };
}

/** A sockaddr_un: a path, or after `@` a name in the abstract namespace; undefined for what is neither. */
function encodeAddress(socket: string | undefined): Uint8Array<ArrayBuffer> | undefined {
  if (socket === undefined || !/^[/@]./.test(socket)) return undefined;
  const path = new TextEncoder().encode(socket);
  if (path.length > LONGEST_PATH) return undefined;
  const address = new Uint8Array(2 + path.length);
  new Uint16Array(address.buffer, 0, 1)[0] = AF_UNIX;
  address.set(path, 2);
  if (socket.startsWith("@")) address[2] = 0;
  return address;
}

function readWatchdog(
  microseconds: string | undefined,
  forPid: string | undefined,
  pid: number,
): number | undefined {
  if (forPid !== undefined && Number(forPid) !== pid) return undefined;
  const allowed = Number(microseconds);
  return Number.isInteger(allowed) && allowed > 0 ? allowed / 2000 : undefined;
}

/** By libc, because Deno's own datagrams reach no abstract socket and need a flag. A socket for each message leaks nothing. */
function createSender(address: Uint8Array<ArrayBuffer>): (message: string) => void {
  const libc = Deno.dlopen("libc.so.6", {
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
    close: { parameters: ["i32"], result: "i32" },
  }).symbols;
  return (message) => {
    const bytes = new TextEncoder().encode(message);
    const fd = libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
    if (fd < 0) return;
    libc.sendto(fd, bytes, BigInt(bytes.length), MSG_DONTWAIT_NOSIGNAL, address, address.length);
    libc.close(fd);
  };
}
