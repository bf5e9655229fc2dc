/**
 * One GET of HTTP/1.1 on a connection of its own: status and Location are kept, of the body no more than the beginning.
 * Certificates are not verified, as the kubelet does not: a probe asks an address, and the pod is trusted by nobody.
 * Not for: fetching anything. Source: RFC 9112.
 */

export interface Answer {
  status: number;
  location?: string;
  body: string;
}

interface Wire {
  write(bytes: Uint8Array): Promise<void>;
  /** The bytes are valid until the next read. undefined: the other side has closed. */
  read(): Promise<Uint8Array | undefined>;
  close(): void;
}

const MAX_HEAD = 64 * 1024;
/** Read so that a server can finish its answer before the connection goes; as much as the kubelet reads. */
const MAX_BODY = 10 * 1024;

/** Throws when no answer came that HTTP knows. */
export async function get(
  url: URL,
  headers: readonly { name: string; value: string }[],
  signal: AbortSignal,
): Promise<Answer> {
  const request = requestText(url, headers);
  const wire = await (url.protocol === "https:" ? openTls(url, signal) : openTcp(url, signal));
  signal.addEventListener("abort", wire.close);
  try {
    signal.throwIfAborted();
    await wire.write(encoder.encode(request));
    const { head, rest } = await readHead(wire);
    const answer = parseHead(head);
    const body = await readBody(wire, head, rest);
    return { ...answer, body: utf8(body.slice(0, MAX_BODY)) };
  } finally {
    signal.removeEventListener("abort", wire.close);
    wire.close();
  }
}

const hostOf = (url: URL) => url.hostname.replace(/^\[|\]$/g, "");
const portOf = (url: URL) => Number(url.port || (url.protocol === "https:" ? 443 : 80));

async function openTcp(url: URL, signal: AbortSignal): Promise<Wire> {
  const conn = await Deno.connect({ hostname: hostOf(url), port: portOf(url), signal });
  const buffer = new Uint8Array(4096);
  let open = true;
  return {
    async write(bytes) {
      for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
    },
    async read() {
      const n = await conn.read(buffer);
      return n === null ? undefined : buffer.subarray(0, n);
    },
    close() {
      if (open) conn.close();
      open = false;
    },
  };
}

/** Deno's own TLS always verifies. */
async function openTls(url: URL, signal: AbortSignal): Promise<Wire> {
  const tls = await import("node:tls");
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = tls.connect(
    { host: hostOf(url), port: portOf(url), rejectUnauthorized: false },
    () => resolve(),
  );
  const quit = () => socket.destroy(new Error("aborted"));
  signal.addEventListener("abort", quit);
  socket.on("error", reject);
  try {
    await promise;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", quit);
  }
  const chunks = socket[Symbol.asyncIterator]();
  return {
    write: (bytes) =>
      new Promise((done, fail) =>
        socket.write(bytes, (error?: Error | null) => error ? fail(error) : done())
      ),
    async read() {
      const { done, value } = await chunks.next();
      return done === true ? undefined : value as Uint8Array;
    },
    close: () => void socket.destroy(),
  };
}

/** As every question of ours calls itself, whatever the protocol. */
export const USER_AGENT = "kube-probe/1.36";

/** What the prober says by itself: once, or not at all. */
const OWN = new Set(["host", "user-agent", "content-length", "transfer-encoding", "trailer"]);

/** As Go's client: a Host stands instead of the address, and User-Agent or Accept given empty are left out. */
function requestText(url: URL, headers: readonly { name: string; value: string }[]): string {
  for (const { name, value } of headers) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || /[\r\n\0]/.test(value)) {
      throw new Error(`"${name}" is not a header that can be sent`);
    }
  }
  const given = (name: string) => headers.find((h) => h.name.toLowerCase() === name)?.value;
  const own = [
    ["Host", given("host") || url.host],
    ["User-Agent", given("user-agent") ?? USER_AGENT],
    ["Accept", given("accept") === undefined ? "*/*" : ""],
  ].filter(([, value]) => value !== "");
  const more = headers.filter(({ name, value }) =>
    !OWN.has(name.toLowerCase()) && (value !== "" || name.toLowerCase() !== "accept")
  );
  const lines = [...own, ...more.map((h) => [h.name, h.value])].map(([name, value]) => `${name}: ${value}`);
  return [`GET ${url.pathname}${url.search} HTTP/1.1`, ...lines, "Connection: close", "", ""].join("\r\n");
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("latin1");
const text = (bytes: Uint8Array) => decoder.decode(bytes);
const utf8 = (latin1: string) => new TextDecoder().decode(Uint8Array.from(latin1, (c) => c.charCodeAt(0)));

/** The final status line and headers, and what came of the body with them; interim answers are passed over. */
async function readHead(wire: Wire): Promise<{ head: string; rest: string }> {
  let seen = "";
  for (;;) {
    const end = /\r?\n\r?\n/.exec(seen);
    if (end !== null) {
      const [head, rest] = [seen.slice(0, end.index), seen.slice(end.index + end[0].length)];
      if (!/^HTTP\/1\.\d 1(?!01)\d\d/.test(head)) return { head, rest };
      seen = rest;
      continue;
    }
    if (seen.length >= 5 && !seen.startsWith("HTTP/")) throw new Error("malformed HTTP response");
    if (seen.length > MAX_HEAD) throw new Error(`the answer's headers are longer than ${MAX_HEAD} bytes`);
    const bytes = await wire.read();
    if (bytes === undefined) throw new Error(seen === "" ? "EOF" : "unexpected EOF");
    seen += text(bytes);
  }
}

const headerOf = (head: string, name: string) =>
  new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*\\r?$`, "im").exec(head)?.[1];

function parseHead(head: string): Omit<Answer, "body"> {
  const status = /^HTTP\/1\.\d (\d{3})(?: |\r|\n|$)/.exec(head)?.[1];
  if (status === undefined) {
    throw new Error(`malformed HTTP status line "${head.slice(0, 60).split("\r")[0]}"`);
  }
  const location = headerOf(head, "location");
  return { status: Number(status), ...(location === undefined ? {} : { location }) };
}

async function readBody(wire: Wire, head: string, rest: string): Promise<string> {
  const status = Number(head.slice(9, 12));
  if (status < 200 || status === 204 || status === 304) return "";
  const length = Number(headerOf(head, "content-length") ?? Infinity);
  const chunked = /chunked/i.test(headerOf(head, "transfer-encoding") ?? "");
  let body = rest;
  while (body.length < Math.min(length, MAX_BODY) && !(chunked && /(^|\n)0\r\n\r\n$/.test(body.slice(-8)))) {
    const bytes = await wire.read();
    if (bytes === undefined) break;
    body += text(bytes);
  }
  return chunked ? withoutChunks(body) : body;
}

function withoutChunks(body: string): string {
  let content = "";
  for (let at = 0;;) {
    const size = /^([0-9a-f]+)[^\n]*\n/i.exec(body.slice(at, at + 100));
    const length = parseInt(size?.[1] ?? "0", 16);
    if (size === null || length === 0) return content;
    at += size[0].length;
    content += body.slice(at, at + length);
    at += length + 2;
  }
}
