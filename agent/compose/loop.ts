/** A long-lived part of the agent. */
export interface Loop {
  name: string;
  /** Until the signal aborts; it is run again when it fails. */
  run(signal: AbortSignal): Promise<void>;
}
