/**
 * The 512 bytes before each member of a tar archive (POSIX.1-2017 pax, "ustar Interchange Format"; GNU's forms of long
 * names and large numbers). Pure. Not for: members and their content (read.ts, write.ts).
 */
import { concatBytes } from "../bytes.ts";

export const tarBlock = 512;

/** `link` is a hard link to an earlier member. */
export type TarKind = "file" | "directory" | "symlink" | "link" | "other";

export interface TarHeader {
  path: string;
  kind: TarKind;
  /** Bytes of content that follow, without their padding. */
  size: number;
  /** Permissions, with setuid, setgid and sticky. */
  mode: number;
  /** Where a link leads; "" for all else. */
  target: string;
}

export interface ParsedHeader extends TarHeader {
  /** As it stands: `0`, `5`, `L` for the name of the next one, `x` for its pax records, … */
  type: string;
}

const kinds: Record<string, TarKind> = {
  "\0": "file",
  "0": "file",
  "7": "file",
  "1": "link",
  "2": "symlink",
  "5": "directory",
};

/** `undefined` when the block is no header: its checksum is wrong, or it is the end of the archive. */
export function parseTarHeader(block: Uint8Array): ParsedHeader | undefined {
  if (block.length < tarBlock || octal(block, 148, 8) !== checksum(block)) return undefined;
  const size = number(block, 124, 12);
  if (size === undefined || !Number.isSafeInteger(size)) return undefined;
  // GNU's own form ends its magic by a blank and has other things than a prefix there.
  const hasPrefix = text(block, 257, 6) === "ustar";
  const [name, prefix] = [text(block, 0, 100), hasPrefix ? text(block, 345, 155) : ""];
  const type = String.fromCharCode(block[156]!);
  const kind = kinds[type] ?? "other";
  return {
    path: prefix === "" ? name : `${prefix}/${name}`,
    kind: kind === "file" && name.endsWith("/") ? "directory" : kind,
    size: kind === "file" || kind === "other" ? size : 0,
    mode: (number(block, 100, 8) ?? 0) & 0o7777,
    target: kind === "link" || kind === "symlink" ? text(block, 157, 100) : "",
    type,
  };
}

/** Of all bytes, those of the checksum itself as blanks. */
function checksum(block: Uint8Array): number {
  return block.reduce((sum, byte, i) => sum + (i >= 148 && i < 156 ? 0x20 : byte), 0);
}

function text(block: Uint8Array, offset: number, length: number): string {
  return tarText(block.subarray(offset, offset + length));
}

/** Up to the first zero byte. What is not UTF-8 becomes U+FFFD. */
export function tarText(field: Uint8Array): string {
  const end = field.indexOf(0);
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(end < 0 ? field : field.subarray(0, end));
}

function octal(block: Uint8Array, offset: number, length: number): number | undefined {
  const digits = text(block, offset, length).trim();
  return /^[0-7]+$/.test(digits) ? parseInt(digits, 8) : undefined;
}

/** Octal digits, or GNU's form of what does not fit: the top bit set, then big endian. */
function number(block: Uint8Array, offset: number, length: number): number | undefined {
  if ((block[offset]! & 0x80) === 0) return octal(block, offset, length);
  return block.subarray(offset + 1, offset + length).reduce((n, byte) => n * 256 + byte, 0);
}

export interface TarOwner {
  uid: number;
  gid: number;
  /** Seconds since the epoch. */
  mtime: number;
}

/**
 * The bytes before a member's content. Names that do not fit stand in blocks of GNU's types L and K, which every tar
 * knows; busybox' skips what pax would say instead.
 */
export function formatTarHeader(header: TarHeader, owner: TarOwner): Uint8Array {
  const encoder = new TextEncoder();
  const [path, target] = [encoder.encode(header.path), encoder.encode(header.target)];
  return concatBytes([
    ...longName("K", target),
    ...longName("L", path),
    headerBlock(header, owner, path, target),
  ]);
}

const typeOf: Record<TarKind, string> = { file: "0", link: "1", symlink: "2", directory: "5", other: "0" };

const nobody: TarOwner = { uid: 0, gid: 0, mtime: 0 };

function longName(type: string, name: Uint8Array): Uint8Array[] {
  if (name.length <= 100) return [];
  const header = {
    path: "././@LongLink",
    kind: "file",
    size: name.length + 1,
    mode: 0o644,
    target: "",
  } as const;
  const block = headerBlock(header, nobody, new TextEncoder().encode(header.path), new Uint8Array(), type);
  return [block, name, new Uint8Array(1 + tarPadding(name.length + 1))];
}

/** Zero bytes that fill the last block of a content. */
export const tarPadding = (size: number): number => (tarBlock - size % tarBlock) % tarBlock;

function headerBlock(
  { kind, size, mode }: TarHeader,
  { uid, gid, mtime }: TarOwner,
  path: Uint8Array,
  target: Uint8Array,
  type = typeOf[kind],
): Uint8Array {
  const block = new Uint8Array(tarBlock);
  const put = (text: string, at: number) => block.set(new TextEncoder().encode(text), at);
  block.set(path.subarray(0, 100), 0);
  putNumber(block, 100, 8, mode);
  putNumber(block, 108, 8, uid);
  putNumber(block, 116, 8, gid);
  putNumber(block, 124, 12, size);
  putNumber(block, 136, 12, Math.max(0, Math.floor(mtime)));
  put(type, 156);
  block.set(target.subarray(0, 100), 157);
  put("ustar  \0", 257);
  put(`${checksum(block).toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

function putNumber(block: Uint8Array, offset: number, length: number, value: number): void {
  const digits = value.toString(8);
  if (digits.length < length) {
    block.set(new TextEncoder().encode(digits.padStart(length - 1, "0")), offset);
    return;
  }
  block[offset] = 0x80;
  for (let i = length - 1, rest = value; i > 0; i--, rest = Math.floor(rest / 256)) {
    block[offset + i] = rest % 256;
  }
}
