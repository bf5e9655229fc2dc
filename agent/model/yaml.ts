/**
 * YAML text before the parser sees it: a stream cut into documents, so that a broken one leaves its siblings alone, and
 * tabs in indentation found, which the parser reads as something else without a word. Not for: parsing.
 */

export interface DocumentText {
  text: string;
  /** Lines of the file before this document. */
  startLine: number;
}

/**
 * Documents of a stream, in order, empty ones included. A line that begins with `---` or `...` ends a document in every
 * context (YAML 1.2.2, rule c-forbidden). What follows `---` on its line belongs to the next document.
 */
export function splitDocuments(text: string): DocumentText[] {
  const documents: DocumentText[] = [];
  const marker = /^(?:---|\.\.\.)(?=[ \t\r\n]|$)/gm;
  let start = 0;
  let startLine = 0;
  const cut = (end: number) => {
    const part = text.slice(start, end);
    documents.push({ text: part, startLine });
    startLine += countLines(part);
  };
  for (const match of text.matchAll(marker)) {
    cut(match.index);
    // `...` is blanked by leaving it out: only comments may follow on its line.
    start = match[0] === "..." ? match.index + 3 : match.index;
  }
  cut(text.length);
  return documents;
}

export function countLines(text: string): number {
  let lines = 0;
  for (let i = text.indexOf("\n"); i !== -1; i = text.indexOf("\n", i + 1)) lines++;
  return lines;
}

/** Nothing but directives, comments, blanks and the marker: a document that says nothing. */
export const isEmptyDocument = (text: string): boolean =>
  !/^(?!%|[ \t]*#|---[ \t]*(?:#|\r?$)|[ \t]*\r?$)/m.test(text);

/**
 * The first line (0-based) that is indented with a tab where indentation has meaning, or -1. Tabs inside flow
 * collections, quoted text, block text and comments are fine.
 */
export function tabIndentedLine(text: string): number {
  if (!/^ *\t/m.test(text)) return -1;
  const lines = text.split("\n");
  let context: LineContext = { flow: 0, quote: "", blockIndent: -1 };
  for (const [i, line] of lines.entries()) {
    const indent = /^ */.exec(line)![0].length;
    const blank = line.trim() === "";
    if (context.blockIndent >= 0) {
      if (blank || indent > context.blockIndent) continue;
      context = { ...context, blockIndent: -1 };
    }
    const free = context.flow === 0 && context.quote === "";
    if (free && line[indent] === "\t" && !blank && !line.trimStart().startsWith("#")) return i;
    context = scanLine(line, context, indent);
  }
  return -1;
}

interface LineContext {
  /** Open brackets and braces. */
  flow: number;
  quote: "" | "'" | '"';
  /** Indentation of the line that opened a block text, -1 outside one. */
  blockIndent: number;
}

function scanLine(line: string, context: LineContext, indent: number): LineContext {
  let { flow, quote } = context;
  for (let i = 0; i < line.length; i++) {
    const c = line[i]!;
    const startsToken = i === 0 || /[\s,[\]{}:]/.test(line[i - 1]!);
    if (quote === '"' && c === "\\") i++;
    else if (quote !== "") { if (c === quote) quote = ""; }
    else if (c === "#" && (i === 0 || /\s/.test(line[i - 1]!))) break;
    else if ((c === '"' || c === "'") && startsToken) quote = c;
    else if ((c === "[" || c === "{") && (flow > 0 || startsToken)) flow++;
    else if ((c === "]" || c === "}") && flow > 0) flow--;
  }
  const opensBlock = flow === 0 && quote === "" && /(?:^|[\s:-])[|>][-+0-9]{0,2}\s*(?:#.*)?$/.test(line);
  return { flow, quote, blockIndent: opensBlock ? indent : -1 };
}
