/**
 * Reads the end of a file that somebody else writes: only a regular file that lies at this very path, whatever is put
 * there meanwhile; links and pipes are never followed or opened. Not for: files of our own.
 */

interface Stat {
  kind: string;
  size: number;
  dev: number;
  ino: number;
}

/** The part of the Host that is needed. */
export interface EndFiles {
  lstat(path: string): Promise<Stat | undefined>;
  openFile(path: string): Promise<
    | { stat(): Promise<Stat>; read(offset: number, length: number): Promise<Uint8Array>; close(): void }
    | undefined
  >;
}

export interface FileEnd {
  bytes: Uint8Array;
  /** The bytes are all of the file. */
  whole: boolean;
}

/** @param most bytes that are wanted. @returns `undefined` when there is no such file or nothing in it. */
export async function readEnd(files: EndFiles, path: string, most: number): Promise<FileEnd | undefined> {
  const named = await files.lstat(path);
  if (named?.kind !== "file") return undefined;
  const file = await files.openFile(path);
  if (file === undefined) return undefined;
  try {
    const { kind, size, dev, ino } = await file.stat();
    if (kind !== "file" || dev !== named.dev || ino !== named.ino || size === 0) return undefined;
    const start = Math.max(0, size - most);
    return { bytes: await file.read(start, Math.min(size, most)), whole: start === 0 };
  } finally {
    file.close();
  }
}
