import { assertEquals } from "@std/assert";
import { mountsWithin, parseMountInfo } from "../../../../agent/lib/mountinfo.ts";

const text = String.raw`22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,discard
36 22 0:31 / /var/lib/x\040y\134z rw,nosuid shared:2 master:1 - tmpfs tmpfs rw,size=64k
37 36 0:32 /sub /var/lib/x\040y\134z/a-b rw - fuse.sshfs user@host:/x rw
broken line
38 22 0:33 / /var/lib2 rw - proc  rw
`;

Deno.test("mount points are read with tags, escapes and empty sources", () => {
  const mounts = parseMountInfo(text);
  assertEquals(mounts.map((m) => m.path), ["/", "/var/lib/x y\\z", "/var/lib/x y\\z/a-b", "/var/lib2"]);
  assertEquals(mounts[1], {
    path: "/var/lib/x y\\z",
    fsType: "tmpfs",
    source: "tmpfs",
    options: ["rw", "nosuid", "size=64k"],
  });
  assertEquals(mounts[3]?.source, "");
});

Deno.test("only whole path parts count as below", () => {
  const within = (path: string) => mountsWithin(parseMountInfo(text), path).length;
  assertEquals([within("/"), within("/var/lib"), within("/var/lib2"), within("/var/li")], [4, 2, 1, 0]);
});
