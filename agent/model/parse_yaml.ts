/** One YAML or JSON document as values, or where it is none. Not for: what the values mean. */
import { parse } from "@std/yaml";
import { errorText } from "./errors.ts";
import { countLines, type DocumentText, tabIndentedLine } from "./yaml.ts";

/** Why a document cannot be read; the position is 1-based, in the file, and absent when it is not known. */
export interface SyntaxProblem {
  message: string;
  line?: number;
  column?: number;
}

/** Never throws. The value of an empty document is null. */
export function parseDocument({ text, startLine }: DocumentText): { value: unknown } | SyntaxProblem {
  const tab = tabIndentedLine(text);
  if (tab >= 0) {
    const message = "not YAML: a tab in the indentation; expected spaces";
    return { line: startLine + tab + 1, column: 1, message };
  }
  try {
    return { value: parse(text, { schema: "core" }) };
  } catch (error) {
    return syntaxProblem(error, text, startLine);
  }
}

/** The parser names the position in its message, followed by the lines in question, which may hold secrets. */
function syntaxProblem(error: unknown, text: string, startLine: number): SyntaxProblem {
  if (error instanceof RangeError) return { message: "not YAML: nested too deep" };
  const match = /^([\s\S]*?) at line (\d+), column (\d+)/.exec(errorText(error));
  if (match === null) return { message: `not YAML: ${errorText(error).split("\n")[0]}` };
  // An end that comes too early is found below the text; its author looks at the last line.
  const last = countLines(text.trimEnd()) + 1;
  const line = Math.min(Number(match[2]), last);
  const column = Number(match[2]) > last ? 1 : Number(match[3]);
  return { line: startLine + line, column, message: `not YAML: ${match[1]}` };
}
