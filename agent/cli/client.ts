/** The client of the local API: JSON and streams over the agent's unix socket. Not for: showing what it gets. */
import { errorText } from "../model/errors.ts";
import { CommandError } from "./command.ts";

export interface ApiClient {
  /** The JSON at this path. Throws CommandError with the API's own message. */
  get<T>(path: string, signal: AbortSignal): Promise<T>;
  /** POSTs, and returns the JSON of the answer. Throws CommandError with the API's own message. */
  post<T>(path: string, body: unknown, signal: AbortSignal): Promise<T>;
  text(path: string, signal: AbortSignal): Promise<string>;
  /** The body as it comes; ends when the server ends it or the signal aborts. */
  bytes(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array>;
  /** JSON lines as they come; with a body it is a POST. */
  lines<T>(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<T>;
  /** POSTs, and returns the URL that the answer redirects to. */
  redirect(path: string, signal: AbortSignal): Promise<string>;
  close(): void;
}

/** Nobody answers on the socket: what that means and what to try. */
export async function whyUnreachable(socket: string): Promise<string> {
  const start = "start it with 'agent run' (or 'systemctl start agent')";
  const other = "an agent with another socket is named with --socket or AGENT_SOCKET";
  try {
    (await Deno.connect({ transport: "unix", path: socket })).close();
    return `the agent on ${socket} broke the connection`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return `no agent runs here (${socket} does not exist): ${start}; ${other}`;
    }
    if (error instanceof Deno.errors.ConnectionRefused) {
      return `the agent on ${socket} has stopped: ${start}; ${other}`;
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      return `${socket} may only be used by its owner: try again with sudo`;
    }
    return `cannot reach the agent on ${socket}: ${errorText(error)}`;
  }
}

/** The message of a v1 Status, or of whatever else came. */
async function refusal(response: Response): Promise<CommandError> {
  const text = await response.text();
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null && "message" in body) {
      return new CommandError(String(body.message));
    }
  } catch {
    // Not JSON: the text itself is the best there is.
  }
  return new CommandError(text.trim() === "" ? `the agent answered ${response.status}` : text.trim());
}

async function* chunksOf(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  // A read that the signal interrupts may never return; a cancelled reader does.
  const cancel = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel, { once: true });
  try {
    while (!signal.aborted) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    signal.removeEventListener("abort", cancel);
    cancel();
  }
}

export function createApiClient(socket: string): ApiClient {
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  const request = async (path: string, init: RequestInit, signal: AbortSignal): Promise<Response> => {
    let response: Response;
    try {
      // An address, because fetch looks up a name although the connection goes to the socket.
      response = await fetch(`http://127.0.0.1${path}`, { ...init, client, signal });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new CommandError(await whyUnreachable(socket));
    }
    if (!response.ok && response.status !== 302) throw await refusal(response);
    return response;
  };
  const bytes = async function* (path: string, init: RequestInit, signal: AbortSignal) {
    const response = await request(path, init, signal);
    if (response.body !== null) yield* chunksOf(response.body, signal);
  };
  return {
    get: async <T>(path: string, signal: AbortSignal) => await (await request(path, {}, signal)).json() as T,
    post: async <T>(path: string, body: unknown, signal: AbortSignal) =>
      await (await request(path, { method: "POST", body: JSON.stringify(body) }, signal)).json() as T,
    text: async (path, signal) => await (await request(path, {}, signal)).text(),
    bytes: (path, signal) => bytes(path, {}, signal),
    async *lines<T>(path: string, body: unknown, signal: AbortSignal) {
      const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
      const decoder = new TextDecoder();
      let rest = "";
      for await (const chunk of bytes(path, init, signal)) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = lines.pop()!;
        for (const line of lines) yield JSON.parse(line) as T;
      }
    },
    async redirect(path, signal) {
      const response = await request(path, { method: "POST", redirect: "manual" }, signal);
      await response.body?.cancel();
      const location = response.headers.get("location");
      if (location === null) {
        throw new CommandError(`${path}: expected a redirect, found status ${response.status}`);
      }
      return location;
    },
    close: () => client.close(),
  };
}
