/**
 * A small state file for what the world cannot tell after a restart: JSON with a version, written as a whole and only
 * when it changed. A file that cannot be read is moved aside and reported, never a crash. Not for: what can be observed.
 */

/** The part of the Host that is needed. */
export interface CheckpointFiles {
  readText(path: string): Promise<string | undefined>;
  writeFileAtomic(path: string, content: string, mode?: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
}

export interface CheckpointOptions<T> {
  files: CheckpointFiles;
  /** Its directory must exist. */
  path: string;
  /** Of the form that `parse` knows; a file of another version is not read. */
  version: number;
  /** Throws, saying what was expected, when the value is not of the form. */
  parse(value: unknown): T;
  /** Told in one sentence why a file was not used. */
  report(message: string): void;
}

export interface Checkpoint<T> {
  /** `undefined` when there is none that can be read. */
  load(): Promise<T | undefined>;
  /** Saves follow each other; equal content is not written again. The file is for the owner alone (0600). */
  save(value: T): Promise<void>;
}

export function createCheckpoint<T>(o: CheckpointOptions<T>): Checkpoint<T> {
  let written: string | undefined;
  let last: Promise<void> = Promise.resolve();
  const write = async (text: string) => {
    if (text === written) return;
    written = undefined; // unknown, should the write fail half way
    await o.files.writeFileAtomic(o.path, text, 0o600);
    written = text;
  };
  return {
    async load() {
      const text = await readOrReport(o);
      if (text === undefined) return undefined;
      try {
        const value = parseEnvelope(text, o);
        written = text;
        return value;
      } catch (error) {
        await moveAside(o, textOf(error));
        return undefined;
      }
    },
    save(value) {
      const text = JSON.stringify({ version: o.version, value }) + "\n";
      const next = last.then(() => write(text));
      last = next.catch(() => {});
      return next;
    },
  };
}

function parseEnvelope<T>(text: string, o: CheckpointOptions<T>): T {
  const envelope: unknown = JSON.parse(text);
  if (
    typeof envelope !== "object" || envelope === null || !("version" in envelope) || !("value" in envelope)
  ) {
    throw new TypeError("expected an object with version and value");
  }
  if (envelope.version !== o.version) {
    throw new TypeError(`its version is ${String(envelope.version)}, expected ${o.version}`);
  }
  return o.parse(envelope.value);
}

async function readOrReport<T>(o: CheckpointOptions<T>): Promise<string | undefined> {
  try {
    return await o.files.readText(o.path);
  } catch (error) {
    o.report(`${o.path} cannot be read and is not used: ${textOf(error)}`);
    return undefined;
  }
}

async function moveAside<T>(o: CheckpointOptions<T>, why: string): Promise<void> {
  const aside = `${o.path}.unreadable`;
  try {
    await o.files.rename(o.path, aside);
    o.report(`${o.path} is not used and was moved to ${aside}: ${why}`);
  } catch (error) {
    o.report(`${o.path} is not used: ${why}; it cannot be moved aside: ${textOf(error)}`);
  }
}

/** What JSON.parse says quotes the content, which may be secret. */
function textOf(error: unknown): string {
  if (error instanceof SyntaxError) return "it is not JSON";
  return error instanceof Error ? error.message : String(error);
}
