import { assertEquals } from "@std/assert";
import { findPosition } from "../../../../agent/config/position.ts";

const yaml = `# a: comment
a: 1
"quoted key": 2
nested:
  a:
    b: x   # a: not here
  'c': |
    a: text of a block
list:
- name: one
  a: 5
other: { a: 1, deep: { b: 2 } }
`;

const places: [string[], [number, number] | undefined][] = [
  [["a"], [2, 1]],
  [["quoted key"], [3, 1]],
  [["nested"], [4, 1]],
  [["nested", "a"], [5, 3]],
  [["nested", "a", "b"], [6, 5]],
  [["nested", "c"], [7, 3]],
  [["other", "deep"], [12, 16]],
  [["other", "deep", "b"], [12, 24]],
  [["nested", "a", "none"], [5, 3]],
  [["none"], undefined],
  [["none", "a"], undefined],
];
for (const [path, place] of places) {
  Deno.test(`the place of ${path.join(".")}`, () => {
    const found = findPosition(yaml, path);
    assertEquals(found && [found.line, found.column], place);
  });
}

Deno.test("lines count from the first line given; names are no patterns", () => {
  assertEquals(findPosition('x: 1\n{"a.b": 2}\n', ["a.b"], 11), { line: 12, column: 2 });
  assertEquals(findPosition("axb: 2\n", ["a.b"]), undefined);
});
