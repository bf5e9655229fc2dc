/** One request and its answer, free of the HTTP server that carries them. */
import type { User } from "./authenticate.ts";
import { badRequest, unsupported } from "./errors.ts";
import { isObject, type Json } from "./objects.ts";

export interface Call {
  method: string;
  path: string;
  query: URLSearchParams;
  header(name: string): string | undefined;
  user: User;
  /** At most 3 MiB. */
  body(): Promise<string>;
  /** Aborts when the client leaves or the double stops. */
  signal: AbortSignal;
}

export type Answer =
  | { status: number; json: unknown; headers?: Record<string, string> }
  | { status: number; text: string; type: string }
  /** Each item is one event, written as a line. */
  | { events: AsyncIterable<unknown> };

export const ok = (json: unknown, status = 200): Answer => ({ status, json });

/** The body as a JSON object; an empty one where there is none. @throws {ApiError} 400, 415 */
export async function jsonBody(call: Call): Promise<Json> {
  if (/protobuf|cbor/.test(call.header("content-type") ?? "")) throw unsupported("application/json");
  const value = parseJson(await call.body());
  if (!isObject(value)) throw badRequest("expected a JSON object");
  return value;
}

export function parseJson(text: string): unknown {
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(
      `the object provided is unrecognized (must be of type JSON): ${(error as Error).message}`,
    );
  }
}
