/**
 * What a path of the kubelet's API is: a row of a table with the methods it takes and who answers. Pure but for the answers.
 * Not for: who may ask (access.ts), connections (server.ts).
 */
import type { Duplex } from "node:stream";
import type { User } from "../../model/kubelet_access.ts";

export interface KubeletRequest {
  method: string;
  /** As it was sent, with its query. */
  target: string;
  /** Decoded, without its query. */
  path: string;
  query: URLSearchParams;
  /** Lower case; what was sent several times is joined by commas. */
  headers: Headers;
  /** As they were sent: name, value, name, value, …; for who passes them on. */
  rawHeaders: readonly string[];
  /** By the names in the route's path. */
  params: Readonly<Record<string, string>>;
  user: User;
  body: AsyncIterable<Uint8Array>;
  /** Aborts when the client has left, or the server stops. */
  signal: AbortSignal;
}

/** A connection that is to speak another protocol; what is answered first is the route's affair, too. */
export interface Upgrade {
  socket: Duplex;
  /** What came after the request's head. */
  head: Uint8Array;
}

export interface Route {
  /** `GET` also answers HEAD. */
  methods: readonly string[];
  /** `/exec/:namespace/:pod/:container`; `*` at the end takes the rest, which may be empty, as param `rest`. */
  path: string;
  /** Also answers requests that ask for another protocol, unless there is `upgrade`. */
  answer(request: KubeletRequest): Response | Promise<Response>;
  /** Returns an answer when it has not taken the connection. */
  upgrade?(request: KubeletRequest, upgrade: Upgrade): Promise<Response | undefined>;
}

export type Match =
  | { route: Route; params: Record<string, string> }
  /** There is the path, for these methods. */
  | { allowed: string[] }
  | undefined;

export function matchRoute(routes: readonly Route[], method: string, path: string): Match {
  const found = routes.flatMap((route) => {
    const params = paramsOf(route.path, path);
    return params === undefined ? [] : [{ route, params }];
  });
  const asked = method === "HEAD" ? "GET" : method;
  const fitting = found.find(({ route }) => route.methods.includes(asked));
  if (fitting !== undefined || found.length === 0) return fitting;
  return { allowed: [...new Set(found.flatMap(({ route }) => route.methods))] };
}

/** One slash at the end makes no difference. */
function paramsOf(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split("/");
  const given = (path.endsWith("/") && path !== "/" ? path.slice(0, -1) : path).split("/");
  const open = wanted.at(-1) === "*";
  if (open ? given.length < wanted.length - 1 : given.length !== wanted.length) return undefined;
  const params: Record<string, string> = {};
  for (const [i, word] of (open ? wanted.slice(0, -1) : wanted).entries()) {
    const part = given[i]!;
    if (!word.startsWith(":")) {
      if (word !== part) return undefined;
    } else if (part === "") return undefined;
    else params[word.slice(1)] = part;
  }
  if (open) params["rest"] = given.slice(wanted.length - 1).join("/");
  return params;
}

/** @returns undefined for one that is no path. */
export function splitTarget(target: string): { path: string; query: URLSearchParams } | undefined {
  if (!target.startsWith("/")) return undefined;
  const mark = target.indexOf("?");
  try {
    return {
      path: decodeURIComponent(mark < 0 ? target : target.slice(0, mark)),
      query: new URLSearchParams(mark < 0 ? "" : target.slice(mark + 1)),
    };
  } catch {
    return undefined;
  }
}

const plain = "text/plain; charset=utf-8";

/** An answer as the kubelet's errors are: text. */
export const text = (status: number, body: string, headers: Record<string, string> = {}): Response =>
  new Response(body, { status, headers: { "content-type": plain, ...headers } });

export const json = (body: unknown, status = 200): Response =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
