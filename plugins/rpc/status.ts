/**
 * What a gRPC call ends with: status codes, RpcError, and the text forms of messages and timeouts on the wire
 * (gRPC over HTTP/2, "Responses" and "Timeout"). Not for HTTP/2's own error codes; those are in frames.ts.
 */

/** Status codes of gRPC, by their standard names and numbers. */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];
export type CodeName = keyof typeof Code;

const names = Object.keys(Code) as CodeName[];

/** `NOT_FOUND` for 5. */
export function codeName(code: Code): CodeName {
  return names[code] ?? "UNKNOWN";
}

/** `NotFound` for NOT_FOUND, as Go prints codes. */
export function goCodeName(code: Code): string {
  if (code === Code.CANCELLED) return "Canceled";
  return codeName(code).toLowerCase().replace(/(^|_)(\w)/g, (_, _bar, letter) => letter.toUpperCase());
}

/** The code that a peer wrote as a number in decimal; anything else is UNKNOWN, as the standard asks. */
export function parseCode(text: string): Code {
  const code = /^\d{1,2}$/.test(text) ? Number(text) : Code.UNKNOWN;
  return code < names.length ? code as Code : Code.UNKNOWN;
}

/** A call that did not end with OK. `message` is `<CODE>: <text>`; `details` is the text alone, as the peer gave it. */
export class RpcError extends Error {
  readonly code: Code;
  readonly details: string;

  constructor(code: Code, details: string, options?: ErrorOptions) {
    super(`${codeName(code)}: ${details}`, options);
    this.name = "RpcError";
    this.code = code;
    this.details = details;
  }
}

/** Any thrown value as the RpcError that it means: an RpcError is itself, the rest is UNKNOWN with its message. */
export function toRpcError(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  return new RpcError(Code.UNKNOWN, error instanceof Error ? error.message : String(error), { cause: error });
}

const maxMessageChars = 4096;

/** Percent-encodes a grpc-message: every byte outside printable ASCII, and `%` itself. Cut at 4096 characters. */
export function encodeStatusMessage(text: string): string {
  return text.slice(0, maxMessageChars).toWellFormed()
    .replace(
      /[^\x20-\x24\x26-\x7e]+/gu,
      (part) =>
        Array.from(
          new TextEncoder().encode(part),
          (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
        )
          .join(""),
    );
}

/** The reverse of encodeStatusMessage. What is not valid percent-encoding stays as it came. */
export function decodeStatusMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const unitMs: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** The value of grpc-timeout in milliseconds; undefined when it is not up to eight digits and a unit. */
export function parseTimeout(text: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(text);
  return match === null ? undefined : Number(match[1]) * (unitMs[match[2] ?? ""] ?? 0);
}

/** grpc-timeout for a number of milliseconds, in the finest unit that eight digits can hold. */
export function encodeTimeout(ms: number): string {
  for (const unit of ["m", "S", "M"]) {
    const value = Math.ceil(ms / (unitMs[unit] ?? 1));
    if (value < 1e8) return `${Math.max(value, 0)}${unit}`;
  }
  return "99999999H";
}

/** Calls `late` after a deadline; one that is further away than timers reach (24 days) never comes. */
export function startDeadline(ms: number, late: () => void): ReturnType<typeof setTimeout> | undefined {
  return ms <= 0x7fffffff ? setTimeout(late, ms) : undefined;
}
