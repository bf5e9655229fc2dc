/**
 * Text that only this node reads back: compressed, then sealed by AES-256-GCM under a key that is derived (HKDF, SHA-256)
 * from a key file and the machine's id. It keeps Secrets from whoever gets a copy of the sealed file, and a copied disk from
 * passing for this node; not from whoever has key file and machine. Not for: where the key file lies (cache.ts).
 */

type Bytes = Uint8Array<ArrayBuffer>;

export interface Seal {
  seal(text: string): Promise<Bytes>;
  /** @throws {TypeError} saying why it was not sealed here, or is damaged. */
  open(sealed: Uint8Array): Promise<string>;
}

export interface SealOptions {
  /** At least 16 bytes. */
  key: Uint8Array;
  machine: string;
  /** Whatever must be as it was when the text was sealed: the node's name, its cluster. */
  context: readonly string[];
}

const version = 1;
const ivLength = 12;
/** Of the text, against a bomb. */
const largest = 512 * 1024 * 1024;

const encode = (text: string): Bytes => new TextEncoder().encode(text);

export async function createSeal({ key, machine, context }: SealOptions): Promise<Seal> {
  const material = await crypto.subtle.importKey("raw", Uint8Array.from(key), "HKDF", false, ["deriveKey"]);
  const derived = await crypto.subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: encode(machine), info: encode("agent offline") },
    material,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
  const additionalData = encode(JSON.stringify([version, ...context]));
  return {
    async seal(text) {
      const iv = crypto.getRandomValues(new Uint8Array(ivLength));
      const packed = await throughStream(encode(text), new CompressionStream("deflate-raw"));
      const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, derived, packed);
      return joined([Uint8Array.of(version), iv, new Uint8Array(sealed)]);
    },
    async open(sealed) {
      if (sealed[0] !== version) throw new TypeError(`its version is ${sealed[0]}, expected ${version}`);
      const iv = Uint8Array.from(sealed.subarray(1, 1 + ivLength));
      const body = Uint8Array.from(sealed.subarray(1 + ivLength));
      const packed = await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData }, derived, body)
        .catch(
          () => {
            throw new TypeError(
              "it is damaged, or was sealed on another node, for another cluster, or by another key",
            );
          },
        );
      return new TextDecoder().decode(
        await throughStream(new Uint8Array(packed), new DecompressionStream("deflate-raw")),
      );
    },
  };
}

async function throughStream(bytes: Bytes, stream: CompressionStream | DecompressionStream): Promise<Bytes> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of new Blob([bytes]).stream().pipeThrough(stream)) {
    size += part.length;
    if (size > largest) throw new TypeError(`it holds more than ${largest} bytes`);
    parts.push(part);
  }
  return joined(parts);
}

function joined(parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
