/** The real terminal of this program: standard streams, environment. Not for: what is printed. */
import type { Input, Terminal } from "./io.ts";

async function writeAll(stream: { write(bytes: Uint8Array): Promise<number> }, chunk: string | Uint8Array) {
  const bytes = typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
  for (let sent = 0; sent < bytes.length;) sent += await stream.write(bytes.subarray(sent));
}

export function createTerminal(): Terminal {
  return {
    out: (chunk) => writeAll(Deno.stdout, chunk),
    err: (chunk) => writeAll(Deno.stderr, chunk),
    outIsTerminal: Deno.stdout.isTerminal(),
    errIsTerminal: Deno.stderr.isTerminal(),
    columns() {
      try {
        return Deno.consoleSize().columns;
      } catch {
        return 80;
      }
    },
    env: (name) => Deno.env.get(name),
    readStdin: () => new Response(Deno.stdin.readable).text(),
    input: createInput(),
    cwd: () => Deno.cwd(),
  };
}

async function* readChunks(): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(32 * 1024);
  for (;;) {
    const count = await Deno.stdin.read(buffer);
    if (count === null) return;
    yield buffer.slice(0, count);
  }
}

/** Room for a struct termios of any libc, whose fields are of no interest here. */
const termiosSize = 256;
const TCSADRAIN = 1;

/**
 * Deno's own raw mode leaves the output's translation on (OPOST), by which full-screen programs draw stairs; it is for
 * where libc cannot be had.
 */
function makeRaw(): () => void {
  const stdin = 0;
  try {
    const { symbols } = Deno.dlopen("libc.so.6", {
      tcgetattr: { parameters: ["i32", "buffer"], result: "i32" },
      tcsetattr: { parameters: ["i32", "i32", "buffer"], result: "i32" },
      cfmakeraw: { parameters: ["buffer"], result: "void" },
    });
    const before = new Uint8Array(termiosSize);
    if (symbols.tcgetattr(stdin, before) === 0) {
      const raw = before.slice();
      symbols.cfmakeraw(raw);
      symbols.tcsetattr(stdin, TCSADRAIN, raw);
      return () => void symbols.tcsetattr(stdin, TCSADRAIN, before);
    }
  } catch {
    // No glibc here.
  }
  Deno.stdin.setRaw(true);
  return () => Deno.stdin.setRaw(false);
}

const endings = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

function listen(name: Deno.Signal, listener: () => void, signal: AbortSignal): void {
  Deno.addSignalListener(name, listener);
  signal.addEventListener("abort", () => Deno.removeSignalListener(name, listener), { once: true });
}

const createInput = (): Input => ({
  isTerminal: Deno.stdin.isTerminal(),
  chunks: readChunks,
  makeRaw,
  size() {
    try {
      return Deno.consoleSize();
    } catch {
      return undefined;
    }
  },
  onResize: (listener, signal) => listen("SIGWINCH", listener, signal),
  onEnd(listener, signal) {
    for (const name of Object.keys(endings) as (keyof typeof endings)[]) {
      listen(name, () => listener(endings[name]), signal);
    }
  },
});
