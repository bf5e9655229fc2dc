import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { parseManifest } from "../../agent/model/manifest.ts";
import { devices, hasDevice } from "./pods.ts";
import { createScript, type Move } from "./script.ts";

const options = { seed: 7, kills: 60, restEvery: 8, startsDirectory: "/starts", firstHostPort: 20_000 };

const writes = (script: readonly Move[]) => script.flatMap((m) => m.kind === "write" ? [...m.files] : []);

Deno.test("the same seed gives the same script, another seed another", () => {
  assertEquals(createScript(options), createScript(options));
  assertNotEquals(createScript(options), createScript({ ...options, seed: 8 }));
});

Deno.test("only what was written is removed, and nothing is left at the end", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const files = new Set<string>();
    for (const [name, text] of writes(createScript({ ...options, seed }))) {
      if (text === undefined) {
        assert(files.delete(name), `seed ${seed}: ${name} is removed without being there`);
      } else files.add(name);
    }
    assertEquals([...files], []);
  }
});

Deno.test("manifests are right, but for those that are broken on purpose", () => {
  const files = new Map<string, string>();
  for (const move of createScript(options)) {
    if (move.kind !== "write") continue;
    for (const [name, text] of move.files) {
      if (text === undefined) continue;
      const errors = parseManifest(name, text).problems.filter((p) => p.severity === "error");
      assertEquals(
        errors.length > 0,
        move.what.startsWith("break "),
        `${move.what}: ${JSON.stringify(errors)}`,
      );
      files.set(name, text);
    }
  }
  assert(files.size > 10);
});

Deno.test("a rest says how often each container may have started: an edit of it makes one more start due", () => {
  const rests = createScript(options).flatMap((m) => m.kind === "rest" ? [m.wanted] : []);
  assertEquals(rests.at(-1)?.pods, []);
  for (const { pods, starts } of rests) {
    for (const pod of pods) assert([...starts.keys()].some((key) => key.startsWith(`${pod.name}_`)));
  }
  assert([...rests.at(-1)!.starts.values()].every((times) => times >= 1));
});

Deno.test("no more pods want a device than can have one; plugins live at each rest", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const killed = new Set<string>();
    for (const move of createScript({ ...options, seed })) {
      if (move.kind === "killPlugin") killed.add(move.plugin);
      if (move.kind === "startPlugins") killed.clear();
      if (move.kind !== "rest") continue;
      assert(move.wanted.pods.filter(hasDevice).length <= devices.length, `seed ${seed}`);
      assertEquals([...killed], [], `seed ${seed}`);
    }
  }
});
