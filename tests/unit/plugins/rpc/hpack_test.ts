import { assertEquals, assertThrows } from "@std/assert";
import { ConnectionError } from "../../../../plugins/rpc/frames.ts";
import { createHpackDecoder, encodeHeaders, type HeaderList } from "../../../../plugins/rpc/hpack.ts";
import { staticTable } from "../../../../plugins/rpc/hpack_static.ts";

function hex(text: string): Uint8Array {
  return Uint8Array.from(text.replaceAll(" ", "").match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function decoder(tableSize = 4096, listSize = 65536) {
  return createHpackDecoder({ tableSize, listSize });
}

const get: HeaderList = [[":method", "GET"], [":scheme", "http"], [":path", "/"], [
  ":authority",
  "www.example.com",
]];
const requests: HeaderList[] = [
  get,
  [...get, ["cache-control", "no-cache"]],
  [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/index.html"],
    [":authority", "www.example.com"],
    ["custom-key", "custom-value"],
  ],
];
const responses: HeaderList[] = [
  [
    [":status", "302"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["location", "https://www.example.com"],
  ],
  [
    [":status", "307"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["location", "https://www.example.com"],
  ],
  [
    [":status", "200"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
    ["location", "https://www.example.com"],
    ["content-encoding", "gzip"],
    ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
  ],
];

Deno.test("the single fields of RFC 7541 C.2", () => {
  const cases: Array<[string, string, string]> = [
    ["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key", "custom-header"],
    ["040c 2f73 616d 706c 652f 7061 7468", ":path", "/sample/path"],
    ["1008 7061 7373 776f 7264 0673 6563 7265 74", "password", "secret"],
    ["82", ":method", "GET"],
  ];
  for (const [block, name, value] of cases) assertEquals(decoder().decode(hex(block)), [[name, value]]);
});

const sequences: Array<[name: string, tableSize: number, expected: HeaderList[], blocks: string[]]> = [
  ["C.3 requests without Huffman", 4096, requests, [
    "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    "8286 84be 5808 6e6f 2d63 6163 6865",
    "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
  ]],
  ["C.4 requests with Huffman", 4096, requests, [
    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    "8286 84be 5886 a8eb 1064 9cbf",
    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
  ]],
  ["C.5 responses with evictions", 256, responses, [
    "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120" +
    "474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    "4803 3330 37c1 c0bf",
    "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738" +
    "666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33" +
    "3630 303b 2076 6572 7369 6f6e 3d31",
  ]],
  ["C.6 responses with evictions and Huffman", 256, responses, [
    "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718" +
    "63c7 8f0b 97c8 e9ae 82ae 43d3",
    "4883 640e ffc1 c0bf",
    "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7" +
    "b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
  ]],
];
for (const [name, tableSize, expected, blocks] of sequences) {
  Deno.test(`the sequence of RFC 7541 ${name}`, () => {
    const { decode } = decoder(tableSize);
    assertEquals(blocks.map((block) => decode(hex(block))), expected);
  });
}

Deno.test("every static entry decodes by its index", () => {
  assertEquals(staticTable.length, 61);
  const indexes = Uint8Array.from(staticTable, (_, at) => 0x80 | (at + 1));
  assertEquals(decoder().decode(indexes), staticTable);
});

Deno.test("what the encoder writes decodes to the same list, also after a peer changed its table", () => {
  const list: HeaderList = [
    [":method", "POST"],
    [":path", "/runtime.v1.RuntimeService/Version"],
    ["x-empty", ""],
    ["x-long", "v".repeat(5000)],
    ["x-octets", "\x00\x7f\xff"],
  ];
  assertEquals(decoder().decode(encodeHeaders(list)), list);
  assertEquals(decoder(0).decode(encodeHeaders(list, true)), list);
});

Deno.test("a table size update empties the table and is refused over the limit or after a field", () => {
  const { decode } = decoder();
  decode(hex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"));
  assertEquals(decode(hex("be")), [["custom-key", "custom-header"]]);
  assertThrows(() => decode(hex("20 be")), ConnectionError, "index 62");
  assertThrows(() => decoder(256).decode(hex("3f e2 01")), ConnectionError, "limit");
  assertThrows(() => decoder().decode(hex("82 20")), ConnectionError, "after the first field");
});

Deno.test("the oldest entries leave a full table, and an entry larger than the table empties it", () => {
  const { decode } = decoder(100);
  const add = (name: string, value: string) => {
    const block = encodeHeaders([[name, value]]);
    block[0] = 0x40; // with indexing
    decode(block);
  };
  for (const name of ["a", "b", "c"]) add(name, "v".repeat(10));
  assertEquals(decode(hex("be bf")), [["c", "v".repeat(10)], ["b", "v".repeat(10)]]);
  assertThrows(() => decode(hex("c0")), ConnectionError, "index 64");
  add("d", "v".repeat(100));
  assertThrows(() => decode(hex("be")), ConnectionError, "index 62");
});

Deno.test("broken blocks are errors of compression", () => {
  const cases = {
    "ends within": "40",
    "longer than the block": "400a 6375",
    "index 0": "80",
    "index 70": "c6",
    "too large": "ff ff ff ff ff ff ff ff",
    "Huffman": "4081 00 00",
  };
  for (const [message, block] of Object.entries(cases)) {
    const error = assertThrows(() => decoder().decode(hex(block)), ConnectionError, message);
    assertEquals(error.code, 9);
  }
});

Deno.test("a small block that unfolds into a large list is refused", () => {
  const { decode } = decoder(4096, 10_000);
  const large = encodeHeaders([["x-large", "v".repeat(3000)]]);
  large[0] = 0x40; // with indexing
  decode(large);
  const error = assertThrows(() => decode(hex("be be be be")), ConnectionError, "10000 octets");
  assertEquals(error.code, 11);
});
