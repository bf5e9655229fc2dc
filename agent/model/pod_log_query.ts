/**
 * The query of the kubelet's /containerLogs, read as the kubelet reads it: what Go's parameter codec takes, then what
 * v1.PodLogOptions allows. Pure. Not for: our own stricter reading, which names what is wrong (cri_log.ts).
 */
import type { LogOptions } from "./cri_log.ts";

/** What the kubelet answers to a query that it cannot take. */
export interface BadLogQuery {
  status: 400 | 422;
  message: string;
}

/** RFC 3339, as metav1.Time is read. */
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:\d\d)$/;
const streams = new Map<string, "all" | "stdout" | "stderr">([
  ["All", "all"],
  ["Stdout", "stdout"],
  ["Stderr", "stderr"],
]);

class Undecodable extends Error {}

/** A key without a value is set; anything but false and 0 is true. */
const flag = (query: URLSearchParams, name: string): boolean =>
  query.has(name) && !/^(false|0)$/i.test(query.get(name)!);

function whole(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^[+-]?\d{1,19}$/.test(text) || Math.abs(Number(text)) >= 2 ** 63) throw new Undecodable();
  return Number(text);
}

function moment(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  const at = Date.parse(text.replace(",", "."));
  if (!time.test(text) || Number.isNaN(at)) throw new Undecodable();
  return at;
}

/** `tail` is the old name of tailLines; with "all" it is as if not given. */
function tailOf(query: URLSearchParams): number | undefined {
  const old = query.get("tail");
  if (old === null || old === "") return whole(query, "tailLines");
  return old === "all" ? undefined : whole(new URLSearchParams({ tail: old }), "tail");
}

/** @param now milliseconds since the epoch */
export function parsePodLogQuery(query: URLSearchParams, now: number): LogOptions | BadLogQuery {
  try {
    return decode(query, now);
  } catch (error) {
    if (!(error instanceof Undecodable)) throw error;
    return { status: 400, message: '{"message": "Unable to decode query."}' };
  }
}

function decode(query: URLSearchParams, now: number): LogOptions | BadLogQuery {
  const tailLines = tailOf(query);
  const sinceSeconds = whole(query, "sinceSeconds");
  const sinceTime = moment(query, "sinceTime");
  const limitBytes = whole(query, "limitBytes");
  const stream = streams.get(query.get("stream") || "All");
  const below = (value: number | undefined, least: number) => value !== undefined && value < least;
  const wrong = below(tailLines, 0) || below(limitBytes, 1) || below(sinceSeconds, 1) ||
    (sinceSeconds !== undefined && sinceTime !== undefined) ||
    stream === undefined || (stream !== "all" && tailLines !== undefined);
  if (wrong) return { status: 422, message: '{"message": "Invalid request."}' };
  const sinceMs = sinceSeconds === undefined ? sinceTime : now - sinceSeconds * 1000;
  return {
    follow: flag(query, "follow"),
    timestamps: flag(query, "timestamps"),
    previous: flag(query, "previous"),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(stream === "all" ? {} : { stream }),
  };
}
