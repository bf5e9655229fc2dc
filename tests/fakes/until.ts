/** Waiting in tests for what does not announce itself. */
import { assert } from "@std/assert";

/** Looks again and again until it is so; fails after `ms`, by default 20 seconds. */
export async function until(
  what: string,
  look: () => boolean | Promise<boolean>,
  ms = 20_000,
): Promise<void> {
  for (const end = performance.now() + ms; !await look();) {
    assert(performance.now() < end, `never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
