/** Patterns of paths as shells have them: `*`, `?` and `[…]` within a name. Not for: walking directories. */

/** A directory, and the names in it that matter; without `only` all that is below it does. */
export interface WatchedPlace {
  directory: string;
  only?: (name: string) => boolean;
}

/** Whether a name, or a path's part, is a pattern rather than a name. */
export const isPattern = (part: string): boolean => /[*?[]/.test(part);

/** A part of a pattern as a regular expression for names; `*` passes over names that begin with a dot. */
export function namePattern(part: string): RegExp {
  const body = part.replace(
    /\[([!^]?)([^\]]+)\]|\*|\?|[\\^$.*+?()[\]{}|/]/g,
    (match, not: string | undefined, set: string | undefined) => {
      if (set !== undefined) return `[${not ? "^" : ""}${set.replace(/[\\\]^]/g, "\\$&")}]`;
      return match === "*" ? "[^/]*" : match === "?" ? "[^/]" : `\\${match}`;
    },
  );
  return new RegExp(`^${/^[*?[]/.test(part) ? "(?!\\.)" : ""}${body}$`);
}

/** What is to be watched for a pattern: the directory before its first wildcard, and names in it where that is enough. */
export function watchOf(pattern: string): { directory: string; only?: RegExp } {
  const parts = pattern.split("/").slice(1);
  const first = parts.findIndex(isPattern);
  const at = first < 0 ? parts.length - 1 : first;
  const directory = `/${parts.slice(0, at).join("/")}`;
  return at === parts.length - 1 ? { directory, only: namePattern(parts[at]!) } : { directory };
}

/** Whether a pattern can be used; what was expected, where not. */
export function patternProblem(pattern: string): string | undefined {
  const parts = pattern.split("/").slice(1);
  const fine = pattern.startsWith("/") && parts.every((p) => p !== "" && p !== ".." && p !== ".");
  if (!fine || pattern.includes("\0")) return "expected an absolute path, with *, ? or [...] in its names";
  try {
    parts.forEach(namePattern);
    return undefined;
  } catch {
    return "expected a pattern whose [...] are well formed";
  }
}
