/**
 * A session with the runtime's streaming server: the connection to the URL that the agent named, upgraded to SPDY.
 * Over WebSocket, which these servers speak too, the input cannot be ended before version 5 of the protocol
 * (containerd 1.x has 4), and `agent exec -i POD -- sha256sum <file` would never end; SPDY is what every runtime has,
 * as it is the kubelet's own way to it. Not for: what the streams of a session mean.
 */
import { CommandError } from "./command.ts";
import { errorText } from "../model/errors.ts";
import { createSpdySession, type SpdySession } from "../lib/spdy/session.ts";

const longestHead = 16 * 1024;

/**
 * @param url from the agent: `http://127.0.0.1:PORT/exec/TOKEN`
 * @param protocol of the streams: `v4.channel.k8s.io`, `portforward.k8s.io`
 */
export async function openSession(url: string, protocol: string, signal: AbortSignal): Promise<SpdySession> {
  const { protocol: scheme, hostname, port, pathname, search, host } = new URL(url);
  if (scheme !== "http:") {
    throw new CommandError(`the runtime streams over ${scheme}//, which is not supported: expected http://`);
  }
  const connection = await connect(hostname.replace(/^\[|\]$/g, ""), Number(port || 80));
  let closed = false;
  const close = () => {
    if (!closed) connection.close();
    closed = true;
  };
  try {
    await writeAll(
      connection,
      [
        `POST ${pathname}${search} HTTP/1.1`,
        `Host: ${host}`,
        "Connection: Upgrade",
        "Upgrade: SPDY/3.1",
        `X-Stream-Protocol-Version: ${protocol}`,
        "Content-Length: 0",
        "\r\n",
      ].join("\r\n"),
    );
    const { head, rest } = await readHead(connection);
    if (!/^HTTP\/1\.1 101 /.test(head)) throw new CommandError(await refusal(connection, head, rest));
    connection.setNoDelay(true);
    signal.addEventListener("abort", close, { once: true });
    const wire = {
      read: (buffer: Uint8Array) => connection.read(buffer),
      write: (bytes: Uint8Array) => connection.write(bytes),
      close,
    };
    return createSpdySession(wire, rest);
  } catch (error) {
    close();
    throw error;
  }
}

async function connect(hostname: string, port: number): Promise<Deno.TcpConn> {
  try {
    return await Deno.connect({ hostname, port });
  } catch (error) {
    const what = `the runtime's streaming server at ${hostname}:${port}`;
    throw new CommandError(`cannot reach ${what}: ${errorText(error)}`);
  }
}

async function writeAll(connection: Deno.Conn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

/** The answer's head, and what was read beyond it. */
async function readHead(connection: Deno.Conn): Promise<{ head: string; rest: Uint8Array }> {
  const buffer = new Uint8Array(longestHead);
  const latin1 = new TextDecoder("latin1"); // one character for each byte
  for (let size = 0; size < longestHead;) {
    const count = await connection.read(buffer.subarray(size));
    if (count === null) break;
    size += count;
    const end = latin1.decode(buffer.subarray(0, size)).indexOf("\r\n\r\n");
    if (end >= 0) {
      return { head: latin1.decode(buffer.subarray(0, end)), rest: buffer.slice(end + 4, size) };
    }
  }
  throw new CommandError("the runtime's streaming server gave no HTTP answer");
}

/** Why there was no upgrade: the status line and the beginning of the text below it. */
async function refusal(connection: Deno.Conn, head: string, rest: Uint8Array): Promise<string> {
  const buffer = new Uint8Array(1024);
  const count = rest.length > 0 ? 0 : await connection.read(buffer).catch(() => null) ?? 0;
  const text = new TextDecoder().decode(rest.length > 0 ? rest : buffer.subarray(0, count)).trim();
  return `the runtime refuses the session: ${head.split("\r\n")[0]}${text === "" ? "" : `: ${text}`}`;
}
