/** PEM, the text form of certificates, keys and requests (RFC 7468). Pure. Not for: what is inside. */
import type { Bytes } from "./der.ts";

export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, … */
  label: string;
  content: Bytes;
}

/** All blocks of a text, in order; what stands between them is ignored, and so are blocks that are not base64. */
export function pemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  for (const match of text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----\s([^-]*)-----END \1-----/g)) {
    const content = fromBase64(match[2]!.replace(/\s/g, ""));
    if (content !== undefined) blocks.push({ label: match[1]!, content });
  }
  return blocks;
}

export function pem(label: string, content: Uint8Array): string {
  const lines = toBase64(content).match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

export function fromBase64(text: string): Bytes | undefined {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** Of its UTF-8: what stands between the blocks may be in any language. */
export const textToBase64 = (text: string): string => toBase64(new TextEncoder().encode(text));

export const toBase64 = (bytes: Uint8Array): string =>
  btoa(Array.from(bytes, (octet) => String.fromCharCode(octet)).join(""));
