/** The real terminal of this program: standard streams, environment. Not for: what is printed. */
import type { Terminal } from "./io.ts";

async function writeAll(stream: { write(bytes: Uint8Array): Promise<number> }, chunk: string | Uint8Array) {
  const bytes = typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
  for (let sent = 0; sent < bytes.length;) sent += await stream.write(bytes.subarray(sent));
}

export function createTerminal(): Terminal {
  return {
    out: (chunk) => writeAll(Deno.stdout, chunk),
    err: (text) => writeAll(Deno.stderr, text),
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
    cwd: () => Deno.cwd(),
  };
}
