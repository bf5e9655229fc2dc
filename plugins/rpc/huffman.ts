/**
 * Huffman decoding of HPACK strings (RFC 7541, section 5.2 and appendix B). Decoding only: what we send is short, and
 * plain strings are always allowed.
 */

// Appendix B's code is canonical: codes grow with (length, symbol), so the lengths of the 257 symbols give it whole.
// Written as runs, <length>x<count>, to keep it readable next to the RFC.
const lengthRuns =
  "13 23 28x7 24 30 28x2 30 28x8 30 28x9 6 10x2 12 13 6 8 11 10x2 8 11 8 6x3 5x3 6x7 7 8 15 6 12 10 " +
  "13 6 7x22 8 7 8 13 19 13 14 6 15 5 6 5 6 5 6x3 5 7x2 6x3 5 6 7 6 5x2 6 7x5 15 11 14 13 28 " +
  "20 22 20x2 22x3 23 22 23x5 24 23 24x2 22 23 24 23x4 21 22 23 22 23x2 24 22 21 20 22x2 23x2 21 23 22x2 24 21 22 " +
  "23x2 21x2 22 21 23 22 23x2 20 22x3 23 22x2 23 26x2 20 19 22 23 22 25 26x3 27x2 26 24 25 19 21 26 27x2 26 27 24 " +
  "21x2 26x2 28 27x3 20 24 20 21 22 21x2 23 22x2 25x2 24x2 26 23 26 27 26x2 27x5 28 27x5 26 30";
const endOfString = 256;

/** The code length in bits of each symbol 0 to 256 (256 is EOS). */
function readLengths(): number[] {
  return lengthRuns.split(" ").flatMap((run) => {
    const [length, count] = run.split("x").map(Number);
    return new Array<number>(count ?? 1).fill(length ?? 0);
  });
}

/**
 * The code as a binary tree: tree[2 * node + bit] is the next node, or -1 - symbol at a leaf. An inner node is
 * never 0 as a target, because 0 is the root.
 */
function buildTree(): Int16Array {
  const lengths = readLengths();
  const symbols = lengths.map((_, symbol) => symbol)
    .sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0) || a - b);
  const tree = new Int16Array(2 * lengths.length);
  let nodes = 1;
  let code = 0;
  let previous = 0;
  for (const symbol of symbols) {
    const length = lengths[symbol] ?? 0;
    code <<= length - previous;
    previous = length;
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const slot = 2 * node + ((code >>> bit) & 1);
      if (tree[slot] === 0) tree[slot] = nodes++;
      node = tree[slot] ?? 0;
    }
    tree[2 * node + (code & 1)] = -1 - symbol;
    code++;
  }
  return tree;
}

let tree: Int16Array | undefined;

/** The decoded octets as a string of one character per octet; undefined when the encoding is not valid. */
export function decodeHuffman(bytes: Uint8Array): string | undefined {
  tree ??= buildTree();
  let text = "";
  let node = 0;
  let pendingBits = 0;
  let onesOnly = true;
  for (const byte of bytes) {
    for (let shift = 7; shift >= 0; shift--) {
      const bit = (byte >>> shift) & 1;
      const next = tree[2 * node + bit] ?? 0;
      pendingBits++;
      onesOnly &&= bit === 1;
      if (next >= 0) {
        node = next;
        continue;
      }
      if (next === -1 - endOfString) return undefined;
      text += String.fromCharCode(-1 - next);
      node = 0;
      pendingBits = 0;
      onesOnly = true;
    }
  }
  // Padding is the most significant bits of EOS, which are ones, and shorter than an octet.
  return pendingBits < 8 && onesOnly ? text : undefined;
}
