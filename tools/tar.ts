/**
 * Writes tar files for image fixtures (POSIX ustar, pax(1)): root owns everything, the time is 0. Not for reading.
 */

export interface TarEntry {
  /** At most 100 bytes, without a leading slash. */
  path: string;
  mode?: number;
  content?: Uint8Array;
  /** Makes a symlink. */
  target?: string;
  directory?: boolean;
}

const BLOCK = 512;

export function writeTar(entries: TarEntry[]): Uint8Array<ArrayBuffer> {
  const padded = (bytes: number): number => Math.ceil(bytes / BLOCK) * BLOCK;
  const size = entries.reduce((sum, e) => sum + BLOCK + padded(e.content?.length ?? 0), 2 * BLOCK);
  const tar = new Uint8Array(size);
  let at = 0;
  for (const entry of entries) {
    tar.set(tarHeader(entry), at);
    tar.set(entry.content ?? new Uint8Array(), at + BLOCK);
    at += BLOCK + padded(entry.content?.length ?? 0);
  }
  return tar;
}

function typeOf(entry: TarEntry): string {
  if (entry.directory === true) return "5";
  return entry.target === undefined ? "0" : "2";
}

function tarHeader(entry: TarEntry): Uint8Array {
  const header = new Uint8Array(BLOCK);
  const put = (text: string, at: number): void => header.set(new TextEncoder().encode(text), at);
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, "0");
  put(entry.path, 0);
  put(octal(entry.mode ?? (entry.directory === true ? 0o755 : 0o644), 7), 100);
  put(octal(0, 7), 108);
  put(octal(0, 7), 116);
  put(octal(entry.content?.length ?? 0, 11), 124);
  put(octal(0, 11), 136);
  put(" ".repeat(8), 148);
  put(typeOf(entry), 156);
  put(entry.target ?? "", 157);
  put("ustar\x0000", 257);
  put("root", 265);
  put("root", 297);
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(`${octal(sum, 6)}\0 `, 148);
  return header;
}
