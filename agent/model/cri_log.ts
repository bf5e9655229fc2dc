/**
 * The CRI log format, pure: bytes of a log file -> entries -> what a reader is shown. A line is
 * `TIME STREAM TAG CONTENT`, TAG `P` when the runtime cut a long line and more of it follows, `F` when it ends here
 * (CRI "Container log format"). Not for: reading files (agent/api/logs.ts).
 */

export interface LogEntry {
  /** RFC 3339 with nanoseconds, as the runtime wrote it. */
  time: string;
  stream: "stdout" | "stderr";
  /** True when the rest of the line follows in a later entry of the same stream. */
  partial: boolean;
  content: Uint8Array;
}

/** One line of a container's output, its parts joined. */
export interface LogLine {
  /** When its first part was written. */
  time: string;
  stream: "stdout" | "stderr";
  content: Uint8Array;
  /** True when the output stopped in the middle of the line: no newline was ever written. */
  unfinished: boolean;
}

/** A line that never ends is shown in pieces of this size, so that memory stays bounded. */
const maxLine = 1024 * 1024;
const newline = 10;
const space = 32;
const decoder = new TextDecoder();

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** One line of the file without its newline; `undefined` when it is not in the format (a crash cut it, or a stranger wrote it). */
export function parseLogEntry(line: Uint8Array): LogEntry | undefined {
  const first = line.indexOf(space);
  const second = line.indexOf(space, first + 1);
  if (first <= 0 || second < 0) return undefined;
  const third = line.indexOf(space, second + 1);
  const time = decoder.decode(line.subarray(0, first));
  const stream = decoder.decode(line.subarray(first + 1, second));
  const tags = decoder.decode(line.subarray(second + 1, third < 0 ? line.length : third));
  if (Number.isNaN(Date.parse(time)) || (stream !== "stdout" && stream !== "stderr")) return undefined;
  // Tags are separated by colons; the first says partial or full, others are for the future.
  const tag = tags.split(":")[0];
  if (tag !== "P" && tag !== "F") return undefined;
  const content = third < 0 ? new Uint8Array() : line.slice(third + 1);
  return { time, stream, partial: tag === "P", content };
}

export interface LogParser {
  /** Lines that are complete with these further bytes of the file. */
  push(bytes: Uint8Array): LogLine[];
  /** What is left when the file has ended. */
  end(): LogLine[];
}

/** Joins bytes to entries and entries to lines, per stream, so that stderr never lands inside a long line of stdout. */
export function createLogParser(): LogParser {
  let rest: Uint8Array[] = [];
  const open = new Map<string, { time: string; parts: Uint8Array[]; size: number }>();
  const take = (entry: LogEntry): LogLine[] => {
    const held = open.get(entry.stream) ?? { time: entry.time, parts: [], size: 0 };
    held.parts.push(entry.content);
    held.size += entry.content.length;
    if (entry.partial && held.size < maxLine) {
      open.set(entry.stream, held);
      return [];
    }
    open.delete(entry.stream);
    return [{
      time: held.time,
      stream: entry.stream,
      content: concatBytes(held.parts),
      unfinished: entry.partial,
    }];
  };
  const takeLine = (line: Uint8Array): LogLine[] => {
    const entry = parseLogEntry(line);
    return entry === undefined ? [] : take(entry);
  };
  return {
    push(bytes) {
      const lines: LogLine[] = [];
      let from = 0;
      for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, from)) {
        lines.push(...takeLine(concatBytes([...rest, bytes.subarray(from, at)])));
        rest = [];
        from = at + 1;
      }
      if (from < bytes.length) rest.push(bytes.slice(from));
      return lines;
    },
    end() {
      const last = rest.length === 0 ? [] : takeLine(concatBytes(rest));
      rest = [];
      const unfinished = [...open].map(([stream, held]): LogLine => ({
        time: held.time,
        stream: stream as LogLine["stream"],
        content: concatBytes(held.parts),
        unfinished: true,
      }));
      open.clear();
      return [...last, ...unfinished];
    },
  };
}

/** What the reader of a log asked for; the names are the kubelet's query parameters. */
export interface LogOptions {
  follow: boolean;
  /** Only the last so many lines. */
  tailLines?: number;
  /** Only lines written at or after this time, milliseconds since the epoch. */
  sinceMs?: number;
  timestamps: boolean;
  /** Stop after so many bytes of output. */
  limitBytes?: number;
  /** Only this one; both when absent. */
  stream?: LogEntry["stream"];
  /** The container before its last restart. */
  previous: boolean;
}

const encoder = new TextEncoder();

/** The bytes that a reader sees of one line. */
export function renderLogLine(line: LogLine, timestamps: boolean): Uint8Array {
  const prefix = timestamps ? [encoder.encode(line.time + " ")] : [];
  const suffix = line.unfinished ? [] : [new Uint8Array([newline])];
  return concatBytes([...prefix, line.content, ...suffix]);
}

/** Reads the query of a log request. Every wrong value is named in `problems`. */
export function parseLogOptions(
  query: Readonly<Record<string, string>>,
  now: number,
): { options: LogOptions; problems: string[] } {
  const problems: string[] = [];
  const flag = (name: string) => {
    const value = query[name];
    if (value === undefined || value === "" || value === "false" || value === "0") return false;
    if (value !== "true" && value !== "1") problems.push(`${name}: expected true or false, found "${value}"`);
    return true;
  };
  const count = (name: string, least: number) => {
    const value = query[name];
    if (value === undefined) return undefined;
    const number = Number(value);
    if (/^\d+$/.test(value) && Number.isSafeInteger(number) && number >= least) return number;
    problems.push(`${name}: expected a whole number of at least ${least}, found "${value}"`);
    return undefined;
  };
  const sinceSeconds = count("sinceSeconds", 1);
  const sinceTime = query.sinceTime === undefined ? undefined : Date.parse(query.sinceTime);
  if (sinceTime !== undefined && Number.isNaN(sinceTime)) {
    problems.push(`sinceTime: expected a time like 2006-01-02T15:04:05Z, found "${query.sinceTime}"`);
  }
  if (sinceSeconds !== undefined && sinceTime !== undefined) {
    problems.push("sinceSeconds and sinceTime: expected at most one of them");
  }
  const sinceMs = sinceSeconds === undefined ? sinceTime : now - sinceSeconds * 1000;
  const tailLines = count("tailLines", 0);
  const limitBytes = count("limitBytes", 1);
  const options: LogOptions = {
    follow: flag("follow"),
    timestamps: flag("timestamps"),
    previous: flag("previous"),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(sinceMs === undefined ? {} : { sinceMs }),
  };
  return { options, problems };
}
