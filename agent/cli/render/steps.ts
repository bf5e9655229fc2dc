/** Steps as they go: a mark and a line each, redrawn in place for people. On standard error. */
import type { JoinStep, TellStep } from "../join_steps.ts";
import { oneLine, type Paint } from "./text.ts";

interface Screen {
  err(text: string): Promise<void>;
  errIsTerminal: boolean;
}

export interface StepsShown {
  tell: TellStep;
  /** All that was told, last state of each. */
  steps(): JoinStep[];
  /** When all is written. */
  written(): Promise<void>;
}

const marks = { running: ["…", "cyan"], done: ["✓", "green"], failed: ["✗", "red"] } as const;
const back = "\r\x1b[2K";

export function showSteps(screen: Screen, paint: Paint): StepsShown {
  let writing = Promise.resolve();
  let open = "";
  const all = new Map<string, JoinStep>();
  return {
    tell(step) {
      all.set(step.name, step);
      const [mark, colour] = marks[step.state];
      const line = `${paint(mark, colour)} ${step.name}: ${oneLine(step.message)}`;
      if (step.state === "running" && line === open) return;
      const redrawn = screen.errIsTerminal && open !== "" ? back : "";
      open = step.state === "running" ? line : "";
      const end = step.state === "running" && screen.errIsTerminal ? "" : "\n";
      const details = step.details.map((detail) => `    ${oneLine(detail)}\n`).join("");
      writing = writing.then(() => screen.err(redrawn + line + end + details));
    },
    steps: () => [...all.values()],
    written: () => writing,
  };
}
