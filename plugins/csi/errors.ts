/**
 * From a driver's gRPC status to what its caller must know. Pure. Source: kubernetes pkg/volume/csi/csi_client.go
 * (isFinalError), CSI spec (error scheme). Not for: deciding what to do next.
 */
import { CsiError } from "../../agent/model/csi_error.ts";
import { Code, codeName, goCodeName, type RpcError, toRpcError } from "../rpc/mod.ts";

/** The driver may still be at it, or nobody knows how far it came. */
const uncertain: readonly Code[] = [
  Code.CANCELLED,
  Code.DEADLINE_EXCEEDED,
  Code.UNAVAILABLE,
  Code.RESOURCE_EXHAUSTED,
  Code.ABORTED,
];

/** The same request gets the same answer. */
const hopeless: readonly Code[] = [
  Code.INVALID_ARGUMENT,
  Code.OUT_OF_RANGE,
  Code.UNIMPLEMENTED,
  Code.ALREADY_EXISTS,
  Code.PERMISSION_DENIED,
];

const longestMessage = 2000;

/** Whatever a driver says, in one line that can be shown. */
function tidy({ details }: RpcError): string {
  // deno-lint-ignore no-control-regex -- that is what is to go
  const line = details.replace(/[\u0000-\u001f\u007f]+/g, " ").trim();
  return line.length > longestMessage ? `${line.slice(0, longestMessage)}…` : line;
}

export function toCsiError(error: unknown, signal: AbortSignal): CsiError {
  if (error instanceof CsiError) return error;
  const status = toRpcError(error);
  return new CsiError(`rpc error: code = ${goCodeName(status.code)} desc = ${tidy(status)}`, {
    code: codeName(status.code),
    uncertain: uncertain.includes(status.code),
    retry: !hopeless.includes(status.code),
    ...(signal.aborted && { reason: "Aborted" }),
    cause: error,
  });
}
