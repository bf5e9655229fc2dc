import { assertEquals } from "@std/assert";
import { editDistance, suggest } from "../../../../agent/model/suggest.ts";

Deno.test("edit distance counts insertions, deletions, replacements and swaps", () => {
  const cases: [string, string, number][] = [
    ["", "", 0],
    ["abc", "", 3],
    ["image", "imgae", 1],
    ["image", "images", 1],
    ["image", "omage", 1],
    ["kitten", "sitting", 3],
  ];
  for (const [a, b, distance] of cases) {
    assertEquals([editDistance(a, b), editDistance(b, a)], [distance, distance]);
  }
});

Deno.test("a suggestion is close, or there is none", () => {
  const known = ["image", "imagePullPolicy", "command", "env", "envFrom"];
  assertEquals(suggest("imgae", known), "image");
  assertEquals(suggest("ImagePullpolicy", known), "imagePullPolicy");
  assertEquals(suggest("evn", known), "env");
  assertEquals(suggest("volumes", known), undefined);
});
