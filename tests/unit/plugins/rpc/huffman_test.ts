import { assertEquals } from "@std/assert";
import { decodeHuffman } from "../../../../plugins/rpc/huffman.ts";

function bits(text: string): Uint8Array {
  const padded = text.replaceAll(" ", "").replace(
    /^(.*)$/,
    (all) => all.padEnd(Math.ceil(all.length / 8) * 8, "1"),
  );
  return Uint8Array.from(padded.match(/.{8}/g) ?? [], (octet) => parseInt(octet, 2));
}

Deno.test("codes of all lengths as RFC 7541, appendix B, lists them", () => {
  const codes: Array<[string, string]> = [
    ["00000", "0"],
    ["01001", "t"],
    ["010100", " "],
    ["1011100", ":"],
    ["11111000", "&"],
    ["1111111000", "!"],
    ["11111111010", "'"],
    ["111111111010", "#"],
    ["1111111111000", "\x00"],
    ["11111111111100", "^"],
    ["111111111111100", "<"],
    ["1111111111111110000", "\\"],
    ["11111111111111100110", "\x80"],
    ["111111111111111011100", "\x99"],
    ["1111111111111111010010", "\x81"],
    ["11111111111111111011000", "\x01"],
    ["111111111111111111101010", "\t"],
    ["1111111111111111111101100", "\xc7"],
    ["11111111111111111111100000", "\xc0"],
    ["111111111111111111111011110", "\xcb"],
    ["1111111111111111111111100010", "\x02"],
    ["111111111111111111111111111100", "\n"],
    ["111111111111111111111111111110", "\x16"],
  ];
  for (const [code, character] of codes) assertEquals(decodeHuffman(bits(code)), character, code);
});

Deno.test("padding is shorter than an octet and all ones; EOS is no symbol", () => {
  assertEquals(decodeHuffman(bits("00000 111")), "0");
  assertEquals(decodeHuffman(bits("00000 110")), undefined);
  assertEquals(decodeHuffman(bits("00000 111 11111111")), undefined);
  assertEquals(decodeHuffman(bits("1".repeat(30))), undefined);
  assertEquals(decodeHuffman(new Uint8Array(0)), "");
});
