/** What is under way: redrawn in place for people, a line for each change otherwise. On standard error. */
import { cellWidth, oneLine } from "./text.ts";

interface Screen {
  err(text: string): Promise<void>;
  errIsTerminal: boolean;
  columns(): number;
}

/** Shows the lines as they are now, in place of those before. Their number stays the same. */
export type Progress = (lines: readonly string[]) => Promise<void>;

/** A line that wrapped could not be redrawn. */
function fit(line: string, columns: number): string {
  let text = oneLine(line);
  while (cellWidth(text) >= columns) text = text.slice(0, -1);
  return text;
}

export function createProgress(screen: Screen): Progress {
  let drawn: readonly string[] = [];
  return async (lines) => {
    if (!screen.errIsTerminal) {
      const known = new Set(drawn);
      for (const line of lines) if (!known.has(line)) await screen.err(oneLine(line) + "\n");
    } else {
      const up = drawn.length === 0 ? "" : `\x1b[${drawn.length}A`;
      const columns = screen.columns();
      await screen.err(up + lines.map((line) => `\x1b[2K${fit(line, columns)}\n`).join(""));
    }
    drawn = [...lines];
  };
}

/** `[=====>    ]`; without a share, a mark that wanders with time. */
export function progressBar(share: number | undefined, elapsedMs: number, width = 24): string {
  if (share === undefined) {
    const span = 2 * (width - 3);
    const step = Math.floor(elapsedMs / 250) % span;
    const at = step < width - 3 ? step : span - step;
    return `[${" ".repeat(at)}<=>${" ".repeat(width - 3 - at)}]`;
  }
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `[${"=".repeat(Math.max(0, full - 1))}${full > 0 ? (full === width ? "=" : ">") : ""}${
    " ".repeat(width - full)
  }]`;
}
