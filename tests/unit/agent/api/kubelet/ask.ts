/** Asks routes of the kubelet's API as its server does, without one. */
import type { Duplex } from "node:stream";
import { type KubeletRequest, matchRoute, type Route } from "../../../../../agent/api/kubelet/routes.ts";

async function* nothing(): AsyncGenerator<Uint8Array> {}

export interface Asked {
  method?: string;
  headers?: Record<string, string>;
  /** Asks for an upgrade on this connection. */
  socket?: Duplex;
  signal?: AbortSignal;
}

/** The answer; 404 and 405 where there is no such route, 101 when it has taken the connection. */
export async function ask(routes: readonly Route[], target: string, o: Asked = {}): Promise<Response> {
  const { pathname: path, searchParams: query } = new URL(target, "https://node");
  const { method = "GET", signal = new AbortController().signal } = o;
  const match = matchRoute(routes, method, path);
  if (match === undefined) return new Response("", { status: 404 });
  if ("allowed" in match) return new Response(match.allowed.join(), { status: 405 });
  const request: KubeletRequest = {
    method,
    target,
    path,
    query,
    headers: new Headers(o.headers),
    rawHeaders: Object.entries(o.headers ?? {}).flat(),
    params: match.params,
    user: { name: "test", groups: [] },
    body: nothing(),
    signal,
  };
  if (o.socket === undefined || match.route.upgrade === undefined) return await match.route.answer(request);
  const answer = await match.route.upgrade(request, { socket: o.socket, head: new Uint8Array() });
  return answer ?? new Response("taken");
}

/** Status and text of the answer. */
export async function told(
  routes: readonly Route[],
  target: string,
  o: Asked = {},
): Promise<[number, string]> {
  const answer = await ask(routes, target, o);
  return [answer.status, await answer.text()];
}
