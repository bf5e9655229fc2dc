/**
 * Where a key stands in a configuration document, for messages: looks at indentation in block style and, failing that,
 * for the quoted name (JSON, flow style). Not for: parsing, or for anything that must be right in every case.
 */

export interface Position {
  /** 1-based. */
  line: number;
  column: number;
}

const entry = /^((?:- +)*)("[^"]*"|'[^']*'|[^\s#:"'{[-][^:#]*?|-[^\s:][^:#]*?)\s*:(?=\s|$)/;

/** The key at the end of the path, or the nearest one above it that can be found. `firstLine` is that of the text. */
export function findPosition(text: string, path: readonly string[], firstLine = 1): Position | undefined {
  const lines = text.split(/\r?\n/);
  for (let length = path.length; length > 0; length--) {
    const found = findInBlocks(lines, path.slice(0, length)) ?? findQuoted(lines, path.slice(0, length));
    if (found !== undefined) return { line: found.line + firstLine - 1, column: found.column };
  }
  return undefined;
}

function findInBlocks(lines: readonly string[], path: readonly string[]): Position | undefined {
  const open: { indent: number; key: string }[] = [];
  for (const [index, line] of lines.entries()) {
    const indent = line.length - line.trimStart().length;
    const match = entry.exec(line.slice(indent));
    if (match === null) continue;
    const column = indent + match[1]!.length;
    while (open.length > 0 && open.at(-1)!.indent >= column) open.pop();
    open.push({ indent: column, key: unquoted(match[2]!) });
    if (open.length === path.length && open.every((o, i) => o.key === path[i])) {
      return { line: index + 1, column: column + 1 };
    }
  }
  return undefined;
}

/** Each part after the one before it: enough for JSON as people write it. */
function findQuoted(lines: readonly string[], path: readonly string[]): Position | undefined {
  let line = 0;
  let column = 0;
  for (const [depth, part] of path.entries()) {
    const name = new RegExp(`(?<=[{,\\s]|^)["']?${RegExp.escape(part)}["']?\\s*:`, "g");
    name.lastIndex = column;
    let match = name.exec(lines[line] ?? "");
    while (match === null && line < lines.length - 1) {
      line++;
      name.lastIndex = 0;
      match = name.exec(lines[line]!);
    }
    if (match === null) return undefined;
    column = depth === path.length - 1 ? match.index : match.index + match[0].length;
  }
  return { line: line + 1, column: column + 1 };
}

const unquoted = (text: string) => /^["']/.test(text) ? text.slice(1, -1) : text;
