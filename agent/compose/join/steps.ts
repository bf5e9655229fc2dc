/** Steps that are told of as they go, each with what to do when it fails. Not for: what the steps are. */
import type { TellStep } from "../../cli/join_steps.ts";
import { ApiError } from "../../cluster/client/api_error.ts";
import { JoinFailure } from "../../cluster/join/join_failure.ts";
import { AgentError, errorText } from "../../model/errors.ts";

export interface Done {
  /** "": not worth a word. */
  message: string;
  details?: readonly string[];
}

/** A step failed, and was told of. */
export class Stopped extends Error {
  override readonly name = "Stopped";
}

/** Runs a step; `say` tells what it waits for. @throws {Stopped}, or the signal's reason. */
export async function step<T extends Done>(
  name: string,
  tell: TellStep,
  signal: AbortSignal,
  work: (say: (message: string) => void) => Promise<T>,
): Promise<T> {
  const say = (message: string) => tell({ name, state: "running", message, details: [] });
  try {
    const done = await work(say);
    const { message, details = [] } = done;
    if (message !== "") tell({ name, state: "done", message, details });
    return done;
  } catch (error) {
    signal.throwIfAborted();
    const { message, remedy, details = [] } = asFailure(error);
    tell({ name, state: "failed", message, details: [...details, remedy] });
    throw new Stopped(message);
  }
}

/** Several things are wrong at once. */
export class Refusal extends Error {
  readonly details: readonly string[];
  readonly remedy: string;
  constructor(message: string, details: readonly string[], remedy: string) {
    super(message);
    this.details = details;
    this.remedy = remedy;
  }
}

function asFailure(error: unknown): { message: string; remedy: string; details?: readonly string[] } {
  if (error instanceof JoinFailure || error instanceof Refusal) return error;
  const message = errorText(error);
  if (error instanceof ApiError) {
    return {
      message,
      remedy: error.code === 0
        ? "look whether the API server can be reached from here, then run the same command again: that is safe"
        : "look what the API server's log says of it, then run the same command again: that is safe",
    };
  }
  if (error instanceof AgentError || error instanceof Deno.errors.NotCapable) {
    return { message, remedy: "then run it again: that is safe" };
  }
  return { message, remedy: "run the same command again: that is safe" };
}
