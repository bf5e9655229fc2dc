import { assertThrows } from "@std/assert";
import { proveUsing } from "../../../tools/build.ts";

Deno.test("a build that loses a using is refused", () => {
  const plain = "{\n  using file = await open(path);\n  await file.read();\n}\nusing _ = lane;\n";
  proveUsing(plain, "{using f=await o(p);await f.read()}using n=l;");
  assertThrows(
    () => proveUsing(plain, "{await (await o(p)).read()}using n=l;"),
    Error,
    '1 of 2 "using" are lost',
  );
});
