/**
 * Asks a server whose certificate nobody has vouched for yet: only for what is verified by other means afterwards. Not for:
 * anything that is secret, or believed.
 */
import https from "node:https";
import { ApiError, errorOfAnswer } from "./api_error.ts";

const largest = 1024 * 1024;

/** The answer's JSON. @param ms for all of it. @throws {ApiError}, or the signal's reason. */
export async function askUnverified(url: string, ms: number, signal: AbortSignal): Promise<unknown> {
  const ending = AbortSignal.any([signal, AbortSignal.timeout(ms)]);
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number; text: string }>();
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
    answer.on("end", () => resolve({ code: answer.statusCode ?? 0, text: decoded(parts) }));
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
    const { code, text } = await promise;
    return parse(code, text);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ApiError) throw error;
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

function parse(code: number, text: string): unknown {
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    if (code === 200) throw new ApiError(0, "Malformed", "the answer is not JSON");
  }
  if (code !== 200) throw errorOfAnswer(code, body, null);
  return body;
}
