/**
 * Reads the members of a tar archive as its bytes come, with bounded memory whatever the archive says. Not for: what
 * becomes of them, compressed archives.
 */
import { concatBytes } from "../bytes.ts";
import {
  type ParsedHeader,
  parseTarHeader,
  tarBlock,
  type TarHeader,
  tarPadding,
  tarText,
} from "./header.ts";

export interface TarMember extends TarHeader {
  /** False when the archive's bytes for path or target are not UTF-8: it cannot be named. */
  named: boolean;
  /** What has not been read of it when the next member is asked for is skipped. */
  content(): AsyncGenerator<Uint8Array>;
}

/** Names and pax records of a member are held in memory. */
const longestNote = 1024 * 1024;

interface Bytes {
  /** Exactly so many; throws when the archive ends before, unless it ends right here and `mayEnd`. */
  take(size: number, mayEnd?: boolean): Promise<Uint8Array | undefined>;
  /** At least one, at most so many. */
  some(most: number): Promise<Uint8Array>;
  drain(): Promise<void>;
}

function bytesOf(source: AsyncIterable<Uint8Array>): Bytes {
  const chunks = source[Symbol.asyncIterator]();
  let ahead: Uint8Array = new Uint8Array();
  const cut = () => new Error("the archive is cut off");
  const fill = async (): Promise<boolean> => {
    while (ahead.length === 0) {
      const next = await chunks.next();
      if (next.done === true) return false;
      ahead = next.value;
    }
    return true;
  };
  const some = async (most: number) => {
    if (!await fill()) throw cut();
    const part = ahead.subarray(0, most);
    ahead = ahead.subarray(part.length);
    return part;
  };
  return {
    some,
    async take(size, mayEnd = false) {
      if (mayEnd && !await fill()) return undefined;
      const parts: Uint8Array[] = [];
      for (let left = size; left > 0; left -= parts.at(-1)!.length) parts.push(await some(left));
      return concatBytes(parts);
    },
    async drain() {
      for (; await fill(); ahead = new Uint8Array());
    },
  };
}

/** What the blocks before a header say of it instead of the header itself. */
interface Notes {
  path?: string;
  target?: string;
  size?: number;
}

/** Throws when the bytes are no tar archive, or end within a member. An archive without end mark has ended. */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarMember> {
  const bytes = bytesOf(source);
  let notes: Notes = {};
  for (;;) {
    const block = await bytes.take(tarBlock, true);
    if (block === undefined || block.every((byte) => byte === 0)) break;
    const header = parseTarHeader(block);
    if (header === undefined) throw new Error("not a tar archive, or a damaged one");
    if ("LKxgXV".includes(header.type)) {
      notes = { ...notes, ...await readNote(header, bytes) };
      continue;
    }
    yield* member({ ...header, ...notes }, bytes);
    notes = {};
  }
  // Whoever writes it shall be able to write it all.
  await bytes.drain();
}

async function* member(header: ParsedHeader, bytes: Bytes): AsyncGenerator<TarMember> {
  let left = header.size;
  const content = async function* () {
    while (left > 0) {
      const part = await bytes.some(left);
      left -= part.length;
      yield part;
    }
  };
  const { path, kind, size, mode, target } = header;
  yield { path, kind, size, mode, target, named: !(path + target).includes("\ufffd"), content };
  for await (const _ of content());
  await bytes.take(tarPadding(size));
}

async function readNote({ type, size }: ParsedHeader, bytes: Bytes): Promise<Notes> {
  if (size > longestNote) throw new Error(`a name or header of ${size} bytes: more than ${longestNote}`);
  const content = (await bytes.take(size))!;
  await bytes.take(tarPadding(size));
  if (type === "L") return { path: tarText(content) };
  if (type === "K") return { target: tarText(content) };
  return type === "x" || type === "X" ? paxRecords(content) : {};
}

/** `LENGTH KEY=VALUE\n`, one after the other. */
function paxRecords(content: Uint8Array): Notes {
  const notes: Notes = {};
  for (let at = 0; at < content.length;) {
    const blank = content.indexOf(0x20, at);
    const length = Number(tarText(content.subarray(at, blank)));
    if (blank < 0 || !Number.isSafeInteger(length) || length < blank - at + 3) {
      throw new Error("damaged pax records");
    }
    const [, key, value = ""] =
      /^([^=]*)=([^]*)\n$/.exec(tarText(content.subarray(blank + 1, at + length))) ?? [];
    if (key === "path") notes.path = value;
    if (key === "linkpath") notes.target = value;
    if (key === "size" && /^\d+$/.test(value)) notes.size = Number(value);
    at += length;
  }
  return notes;
}
