/** Waits for a condition and says when it came true. Not for: sleeping for its own sake. */

/** @returns ms since the epoch at which it was seen. @throws after `limitMs`. */
export async function whenTrue(
  what: string,
  look: () => Promise<boolean>,
  everyMs = 20,
  limitMs = 120_000,
): Promise<number> {
  const end = Date.now() + limitMs;
  while (!await look()) {
    if (Date.now() > end) throw new Error(`could not be measured: ${what} did not happen in ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  return Date.now();
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
