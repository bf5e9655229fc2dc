/**
 * What an API server refuses, or that it cannot be reached, as errors with the reasons that Kubernetes has. Pure.
 * Source: apimachinery's metav1.Status. Not for: whether to try again (retry.ts).
 */

export class ApiError extends Error {
  override readonly name = "ApiError";
  /** HTTP's; 0 when there was no answer. */
  readonly code: number;
  /** `NotFound`, `Conflict`, …; `Unreachable`, `DeadlineExceeded`, `Malformed` are ours. */
  readonly reason: string;
  /** What the server asks for before the next try, in ms. */
  readonly retryAfter?: number;
  constructor(
    code: number,
    reason: string,
    message: string,
    more: { retryAfter?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
    this.code = code;
    this.reason = reason;
    if (more.retryAfter !== undefined) this.retryAfter = more.retryAfter;
  }
}

export const isReason = (error: unknown, ...reasons: string[]): error is ApiError =>
  error instanceof ApiError && reasons.includes(error.reason);

/** It may succeed later, as it is: there was no answer, or trouble on the other side, or with who we are. */
export const isPassing = (error: unknown): boolean =>
  error instanceof ApiError &&
  (error.code === 0 || error.code === 401 || error.code === 429 || error.code >= 500);

/** The history that was asked for is gone: list again. */
export const isExpired = (error: unknown): boolean =>
  error instanceof ApiError && (error.code === 410 || error.reason === "Expired" || error.reason === "Gone");

const reasons: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  409: "Conflict",
  410: "Gone",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
  504: "Timeout",
};

const longest = 500;

/** Of an answer that is no success. `body` is parsed JSON, or text. */
export function errorOfAnswer(code: number, body: unknown, retryAfterHeader: string | null): ApiError {
  const status = typeof body === "object" && body !== null ? body as Record<string, unknown> : {};
  const details = (status.details ?? {}) as { retryAfterSeconds?: unknown };
  const said = status.kind === "Status" && typeof status.message === "string" && status.message !== ""
    ? status.message
    : typeof body === "string" && body.trim() !== ""
    ? body.trim()
    : `the API server answered ${code}`;
  const reason = typeof status.reason === "string" && status.reason !== "" ? status.reason : reasons[code];
  const seconds = Number(retryAfterHeader ?? details.retryAfterSeconds);
  return new ApiError(code, reason ?? "Unknown", said.slice(0, longest), {
    ...(Number.isFinite(seconds) && seconds > 0 ? { retryAfter: Math.min(seconds, 3600) * 1000 } : {}),
  });
}

/** An `ERROR` event of a watch carries a Status. */
export const errorOfStatus = (status: unknown): ApiError => {
  const code = (status as { code?: unknown } | null)?.code;
  return errorOfAnswer(typeof code === "number" ? code : 500, status, null);
};
