/**
 * The two ways things go wrong, as values: a Problem is bad input that its author can mend; an AgentError is an
 * effect that failed, with the short reason that users read. Not for: bugs, which throw.
 */

/** Bad input: where it is and what was expected. Shown until the input is mended. */
export interface Problem {
  /** `error`: the object is not used. `warning`: it is used, but something in it has no effect or is doubtful. */
  severity: "error" | "warning";
  /** Path of the file the input came from, or another source's name (`flag --node-ip`). */
  file: string;
  /** 1-based position in the file; absent when it is not known. */
  line?: number;
  column?: number;
  /** `Pod default/web`, when the object is known. */
  object?: string;
  /** Path of the field as users write it: `spec.containers[0].image`. */
  field?: string;
  /** What is wrong and what was expected, in one sentence. */
  message: string;
}

/** Reasons of failed effects, in the words that Kubernetes users know (container waiting reasons, event reasons). */
export type Reason =
  | "ErrImagePull"
  | "ErrImageNeverPull"
  | "InvalidImageName"
  | "CreateContainerConfigError"
  | "CreateContainerError"
  | "RunContainerError"
  | "CreatePodSandboxError"
  | "KillContainerError"
  | "FailedMount"
  | "UnexpectedAdmissionError"
  | "FailedKillPod"
  | "PluginRegistrationFailed"
  | "DriverFailed"
  | "RuntimeUnavailable"
  | "DeadlineExceeded"
  | "Aborted"
  | "Unknown";

/** A failed effect. Ports throw it; `apply` turns it into a StepOutcome. */
export class AgentError extends Error {
  override readonly name = "AgentError";
  readonly reason: Reason;
  /** False when trying again cannot help until something else changes. */
  readonly retry: boolean;
  constructor(reason: Reason, message: string, options: { retry?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.retry = options.retry ?? true;
  }
}

/** One line of text for any thrown value. */
export function errorText(error: unknown): string {
  if (error instanceof Error) return error.message === "" ? error.name : error.message;
  return String(error);
}

/** `FILE:LINE:COLUMN: FIELD: MESSAGE`, the form that editors can jump to. */
export function formatProblem(p: Problem): string {
  const position = p.line === undefined ? "" : `:${p.line}` + (p.column === undefined ? "" : `:${p.column}`);
  const subject = [p.object, p.field].filter((s) => s !== undefined).join(" ");
  return `${p.file}${position}: ${p.severity === "warning" ? "warning: " : ""}${
    subject === "" ? "" : subject + ": "
  }${p.message}`;
}
