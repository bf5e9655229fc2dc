/**
 * The sending end of a connection: frames queue up and go out in batches, one write at a time, so that frames made in
 * the same turn share a system call. Knows nothing of what a frame is.
 */

export interface Writer {
  enqueue(bytes: Uint8Array): void;
  /** Octets that are queued or being written. */
  readonly queued: number;
  /** Resolves when everything queued is written, or writing has failed. */
  drained(): Promise<void>;
  /** Drops the queue and takes nothing more. */
  stop(): void;
}

export interface WriterEvents {
  /** Some octets have left. */
  wrote(): void;
  failed(error: unknown): void;
}

export function createWriter(write: (bytes: Uint8Array) => Promise<number>, events: WriterEvents): Writer {
  let queue: Uint8Array[] = [];
  let queued = 0;
  let stopped = false;
  let running: Promise<void> | undefined;

  async function writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && !stopped;) at += await write(bytes.subarray(at));
  }

  async function run(): Promise<void> {
    await undefined; // lets the frames of this turn join the first batch
    try {
      while (queue.length > 0) {
        const batch = joinBytes(queue);
        queue = [];
        await writeAll(batch);
        queued -= batch.length;
        events.wrote();
      }
    } catch (error) {
      stop();
      events.failed(error);
    } finally {
      running = undefined;
    }
  }

  function stop(): void {
    stopped = true;
    queue = [];
  }

  return {
    enqueue(bytes: Uint8Array): void {
      if (stopped) return;
      queue.push(bytes);
      queued += bytes.length;
      running ??= run();
    },
    get queued() {
      return queued;
    },
    drained: () => running ?? Promise.resolve(),
    stop,
  };
}

function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return first;
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
