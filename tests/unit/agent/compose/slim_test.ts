/** Which pages of our own executable may be given back. */
import { assertEquals } from "@std/assert";
import { discardable } from "../../../../agent/compose/slim.ts";

const maps = `55f50c73f000-55f50e2cd000 r--p 00000000 fe:00 16490523                   /opt/agent
55f50e543000-55f512237000 r-xp 01b8e000 fe:00 16490523                   /opt/agent
55f512237000-55f5124a9000 rw-p 05881000 fe:00 16490523                   /opt/agent
55f5124b9000-55f5124ba000 r--p 05b02000 fe:00 16490523                   /opt/agent
7f2ad8000000-7f2ad8021000 rw-p 00000000 00:00 0
7f2ad8100000-7f2ad8200000 r-xp 00000000 fe:00 99                         /usr/lib/libc.so.6
`;

Deno.test("code and leading constants of the executable may go; relocated, written and foreign parts stay", () => {
  assertEquals(discardable(maps, "/opt/agent"), [
    { start: 0x55f50c73f000n, end: 0x55f50e2cd000n },
    { start: 0x55f50e543000n, end: 0x55f512237000n },
  ]);
  assertEquals(discardable(maps, "/opt/other"), []);
  assertEquals(discardable("", "/opt/agent"), []);
});
