import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../../agent/cli/command.ts";
import { parseSelector } from "../../../../agent/cli/selector.ts";

Deno.test("selectors: equality, sets, presence, and all of them together", () => {
  const labels = { app: "web", tier: "front", "example.com/x": "" };
  const fits = (text: string) => parseSelector(text)(labels);
  for (
    const text of [
      "app=web",
      "app==web,tier!=db",
      "none!=x",
      "app in (db, web)",
      "app notin (db),none notin (a)",
      "app",
      "!none",
      "example.com/x=",
      "app in (a,web),tier=front",
    ]
  ) assertEquals(fits(text), true, text);
  for (
    const text of ["app=db", "app!=web", "none", "!app", "app notin (web)", "app=web,tier=db", "none in (a)"]
  ) {
    assertEquals(fits(text), false, text);
  }
  for (const wrong of ["", "app=web,", "=web", "!app=web", "app in web", "app=(a)", "a b"]) {
    assertThrows(() => parseSelector(wrong), UsageError, "--selector");
  }
  assertEquals(parseSelector(undefined)({}), true);
});
