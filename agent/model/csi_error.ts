/**
 * What a failed call to a CSI driver leaves behind. Pure. Source: kubernetes pkg/volume/csi/csi_client.go (isFinalError).
 * Not for: other effects (errors.ts).
 */
import { AgentError, type Reason } from "./errors.ts";

export class CsiError extends AgentError {
  /** Of gRPC: `DEADLINE_EXCEEDED`; "" when no call was made. */
  readonly code: string;
  /** The call may have done its work, or may still be at it: it must be repeated, or undone, before anything else. */
  readonly uncertain: boolean;
  constructor(
    message: string,
    o: { code: string; uncertain: boolean; retry?: boolean; reason?: Reason; cause?: unknown },
  ) {
    super(o.reason ?? "FailedMount", message, {
      cause: o.cause,
      ...(o.retry !== undefined && { retry: o.retry }),
    });
    this.code = o.code;
    this.uncertain = o.uncertain;
  }
}

/** Whether whatever failed may have had an effect all the same. Errors that are not a driver's answer had none. */
export const mayHaveHappened = (error: unknown): boolean => error instanceof CsiError && error.uncertain;

/** In the kubelet's words. */
export const driverMissing = (name: string): CsiError =>
  new CsiError(`driver name ${name} not found in the list of registered CSI drivers`, {
    code: "",
    uncertain: false,
  });
