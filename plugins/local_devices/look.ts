/** Looking again whenever something may have changed in the places of patterns. Not for: what is looked for. */
import { isPattern, namePattern, type WatchedPlace, watchOf } from "../../agent/model/glob.ts";
import type { Host } from "../../agent/ports.ts";

/** What is to be watched for paths and patterns. */
export function placesOf(patterns: Iterable<string>): WatchedPlace[] {
  const found = new Map<string, RegExp[] | undefined>();
  for (const pattern of patterns) {
    const { directory, only } = watchOf(pattern);
    const known = found.has(directory) ? found.get(directory) : [];
    found.set(directory, only === undefined || known === undefined ? undefined : [...known, only]);
  }
  return [...found].map(([directory, names]) =>
    names === undefined
      ? { directory }
      : { directory, only: (name: string) => names.some((pattern) => pattern.test(name)) }
  );
}

/** Looks at once, and after each change until the signal aborts or a look throws. */
export async function lookAlways(
  host: Pick<Host, "watchPlaces">,
  places: readonly WatchedPlace[],
  look: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for await (const _ of host.watchPlaces(places, signal)) await look();
}

/** Paths that a pattern names, sorted; only those with wildcards are sure to exist. */
export async function expandPattern(host: Pick<Host, "list">, pattern: string): Promise<string[]> {
  let found = [""];
  for (const part of pattern.split("/").slice(1)) {
    const fits = namePattern(part);
    const next = found.map(async (at) => {
      if (!isPattern(part)) return [`${at}/${part}`];
      const names = await host.list(at || "/").catch(() => undefined) ?? [];
      return names.filter((name) => fits.test(name)).map((name) => `${at}/${name}`);
    });
    found = (await Promise.all(next)).flat();
  }
  return found.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}
