/**
 * From what the runtime says when it fails to the reasons that users know. Pure. Not for: deciding what to do next.
 */
import { AgentError, errorText, type Reason } from "../../agent/model/errors.ts";
import { Code, RpcError } from "../rpc/mod.ts";

/** The runtime's words without the wrappers that say nothing: `rpc error: code = X desc = `, a closing `: unknown`. */
export function shortMessage(message: string): string {
  return message
    .replace(/rpc error: code = \w+ desc = /g, "")
    .replace(/(: unknown)+$/, "")
    .trim();
}

export const isNotFound = (error: unknown): boolean =>
  error instanceof RpcError && error.code === Code.NOT_FOUND;

export const isAlreadyExists = (error: unknown): boolean =>
  error instanceof RpcError && error.code === Code.ALREADY_EXISTS;

/** A command ran past its timeout; containerd before 1.7 says so in words only. */
export const isTimeout = (error: unknown): boolean =>
  error instanceof RpcError &&
  (error.code === Code.DEADLINE_EXCEEDED || /timeout \S+ exceeded/.test(error.details));

export const isUnimplemented = (error: unknown): boolean =>
  error instanceof RpcError && error.code === Code.UNIMPLEMENTED;

/**
 * What to throw for a failed call.
 * @param reason the reason of this effect, for failures that are neither the connection's nor the caller's
 */
export function toAgentError(error: unknown, reason: Reason, signal: AbortSignal): AgentError {
  if (error instanceof AgentError) return error;
  if (signal.aborted) {
    return new AgentError("Aborted", errorText(signal.reason ?? "aborted"), { cause: error });
  }
  const message = shortMessage(error instanceof RpcError ? error.details : errorText(error));
  // containerd says this with code UNKNOWN while its CRI service starts.
  const starting = /server is not initialized yet/.test(message);
  if (error instanceof RpcError && (error.code === Code.UNAVAILABLE || starting)) {
    return new AgentError("RuntimeUnavailable", message, { cause: error });
  }
  if (error instanceof RpcError && error.code === Code.DEADLINE_EXCEEDED) {
    return new AgentError("DeadlineExceeded", message, { cause: error });
  }
  return new AgentError(reason, message, { cause: error });
}

/** A pull's failure: a name that no registry can have is not worth a second try. */
export function toPullError(error: unknown, signal: AbortSignal): AgentError {
  const mapped = toAgentError(error, "ErrImagePull", signal);
  if (mapped.reason !== "ErrImagePull") return mapped;
  return /invalid reference format|parse(ing)? (image )?(reference|name)|repository name must be/.test(
      mapped.message,
    )
    ? new AgentError("InvalidImageName", mapped.message, { retry: false, cause: error })
    : mapped;
}

/** The id in containerd's and CRI-O's `name "…" is reserved for "ID"`; `undefined` for any other failure. */
export function reservedFor(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  return /is reserved for (?:id )?"?([0-9a-f]{12,64})"?/.exec(error.message)?.[1];
}
