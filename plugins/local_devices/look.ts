/**
 * Looking again whenever something may have changed: watches of several directories that share one look, which never
 * runs twice at a time. Not for: what is looked for.
 */
import { isPattern, namePattern, watchOf } from "../../agent/model/glob.ts";
import type { Host } from "../../agent/ports.ts";

/** A directory, and the names in it that matter; absent: all that is below it. */
export interface Watched {
  directory: string;
  only?: (name: string) => boolean;
}

/** The watches for paths and patterns, one for each directory. */
export function watchesOf(patterns: Iterable<string>): Watched[] {
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
  host: Pick<Host, "watch">,
  watches: readonly Watched[],
  look: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const ended = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  let pending = false;
  let busy = false;
  const hint = async () => {
    pending = true;
    if (busy) return;
    busy = true;
    try {
      while (pending && !either.aborted) {
        pending = false;
        await look();
      }
    } finally {
      busy = false;
    }
  };
  const follow = async ({ directory, only }: Watched) => {
    for await (const _ of host.watch(directory, either, only)) await hint();
  };
  try {
    await hint();
    await Promise.all(watches.map(follow));
  } finally {
    ended.abort();
  }
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
