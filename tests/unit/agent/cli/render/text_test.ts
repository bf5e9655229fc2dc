import { assertEquals } from "@std/assert";
import { formatFields } from "../../../../../agent/cli/render/fields.ts";
import { createProgress, progressBar } from "../../../../../agent/cli/render/progress.ts";
import {
  cell,
  cellWidth,
  createPaint,
  formatBytes,
  formatTable,
  oneLine,
  printable,
} from "../../../../../agent/cli/render/text.ts";

Deno.test("widths in cells: wide, combining, joined", () => {
  const cases: [string, number][] = [
    ["abc", 3],
    ["日本", 4],
    ["é", 1],
    ["e\u0301", 1],
    ["한글", 4],
    ["🚀", 2],
    ["👩‍🚀", 2],
    ["…", 1],
    ["", 0],
  ];
  assertEquals(cases.map(([text]) => [text, cellWidth(text)]), cases);
});

Deno.test("what a pod says cannot command the terminal", () => {
  assertEquals(printable("\x1b]0;title\x07 a\nb\tc\x9b31m"), "\\x1b]0;title\\x07 a\nb\tc\\x9b31m");
  assertEquals(oneLine("a \n  b\tc\r\n"), "a b c");
  const table = formatTable(["A", "B"], [["\x1b[31mx", "two\nlines"]], createPaint(false));
  assertEquals(table, "A           B\n\\x1b[31mx   two lines\n");
});

Deno.test("colours do not disturb the columns; without them there is no escape", () => {
  const rows = [[cell("日本", "red"), "x"], ["abcdef", "y"]];
  assertEquals(formatTable(["N", "V"], rows, createPaint(false)), "N        V\n日本     x\nabcdef   y\n");
  assertEquals(
    formatTable(["N", "V"], rows, createPaint(true)),
    "N        V\n\x1b[31m日本\x1b[0m     x\nabcdef   y\n",
  );
});

Deno.test("later rows of a watch keep the widths of earlier ones", () => {
  const widths: number[] = [];
  formatTable(["NAME", "S"], [["a-long-name", "x"]], createPaint(false), { widths });
  assertEquals(
    formatTable(["NAME", "S"], [["b", "y"]], createPaint(false), { widths, header: false }),
    "b             y\n",
  );
});

Deno.test("fields line up in their group", () => {
  assertEquals(
    formatFields([["Name", "web"], ["Labels", ["a=1", "b=2"]], ["Containers", [["app", [["Image ID", ""], [
      "Port",
      "80",
    ]]]]]]),
    "Name:  web\nLabels:\n  a=1\n  b=2\nContainers:\n  app:\n    Image ID:\n    Port:      80\n",
  );
});

Deno.test("further lines of a value stand below its first", () => {
  assertEquals(
    formatFields([["Labels", "a=1\nb=2\n"], ["IP", "x"]], "  "),
    "  Labels:  a=1\n           b=2\n  IP:      x\n",
  );
});

Deno.test("sizes", () => {
  assertEquals([0, 1023, 1024, 1536, 123456789].map(formatBytes), [
    "0 B",
    "1023 B",
    "1.0 KiB",
    "1.5 KiB",
    "118 MiB",
  ]);
});

function createScreen(errIsTerminal: boolean) {
  let text = "";
  return {
    screen: {
      errIsTerminal,
      columns: () => 10,
      err(more: string) {
        text += more;
        return Promise.resolve();
      },
    },
    shown: () => text,
  };
}

Deno.test("progress is redrawn in place for people, within the width", async () => {
  const { screen, shown } = createScreen(true);
  const show = createProgress(screen);
  await show(["a", "b"]);
  await show(["a", "a line that is too long"]);
  assertEquals(shown(), "\x1b[2Ka\n\x1b[2Kb\n\x1b[2A\x1b[2Ka\n\x1b[2Ka line th\n");
});

Deno.test("progress is one line for each change otherwise", async () => {
  const { screen, shown } = createScreen(false);
  const show = createProgress(screen);
  await show(["a: 0", "b: 0"]);
  await show(["a: 0", "b: 1"]);
  await show(["a: 0", "b: 1"]);
  assertEquals(shown(), "a: 0\nb: 0\nb: 1\n");
});

Deno.test("bars are as wide as they say", () => {
  assertEquals([0, 0.5, 1, 7].map((share) => progressBar(share, 0, 8)), [
    "[        ]",
    "[===>    ]",
    "[========]",
    "[========]",
  ]);
  for (let ms = 0; ms < 10_000; ms += 250) assertEquals(progressBar(undefined, ms, 8).length, 10);
  assertEquals(progressBar(undefined, 0, 8), "[<=>     ]");
});
