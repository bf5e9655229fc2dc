/**
 * Which images an archive holds, without reading its layers: hops from header to header of the tar to docker's
 * manifest.json and OCI's index.json. Not for: compressed archives, whose names are known after their import.
 */
import { parseTarHeader, tarBlock } from "../lib/tar/header.ts";
import { normalizeImageName } from "../model/image_name.ts";
import type { OpenFile } from "../ports.ts";

const MAX_ENTRIES = 50_000;
const MAX_INDEX_BYTES = 4 * 1024 * 1024;

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
    const block = await file.read(offset, tarBlock);
    if (block.length === tarBlock && block.every((byte) => byte === 0)) return found ? [...names] : undefined;
    const header = parseTarHeader(block);
    if (header === undefined) return undefined;
    const parse = INDEXES.get(header.path.replace(/^\.\//, ""));
    if (header.kind === "file" && parse !== undefined && header.size <= MAX_INDEX_BYTES) {
      const json = parseJson(await file.read(offset + tarBlock, header.size));
      if (json === undefined) return undefined;
      parse(json).forEach((name) => names.add(name));
      found = true;
    }
    offset += tarBlock + Math.ceil(header.size / tarBlock) * tarBlock;
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
