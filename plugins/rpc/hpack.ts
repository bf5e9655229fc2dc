/**
 * HPACK, the header compression of HTTP/2 (RFC 7541). The decoder is whole: dynamic table, size updates, Huffman. The
 * encoder uses the static table and literals only, so it has no state to keep in step with the peer.
 */
import { ConnectionError, ErrorCode } from "./frames.ts";
import { decodeHuffman } from "./huffman.ts";
import { findStatic, findStaticName, staticTable } from "./hpack_static.ts";

/** Header fields in the order of the wire. Octets of values are characters 0 to 255. */
export type HeaderList = ReadonlyArray<readonly [name: string, value: string]>;

export interface HpackLimits {
  /** Octets that the peer's dynamic table may take: what we announce as SETTINGS_HEADER_TABLE_SIZE. */
  tableSize: number;
  /** Octets of one header list, counted as SETTINGS_MAX_HEADER_LIST_SIZE counts: names, values and 32 a field. */
  listSize: number;
}

export interface HpackDecoder {
  /** @throws {ConnectionError} COMPRESSION_ERROR for a broken block, ENHANCE_YOUR_CALM for a list over the limit. */
  decode(block: Uint8Array): HeaderList;
}

type Field = readonly [name: string, value: string];
const fieldOverhead = 32;

function sizeOf(field: Field): number {
  return field[0].length + field[1].length + fieldOverhead;
}

function broken(what: string): ConnectionError {
  return new ConnectionError(ErrorCode.COMPRESSION_ERROR, `header block: ${what}`);
}

/** Reads integers and strings of one header block. */
function createBlockReader(block: Uint8Array) {
  let at = 0;

  function octet(): number {
    const value = block[at++];
    if (value === undefined) throw broken("ends within a field");
    return value;
  }

  /** Section 5.1; `first` is the octet that holds the prefix. */
  function integer(first: number, prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = first & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const next = octet();
      value += (next & 0x7f) << shift;
      if ((next & 0x80) === 0) return value;
    }
    throw broken("an integer is too large");
  }

  /** Section 5.2. */
  function string(): string {
    const first = octet();
    const length = integer(first, 7);
    if (length > block.length - at) throw broken("a string is longer than the block");
    const bytes = block.subarray(at, at + length);
    at += length;
    if ((first & 0x80) === 0) return latin1(bytes);
    const text = decodeHuffman(bytes);
    if (text === undefined) throw broken("a Huffman code is not valid");
    return text;
  }

  return { octet, integer, string, more: () => at < block.length };
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** The dynamic table of section 2.3.2; the newest entry has the lowest index. */
function createTable(maxSize: number) {
  const entries: Field[] = [];
  let size = 0;
  let limit = maxSize;

  function evict(room: number): void {
    while (size + room > limit && entries.length > 0) size -= sizeOf(entries.pop() as Field);
  }

  return {
    add(field: Field): void {
      const room = sizeOf(field);
      evict(room);
      if (room > limit) return;
      entries.unshift(field);
      size += room;
    },
    resize(next: number): void {
      if (next > maxSize) throw broken("the table size update is over the announced limit");
      limit = next;
      evict(0);
    },
    get(index: number): Field {
      const field = index <= staticTable.length
        ? staticTable[index - 1]
        : entries[index - staticTable.length - 1];
      if (field === undefined) throw broken(`index ${index} is in neither table`);
      return field;
    },
  };
}

export function createHpackDecoder(limits: HpackLimits): HpackDecoder {
  const table = createTable(limits.tableSize);

  function decode(block: Uint8Array): HeaderList {
    const reader = createBlockReader(block);
    const list: Field[] = [];
    let listSize = 0;
    let updatesAllowed = true;
    while (reader.more()) {
      const first = reader.octet();
      if ((first & 0xe0) === 0x20) {
        if (!updatesAllowed) throw broken("a table size update after the first field");
        table.resize(reader.integer(first, 5));
        continue;
      }
      updatesAllowed = false;
      const field = readField(reader, table, first);
      listSize += sizeOf(field);
      if (listSize > limits.listSize) {
        throw new ConnectionError(
          ErrorCode.ENHANCE_YOUR_CALM,
          `a header list is over ${limits.listSize} octets`,
        );
      }
      list.push(field);
    }
    return list;
  }

  return { decode };
}

/** Section 6: indexed, literal with incremental indexing, literal without indexing, literal never indexed. */
function readField(
  reader: ReturnType<typeof createBlockReader>,
  table: ReturnType<typeof createTable>,
  first: number,
): Field {
  if (first >= 0x80) return table.get(reader.integer(first, 7));
  const indexing = first >= 0x40;
  const nameIndex = reader.integer(first, indexing ? 6 : 4);
  const name = nameIndex === 0 ? reader.string() : table.get(nameIndex)[0];
  const field: Field = [name, reader.string()];
  if (indexing) table.add(field);
  return field;
}

/** The longest integer that a field of the encoder needs: section 5.1. */
function pushInteger(out: number[], value: number, prefixBits: number, pattern: number): void {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) {
    out.push(pattern | value);
    return;
  }
  out.push(pattern | mask);
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) out.push((rest & 0x7f) | 0x80);
  out.push(rest);
}

function pushString(out: number[], text: string): void {
  pushInteger(out, text.length, 7, 0);
  for (let at = 0; at < text.length; at++) out.push(text.charCodeAt(at) & 0xff);
}

/**
 * One header block. `tableReset` puts a size update to 0 in front, which a peer that lowered
 * SETTINGS_HEADER_TABLE_SIZE waits for (section 4.2).
 */
export function encodeHeaders(headers: HeaderList, tableReset = false): Uint8Array<ArrayBuffer> {
  const out: number[] = tableReset ? [0x20] : [];
  for (const [name, value] of headers) {
    const index = findStatic(name, value);
    if (index !== undefined) {
      pushInteger(out, index, 7, 0x80);
      continue;
    }
    const nameIndex = findStaticName(name) ?? 0;
    pushInteger(out, nameIndex, 4, 0);
    if (nameIndex === 0) pushString(out, name);
    pushString(out, value);
  }
  return Uint8Array.from(out);
}
