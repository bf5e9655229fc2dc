// Gives memory that a burst of work left behind back to the machine: V8's heap by its own collector (where the build
// exposes it), then what libc keeps of freed blocks. Not for limiting memory, nor for that of pods.

/** How long after the start the first look is, how long between looks, and what growth is worth the pause. */
const FIRST_MS = 5_000;
const EVERY_MS = 15_000;
const WORTH_BYTES = 6 << 20;

export interface MemoryTrimmer {
  /** Trims now; about 30 ms during which nothing else runs. Answers with the resident bytes before and after. */
  trim(): { before: number; after: number };
  /** Looks now and then, and trims when much has come since the last time. Ends with its signal. */
  run(signal: AbortSignal): Promise<void>;
}

/** What is taken from outside, so that a test can see to it. */
export interface MemoryParts {
  readonly rss: () => number;
  readonly release: () => void;
  /** Resolves after the time; may reject when the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** `sleep` is the host's. */
export function createMemoryTrimmer(
  sleep: MemoryParts["sleep"],
  parts: Omit<MemoryParts, "sleep"> = { rss: () => Deno.memoryUsage().rss, release: createRelease() },
): MemoryTrimmer {
  const trim = () => {
    const before = parts.rss();
    parts.release();
    return { before, after: parts.rss() };
  };
  return {
    trim,
    async run(signal) {
      let floor = -Infinity;
      for (let wait = FIRST_MS; !signal.aborted; wait = EVERY_MS) {
        await sleep(wait, signal).catch((error: unknown) => {
          if (!signal.aborted) throw error;
        });
        if (!signal.aborted && parts.rss() > floor + WORTH_BYTES) floor = trim().after;
      }
    },
  };
}

type Collector = (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/** Measured on an agent just started: 91 -> 87 MB by V8, -> 64 MB by libc; later 67 -> 63 -> 62 MB. */
function createRelease(): () => void {
  // `--expose-gc` puts it there; only its last resort gives pages back.
  const collect = (globalThis as { gc?: Collector }).gc;
  const libc = Deno.dlopen("libc.so.6", { malloc_trim: { parameters: ["usize"], result: "i32" } }).symbols;
  return () => {
    collect?.({ type: "major", execution: "sync", flavor: "last-resort" });
    libc.malloc_trim(0n);
  };
}
