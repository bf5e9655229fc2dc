/** A Response onto Node's connections, as fast as the reader takes it. Not for: what it says. */
import type http from "node:http";
import type { Duplex } from "node:stream";
import { concatBytes } from "../../lib/bytes.ts";

/** Ends the body's source when the reader has left. */
export async function send(to: http.ServerResponse, answer: Response, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return void await answer.body?.cancel();
  to.writeHead(answer.status, [...answer.headers].flat());
  if (answer.body === null || to.req.method === "HEAD") {
    await answer.body?.cancel();
    return void to.end();
  }
  to.flushHeaders();
  const reader = answer.body.getReader();
  const leave = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", leave, { once: true });
  let sent = Promise.withResolvers<void>();
  sent.resolve();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) break;
      // Of a write of nothing the platform never says that it went out.
      if (value.length === 0) continue;
      sent = Promise.withResolvers();
      if (!to.write(value, () => sent.resolve())) await drained(to, signal);
    }
    // The API server loses the last bytes of a log on its way to a WebSocket when the end comes along with them.
    if (!signal.aborted) await Promise.race([sent.promise, left(signal)]);
    to.end();
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

function left(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}

function drained(to: http.ServerResponse, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const over = () => {
    to.off("drain", over);
    signal.removeEventListener("abort", over);
    resolve();
  };
  to.on("drain", over);
  signal.addEventListener("abort", over, { once: true });
  return promise;
}

const reasons: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** The whole answer, and the end of the connection. */
export async function refuseUpgrade(socket: Duplex, answer: Response): Promise<void> {
  const body = new Uint8Array(await answer.arrayBuffer());
  const lines = [
    `HTTP/1.1 ${answer.status} ${reasons[answer.status] ?? "Error"}`,
    ...[...answer.headers].map(([name, value]) => `${name}: ${value}`),
    `content-length: ${body.length}`,
    "connection: close",
  ];
  // In one piece: Deno's connections do not say good-bye after a write of nothing.
  socket.end(concatBytes([new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n"), body]));
}
