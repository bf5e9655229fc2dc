/** A Response onto Node's connections, as fast as the reader takes it. Not for: what it says. */
import type http from "node:http";
import type net from "node:net";
import type { Duplex } from "node:stream";

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
  let sent = Promise.withResolvers<void>();
  sent.resolve();
  const leave = () => {
    sent.resolve();
    reader.cancel().catch(() => {});
  };
  signal.addEventListener("abort", leave, { once: true });
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
    if (!signal.aborted) await sent.promise;
    to.end();
  } finally {
    signal.removeEventListener("abort", leave);
  }
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

/** The same, and the end of a connection that was to speak another protocol. */
export async function answerUpgrade(
  request: http.IncomingMessage,
  socket: Duplex,
  answer: Response,
  signal: AbortSignal,
): Promise<void> {
  const { ServerResponse } = await import("node:http");
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as net.Socket);
  response.on("finish", () => (socket as net.Socket).destroySoon());
  await send(response, answer, signal);
}
