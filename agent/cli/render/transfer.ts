/** How much has been copied, shown to people once it takes a while. Not for: copying. */
import { createProgress } from "./progress.ts";
import { formatBytes } from "./text.ts";

export interface Transfer {
  add(bytes: number): void;
  /** Passes the chunks on and adds them up. */
  count(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array>;
  /** Shows the last number, where any was shown. */
  end(): Promise<void>;
}

const patienceMs = 1000;
const everyMs = 200;

export function createTransfer(
  what: string,
  screen: Parameters<typeof createProgress>[0] & { now(): number },
): Transfer {
  const progress = createProgress(screen);
  const startedAt = screen.now();
  let [bytes, shownAt] = [0, 0];
  const show = async () => {
    const seconds = Math.max(0.001, (screen.now() - startedAt) / 1000);
    await progress([`${what}: ${formatBytes(bytes)}, ${formatBytes(Math.round(bytes / seconds))}/s`]);
  };
  const add = (count: number) => {
    bytes += count;
    const now = screen.now();
    if (!screen.errIsTerminal || now - startedAt < patienceMs || now - shownAt < everyMs) return;
    shownAt = now;
    show().catch(() => {}); // nobody looks any more
  };
  return {
    add,
    async *count(chunks) {
      for await (const chunk of chunks) {
        add(chunk.length);
        yield chunk;
      }
    },
    end: async () => shownAt > 0 ? await show() : undefined,
  };
}
