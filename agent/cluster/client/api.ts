/**
 * Asks an API server: JSON, a deadline for each request, typed errors, tries again where that is safe. Source: Kubernetes'
 * API concepts. Not for: keeping up with a collection (watch_objects.ts).
 */
import type { Listeners } from "../../lib/listeners.ts";
import { pause } from "../../lib/pause.ts";
import { ApiError, errorOfAnswer } from "./api_error.ts";
import { eachLine, wholeBody } from "./answer_body.ts";
import type { Connection, Identity, Lane } from "./client.ts";
import { retryPause } from "./retry.ts";

export interface Asked {
  /** Default GET. */
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** `/api/v1/nodes/box` */
  path: string;
  query?: Readonly<Record<string, string>>;
  /** Written as JSON. */
  body?: unknown;
  /** Of a patch; default application/json. */
  contentType?: string;
  /** Of all tries together, in ms; default 30 seconds. */
  deadline?: number;
  signal: AbortSignal;
}

export interface Watched extends Pick<Asked, "path" | "query" | "signal"> {
  /** Called when the server has agreed. */
  opened?(): void;
}

export interface Api {
  /** The answer's JSON. @throws {ApiError}, or the signal's reason when it aborts. */
  ask(asked: Asked): Promise<unknown>;
  /** Calls with each event; ends with the server's stream, or when the signal aborts. @throws {ApiError} */
  watch(asked: Watched, take: (event: unknown) => void): Promise<void>;
  /** Tells that the server answers again, having been silent. Absent where nobody notices. */
  back?: Listeners<void>;
  close(): void;
}

/** Where the identity comes from: files, a plugin. */
export interface Credentials {
  /** The same object until it changes. @throws {ApiError} Unauthorized when there is none. */
  identity(signal: AbortSignal): Promise<Identity>;
  /** The server took the identity for nobody's: get another if there is a way. */
  refused(identity: Identity): void;
}

export interface ApiOptions {
  connection: Connection;
  credentials: Credentials;
  /** In [0, 1). */
  random?: () => number;
  /** In ms. */
  limits?: Partial<Limits>;
}

interface Limits {
  /** Until the head of an answer comes. */
  head: number;
  /** Of a watch; the server sends a bookmark each minute. */
  silence: number;
}

const ordinary: Limits = { head: 10_000, silence: 150_000 };
const largestAnswer = 64 * 1024 * 1024;
const largestEvent = 8 * 1024 * 1024;

export function createApi(options: ApiOptions): Api {
  const { connection, random = Math.random } = options;
  const limits = { ...ordinary, ...options.limits };
  const head = (lane: Lane, asked: Asked, ending: AbortSignal) =>
    headOf(lane, options.credentials, asked, limits.head, ending);

  async function once(asked: Asked, ending: AbortSignal): Promise<unknown> {
    using lane = connection.lane();
    const response = await head(lane, asked, ending);
    const text = await wholeBody(response, { size: largestAnswer, silence: limits.head }, ending);
    return response.ok ? parseJson(text) : refuse(response, text);
  }

  return {
    async ask(asked) {
      const { method = "GET", deadline = 30_000, signal } = asked;
      const time = AbortSignal.timeout(deadline);
      const ending = AbortSignal.any([signal, time]);
      for (let attempt = 0;; attempt++) {
        try {
          return await once(asked, ending);
        } catch (error) {
          signal.throwIfAborted();
          const mended = asApiError(error, asked, time.aborted);
          if (mended.reason === "Unreachable" || mended.reason === "DeadlineExceeded") connection.renew();
          const ms = time.aborted
            ? undefined
            : retryPause(mended, { reads: method === "GET", attempt }, random());
          if (ms === undefined || ms > deadline) throw mended;
          await pause(ms, ending);
          if (time.aborted) throw mended;
        }
      }
    },
    async watch({ path, query = {}, signal, opened }, take) {
      const asked: Asked = { path, query: { ...query, watch: "true" }, signal };
      try {
        using lane = connection.lane();
        const response = await head(lane, asked, signal);
        if (!response.ok) {
          refuse(response, await wholeBody(response, { size: largestAnswer, silence: limits.head }, signal));
        }
        opened?.();
        const body = { size: largestEvent, silence: limits.silence };
        await eachLine(response, body, signal, (line) => take(parseJson(line)));
      } catch (error) {
        if (signal.aborted) return;
        const mended = asApiError(error, asked, false);
        if (mended.reason === "DeadlineExceeded" || mended.reason === "Unreachable") connection.renew();
        throw mended;
      }
    },
    close: () => connection.close(),
  };
}

/** With the credentials of now; those that are refused are replaced once. */
async function headOf(
  lane: Lane,
  credentials: Credentials,
  { method = "GET", path, query = {}, body, contentType = "application/json" }: Asked,
  ms: number,
  ending: AbortSignal,
): Promise<Response> {
  const search = new URLSearchParams(query).toString();
  const sent = {
    method,
    path: search === "" ? path : `${path}?${search}`,
    headers: {
      accept: "application/json",
      "user-agent": "agent",
      ...(body === undefined ? {} : { "content-type": contentType }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  };
  const send = (identity: Identity) =>
    withinTime(ms, ending, (signal) => lane.send(identity, { ...sent, signal }));
  const identity = await credentials.identity(ending);
  const response = await send(identity);
  if (response.status !== 401) return response;
  credentials.refused(identity);
  const another = await credentials.identity(ending);
  if (another === identity) return response;
  await response.body?.cancel();
  return await send(another);
}

/**
 * The platform has been seen to miss an abort: whoever waits here does not. Nothing is left at `ending`, which may last as
 * long as the agent.
 */
async function withinTime<T>(
  ms: number,
  ending: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  ending.throwIfAborted();
  const own = new AbortController();
  const { promise, reject } = Promise.withResolvers<never>();
  const leave = (why: unknown) => {
    reject(why);
    own.abort(why);
  };
  const onAbort = () => leave(ending.reason);
  ending.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(() => leave(noAnswer(ms)), ms);
  try {
    return await Promise.race([work(own.signal), promise]);
  } finally {
    clearTimeout(timer);
    ending.removeEventListener("abort", onAbort);
  }
}

const noAnswer = (ms: number) =>
  new ApiError(
    0,
    "DeadlineExceeded",
    `the API server did not answer within ${Math.round(ms / 1000)} seconds`,
  );

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ApiError(0, "Malformed", "the API server's answer is not JSON", { cause });
  }
}

function refuse(response: Response, text: string): never {
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy or load balancer answered in its own words.
  }
  throw errorOfAnswer(response.status, body, response.headers.get("retry-after"));
}

function asApiError(error: unknown, { method = "GET", path }: Asked, late: boolean): ApiError {
  if (late) {
    return new ApiError(0, "DeadlineExceeded", `${method} ${path} was not answered in time`, {
      cause: error,
    });
  }
  if (error instanceof ApiError) return error;
  const why = rootOf(error);
  return new ApiError(0, "Unreachable", `the API server cannot be reached: ${why}`, { cause: error });
}

/** What the platform says first is only that a request failed. */
function rootOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause !== undefined) return rootOf(cause);
  return error instanceof Error ? error.message : String(error);
}
