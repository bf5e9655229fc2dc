/** The body of an answer, whole or line by line, within limits of size and silence. Not for: what it says. */
import { concatBytes } from "../../lib/bytes.ts";
import { ApiError } from "./api_error.ts";

type Reader = ReadableStreamDefaultReader<Uint8Array>;

export interface BodyLimits {
  /** Bytes, of the whole or of one line. */
  size: number;
  /** Longest silence, in ms. */
  silence: number;
}

/** Cancelling the reader ends a read for certain, which aborting the request does not. */
async function reading<T>(
  response: Response,
  signal: AbortSignal,
  read: (reader: Reader) => Promise<T>,
): Promise<T> {
  const reader = response.body!.getReader();
  const leave = () => void reader.cancel().catch(() => {});
  if (signal.aborted) leave();
  signal.addEventListener("abort", leave, { once: true });
  try {
    return await read(reader);
  } finally {
    signal.removeEventListener("abort", leave);
    leave();
  }
}

async function next(reader: Reader, { silence }: BodyLimits): Promise<Uint8Array | undefined> {
  let silent = false;
  const timer = setTimeout(() => {
    silent = true;
    reader.cancel().catch(() => {});
  }, silence);
  try {
    const { value } = await reader.read();
    if (silent) {
      throw new ApiError(
        0,
        "DeadlineExceeded",
        `the API server was silent for ${Math.round(silence / 1000)} seconds`,
      );
    }
    return value;
  } finally {
    clearTimeout(timer);
  }
}

const tooLarge = ({ size }: BodyLimits) =>
  new ApiError(0, "Malformed", `the API server's answer is larger than ${size} bytes`);

/** @throws {ApiError} when it is too large or stays silent. */
export async function wholeBody(
  response: Response,
  limits: BodyLimits,
  signal: AbortSignal,
): Promise<string> {
  if (response.body === null) return "";
  return await reading(response, signal, async (reader) => {
    const parts: Uint8Array[] = [];
    let size = 0;
    for (let part = await next(reader, limits); part !== undefined; part = await next(reader, limits)) {
      size += part.length;
      if (size > limits.size) throw tooLarge(limits);
      parts.push(part);
    }
    return new TextDecoder().decode(concatBytes(parts));
  });
}

/**
 * Calls with each line that is complete. @returns when the body ends or the signal aborts. @throws {ApiError} when a line is
 * too large, the server stays silent, or the end comes in the middle of a line.
 */
export async function eachLine(
  response: Response,
  limits: BodyLimits,
  signal: AbortSignal,
  take: (line: string) => void,
): Promise<void> {
  if (response.body === null) return;
  await reading(response, signal, async (reader) => {
    let parts: Uint8Array[] = [];
    let size = 0;
    for (let part = await next(reader, limits); part !== undefined; part = await next(reader, limits)) {
      let from = 0;
      for (let end = part.indexOf(10); end >= 0; end = part.indexOf(10, from)) {
        const line = new TextDecoder().decode(concatBytes([...parts, part.subarray(from, end)]));
        [parts, size, from] = [[], 0, end + 1];
        if (signal.aborted) return;
        if (line.trim() !== "") take(line);
      }
      parts.push(part.subarray(from));
      size += part.length - from;
      if (size > limits.size) throw tooLarge(limits);
    }
    if (size > 0 && !signal.aborted) {
      throw new ApiError(0, "Malformed", "the API server's answer ends in the middle of a line");
    }
  });
}
