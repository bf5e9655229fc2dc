/**
 * Asks a server whose certificate nobody has vouched for yet: only for what is verified by other means afterwards. Not for:
 * anything that is secret, or believed.
 */
import { ApiError, errorOfAnswer } from "./api_error.ts";

const largest = 1024 * 1024;

/** The answer's JSON. @param ms for all of it. @throws {ApiError}, or the signal's reason. */
export const askUnverified = async (url: string, ms: number, signal: AbortSignal): Promise<unknown> =>
  parse(await exchange(url, ms, signal));

/** What time the server says it is, in ms since the epoch; `undefined` where there is no answer, or none with a time. */
export async function serverTime(url: string, ms: number, signal: AbortSignal): Promise<number | undefined> {
  const answer = await exchange(url, ms, signal).catch(() => undefined);
  signal.throwIfAborted();
  const time = Date.parse(answer?.date ?? "");
  return Number.isNaN(time) ? undefined : time;
}

interface Answer {
  code: number;
  text: string;
  date: string | undefined;
}

async function exchange(url: string, ms: number, signal: AbortSignal): Promise<Answer> {
  const ending = AbortSignal.any([signal, AbortSignal.timeout(ms)]);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  // Costs some 8 MB of memory, which an agent that runs need not have.
  const { default: https } = await import("node:https");
  const request = https.get(url, {
    rejectUnauthorized: false,
    agent: false,
    headers: { accept: "application/json" },
  }, (answer) => {
    const parts: Uint8Array[] = [];
    let size = 0;
    answer.on("data", (part: Uint8Array) => {
      parts.push(part);
      size += part.length;
      if (size > largest) request.destroy(new Error(`the answer is larger than ${largest} bytes`));
    });
    answer.on(
      "end",
      () => resolve({ code: answer.statusCode ?? 0, text: decoded(parts), date: answer.headers.date }),
    );
    answer.on("error", reject);
  });
  request.on("error", reject);
  const leave = () => {
    reject(new Error("no answer in time"));
    request.destroy();
  };
  if (ending.aborted) leave();
  ending.addEventListener("abort", leave, { once: true });
  try {
    return await promise;
  } catch (error) {
    signal.throwIfAborted();
    throw new ApiError(
      0,
      "Unreachable",
      `${new URL(url).host} cannot be reached: ${(error as Error).message}`,
      { cause: error },
    );
  } finally {
    ending.removeEventListener("abort", leave);
    request.destroy();
  }
}

const decoded = (parts: Uint8Array[]) => {
  const decoder = new TextDecoder();
  return parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode();
};

function parse({ code, text }: Answer): unknown {
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    if (code === 200) throw new ApiError(0, "Malformed", "the answer is not JSON");
  }
  if (code !== 200) throw errorOfAnswer(code, body, null);
  return body;
}
