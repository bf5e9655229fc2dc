// Counts of passed and failed tests, from the JUnit report of `deno test` or an exit status. Pure.

/** What a stage came to; a failure is known by its name. */
export interface Tally {
  readonly passed: number;
  readonly ignored: number;
  readonly failed: readonly string[];
}

export function addTallies(a: Tally, b: Tally): Tally {
  return {
    passed: a.passed + b.passed,
    ignored: a.ignored + b.ignored,
    failed: [...a.failed, ...b.failed],
  };
}

/** A command that passes or fails as one. */
export function tallyExit(name: string, code: number): Tally {
  return code === 0
    ? { passed: 1, ignored: 0, failed: [] }
    : { passed: 0, ignored: 0, failed: [`${name}: exit status ${code}`] };
}

/** Counts the test cases of a JUnit report as `deno test --junit-path` writes it; an empty text has none. */
export function parseJunit(xml: string): Tally {
  const cases = xml.split("<testcase ").slice(1).map((text) => text.split("</testcase>")[0] ?? "");
  const failed = cases.filter((text) => /<(failure|error)\b/.test(text));
  const ignored = cases.filter((text) => text.includes("<skipped"));
  return {
    passed: cases.length - failed.length - ignored.length,
    ignored: ignored.length,
    failed: failed.map((text) => `${attribute(text, "classname")}: ${attribute(text, "name")}`),
  };
}

/** One line for each failure, or nothing. */
export function listFailures(tally: Tally): string {
  return tally.failed.map((name) => `FAILED ${name}\n`).join("");
}

function attribute(element: string, name: string): string {
  const entities: Record<string, string> = {
    "&lt;": "<",
    "&gt;": ">",
    "&quot;": '"',
    "&apos;": "'",
    "&amp;": "&",
  };
  const value = element.match(new RegExp(`(?:^|\\s)${name}="([^"]*)"`))?.[1] ?? "";
  return value.replace(/&\w+;/g, (entity) => entities[entity] ?? entity);
}
