/**
 * Whether a gRPC server lives behind a unix socket, asked with the first frames of HTTP/2 alone (RFC 9113, 3.4): a
 * process that hangs accepts connections too, but does not answer. Not for: calls; those are in plugins/rpc.
 */

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** A frame without payload: 3 bytes length, type 4 (SETTINGS), flags, 4 bytes stream. */
const SETTINGS = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0);
const SETTINGS_ACK = Uint8Array.of(0, 0, 0, 4, 1, 0, 0, 0, 0);
const FRAME_HEADER = 9;
const SETTINGS_TYPE = 4;

async function readExactly(connection: Deno.Conn, length: number): Promise<Uint8Array | undefined> {
  const buffer = new Uint8Array(length);
  let have = 0;
  while (have < length) {
    const n = await connection.read(buffer.subarray(have));
    if (n === null) return undefined;
    have += n;
  }
  return buffer;
}

/** Connects and waits for the server's SETTINGS. `undefined` when nobody answers before the signal aborts. */
async function open(socket: string, signal: AbortSignal): Promise<Deno.Conn | undefined> {
  let connection: Deno.Conn | undefined;
  const close = () => closeQuietly(connection);
  signal.addEventListener("abort", close);
  try {
    connection = await Deno.connect({ transport: "unix", path: socket });
    if (signal.aborted) throw signal.reason;
    await connection.write(Uint8Array.of(...PREFACE, ...SETTINGS));
    const header = await readExactly(connection, FRAME_HEADER);
    if (header?.[3] !== SETTINGS_TYPE) throw new Error("no HTTP/2 server");
    await readExactly(connection, header[0]! << 16 | header[1]! << 8 | header[2]!);
    await connection.write(SETTINGS_ACK);
    return connection;
  } catch {
    close();
    return undefined;
  } finally {
    signal.removeEventListener("abort", close);
  }
}

function closeQuietly(connection: Deno.Conn | undefined): void {
  try {
    connection?.close();
  } catch {
    // closed already
  }
}

/** Whether a gRPC server answers on the socket before the signal aborts. */
export async function answers(socket: string, signal: AbortSignal): Promise<boolean> {
  const connection = await open(socket, signal);
  closeQuietly(connection);
  return connection !== undefined;
}

/** Resolves when the server behind the socket closes an idle connection: at once when it dies. Or with the signal. */
export async function untilClosed(socket: string, signal: AbortSignal): Promise<void> {
  const connection = await open(socket, signal);
  if (connection === undefined) return;
  const close = () => closeQuietly(connection);
  signal.addEventListener("abort", close);
  const ignored = new Uint8Array(256);
  try {
    while (await connection.read(ignored) !== null);
  } catch {
    // reset by the peer, or closed by the signal
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
}
