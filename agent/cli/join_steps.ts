/** What joining and leaving a cluster tell while they go on, and at the end. Types alone. */
import type { JoinFlags } from "../model/join_flags.ts";

export interface JoinStep {
  /** `preflight` */
  name: string;
  state: "running" | "done" | "failed";
  /** What is waited for, what came of it, or why not. */
  message: string;
  /** What is to be known besides; of a failed one what to do. */
  details: readonly string[];
}

export interface JoinOutcome {
  done: boolean;
  /** What the node is called there. */
  nodeName: string;
  /** `https://…`; absent where it did not come so far. */
  server?: string;
  /** Whether the cluster takes it for Ready; absent where nobody waited for that. */
  ready?: boolean;
  /** Lines for a person: what to run next. */
  next: readonly string[];
}

export type TellStep = (step: JoinStep) => void;

export interface JoinAsked extends JoinFlags {
  /** A JoinConfiguration, instead of flags. */
  configFile?: string;
  skipPhases: readonly string[];
  dryRun: boolean;
  /** In ms; absent: as long as is usual, where the agent could be started. */
  wait?: number;
  /** Flags of `agent run` that concern this node alone. */
  nodeFlags: Readonly<Record<string, readonly string[]>>;
}

export interface ResetAsked {
  /** Whether to go on; asked once, with what would be done. */
  confirm(question: string): Promise<boolean>;
}
