/**
 * MD5, synchronous and without the platform's crypto: short stable names for content. Not for: anything that an
 * opponent could gain from.
 *
 * Source: RFC 1321.
 */

const shifts = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]] as const;
const sines = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0);
const indexes = Uint8Array.from({ length: 64 }, (_, i) => {
  return [i, 5 * i + 1, 3 * i + 5, 7 * i][i >> 4]! % 16;
});

/** Lowercase hexadecimal digest of the text in UTF-8. */
export function md5(text: string): string {
  const bytes = new TextEncoder().encode(text);
  const padded = new DataView(new ArrayBuffer(((bytes.length + 8 >> 6) + 1) * 64));
  new Uint8Array(padded.buffer).set(bytes);
  padded.setUint8(bytes.length, 0x80);
  padded.setUint32(padded.byteLength - 8, bytes.length << 3 >>> 0, true);
  padded.setUint32(padded.byteLength - 4, Math.floor(bytes.length / 2 ** 29), true);
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  for (let offset = 0; offset < padded.byteLength; offset += 64) addBlock(state, padded, offset);
  const digest = new DataView(new ArrayBuffer(16));
  state.forEach((word, i) => digest.setInt32(i * 4, word, true));
  return [...new Uint8Array(digest.buffer)].map((b) => b.toString(16).padStart(2, "0")).join("");
}

function addBlock(state: Int32Array, text: DataView, offset: number): void {
  let [a = 0, b = 0, c = 0, d = 0] = state;
  for (let i = 0; i < 64; i++) {
    const round = i >> 4;
    const mixed = round === 0
      ? (b & c) | (~b & d)
      : round === 1
      ? (d & b) | (~d & c)
      : round === 2
      ? b ^ c ^ d
      : c ^ (b | ~d);
    const sum = a + mixed + sines[i]! + text.getInt32(offset + indexes[i]! * 4, true) | 0;
    const shift = shifts[round]![i & 3]!;
    [a, d, c, b] = [d, c, b, b + (sum << shift | sum >>> 32 - shift) | 0];
  }
  state.set([state[0]! + a, state[1]! + b, state[2]! + c, state[3]! + d]);
}
