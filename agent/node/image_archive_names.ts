/**
 * Which images an archive holds, without reading its layers: hops from header to header of the tar (POSIX.1-2017, pax,
 * "ustar Interchange Format") to docker's manifest.json and OCI's index.json. Not for: compressed archives, whose
 * names are known after their import.
 */
import { normalizeImageName } from "../model/image_name.ts";
import type { OpenFile } from "../ports.ts";

const BLOCK = 512;
const MAX_ENTRIES = 50_000;
const MAX_INDEX_BYTES = 4 * 1024 * 1024;

export interface TarHeader {
  path: string;
  /** Bytes of content that follow the header. */
  size: number;
  isFile: boolean;
}

/** `undefined` when the block is no header: its checksum is wrong, or it is the end of the archive. */
export function parseTarHeader(block: Uint8Array): TarHeader | undefined {
  if (block.length < BLOCK || octal(block, 148, 8) !== checksum(block)) return undefined;
  const size = (block[124]! & 0x80) === 0 ? octal(block, 124, 12) : base256(block.subarray(125, 136));
  if (size === undefined || !Number.isSafeInteger(size)) return undefined;
  const [name, prefix] = [text(block, 0, 100), text(block, 257, 5) === "ustar" ? text(block, 345, 155) : ""];
  const type = block[156];
  return { path: prefix === "" ? name : `${prefix}/${name}`, size, isFile: type === 0 || type === 0x30 };
}

/** Of all bytes, those of the checksum itself as blanks. */
function checksum(block: Uint8Array): number {
  return block.reduce((sum, byte, i) => sum + (i >= 148 && i < 156 ? 0x20 : byte), 0);
}

function text(block: Uint8Array, offset: number, length: number): string {
  const field = block.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

function octal(block: Uint8Array, offset: number, length: number): number | undefined {
  const digits = text(block, offset, length).trim();
  return /^[0-7]+$/.test(digits) ? parseInt(digits, 8) : undefined;
}

/** GNU's form of sizes beyond 8 GiB. */
function base256(bytes: Uint8Array): number {
  return bytes.reduce((n, byte) => n * 256 + byte, 0);
}

/** Names in docker's manifest.json: `[{ RepoTags: ["busybox:1"] }]`. */
export function namesInManifest(json: unknown): string[] {
  return list(json).flatMap((entry) => list(field(entry, "RepoTags"))).flatMap(fullName);
}

/** Names in an OCI index.json (image-spec, annotations.md; containerd adds the whole name in one of its own). */
export function namesInIndex(json: unknown): string[] {
  return list(field(json, "manifests")).flatMap((manifest) => {
    const annotations = field(manifest, "annotations");
    const whole = fullName(field(annotations, "io.containerd.image.name"));
    if (whole.length > 0) return whole;
    const reference = field(annotations, "org.opencontainers.image.ref.name");
    // Often it is a tag alone, which names nothing.
    return typeof reference === "string" && /[/:]/.test(reference) ? fullName(reference) : [];
  });
}

function fullName(name: unknown): string[] {
  const normalized = typeof name === "string" ? normalizeImageName(name)?.name : undefined;
  return normalized === undefined ? [] : [normalized];
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

const INDEXES = new Map<string, (json: unknown) => string[]>([
  ["manifest.json", namesInManifest],
  ["index.json", namesInIndex],
]);

/** Full image names; `undefined` when they cannot be told before the import (compressed, cut short, no such archive). */
export async function readArchiveNames(file: OpenFile): Promise<string[] | undefined> {
  const names = new Set<string>();
  let found = false;
  let offset = 0;
  for (let entries = 0; entries < MAX_ENTRIES; entries++) {
    const block = await file.read(offset, BLOCK);
    if (block.length === BLOCK && block.every((byte) => byte === 0)) return found ? [...names] : undefined;
    const header = parseTarHeader(block);
    if (header === undefined) return undefined;
    const parse = INDEXES.get(header.path.replace(/^\.\//, ""));
    if (header.isFile && parse !== undefined && header.size <= MAX_INDEX_BYTES) {
      const json = parseJson(await file.read(offset + BLOCK, header.size));
      if (json === undefined) return undefined;
      parse(json).forEach((name) => names.add(name));
      found = true;
    }
    offset += BLOCK + Math.ceil(header.size / BLOCK) * BLOCK;
  }
  return undefined;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
