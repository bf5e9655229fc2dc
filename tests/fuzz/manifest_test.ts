/**
 * Fuzzes the manifest parser: random text, mutated manifests, random trees. It never throws, never hangs, and what it
 * accepts it accepts again. Seeded: `FUZZ_SEED` and `FUZZ_ROUNDS` repeat or lengthen a run.
 */
import { assert, assertEquals } from "@std/assert";
import { parseManifest } from "../../agent/model/manifest.ts";
import { schema } from "../../agent/model/gen/schema.ts";
import { containerHash, podHash, sandboxHash } from "../../agent/model/hash.ts";
import { locateProblems } from "../../agent/sources/locate.ts";
import { createRandom, type Random } from "./random.ts";

const seed = Number(Deno.env.get("FUZZ_SEED") ?? 1);
const rounds = Number(Deno.env.get("FUZZ_ROUNDS") ?? 600);

const examples = ["hello", "web"].map((name) =>
  Deno.readTextFileSync(new URL(`../../manifests/${name}.yaml`, import.meta.url))
);

/** Everything that is asked of the parser for one text; returns how many pods it accepted. */
async function check(text: string): Promise<number> {
  const started = performance.now();
  const parsed = parseManifest("fuzz.yaml", text);
  const unexpected = parsed.problems.find((p) => p.message.startsWith("could not be read"));
  assertEquals(unexpected, undefined);
  assert(performance.now() - started < 5_000, "took too long");
  if (parsed.broken.length > 0) assert(parsed.problems.some((p) => p.severity === "error"));
  for (const pod of parsed.pods) {
    assert(pod.metadata?.name && pod.metadata.namespace && pod.spec!.containers.length > 0);
    for (const container of pod.spec!.containers) {
      assert(/^[0-9a-f]{16}$/.test(containerHash(pod, container)));
    }
    const again = parseManifest("again.json", JSON.stringify(pod));
    assertEquals(again.problems.filter((p) => p.severity === "error"), []);
    assertEquals([podHash(again.pods[0]!), sandboxHash(again.pods[0]!)], [podHash(pod), sandboxHash(pod)]);
  }
  const located = await locateProblems(text, parsed.problems);
  const lines = text.split("\n").length;
  for (const { line } of located) {
    assert(line === undefined || (line >= 1 && line <= lines), `line ${line} of ${lines}`);
  }
  return parsed.pods.length;
}

async function run(what: string, create: (random: Random) => string): Promise<number> {
  let accepted = 0;
  for (let i = 0; i < rounds; i++) {
    const text = create(createRandom(seed * 1_000_003 + i));
    try {
      accepted += await check(text);
    } catch (error) {
      throw new Error(`${what}, FUZZ_SEED=${seed}, round ${i}: ${JSON.stringify(text)}`, { cause: error });
    }
  }
  return accepted;
}

const pieces = [
  ..."\n\n\n    -:,[]{}&*!|>'\"%@`#?\t~<\\\u0000\u00ff\ufeff\u2028",
  ...[
    "---\n",
    "...\n",
    "<<: ",
    "*a",
    "&a ",
    "!!str ",
    "null",
    "true",
    "yes",
    "0o7",
    ".inf",
    "1e999",
    "- ",
    "? ",
    ": ",
  ],
  ...[
    "apiVersion: v1\n",
    "kind: Pod\n",
    "kind: List\nitems:\n",
    "metadata:\n",
    "  name: a\n",
    "spec:\n",
    "__proto__: ",
  ],
  ...["  containers:\n", "  - name: a\n    image: b\n", "constructor: 1\n", "\ud800", "é", "'", '"'],
];

Deno.test("fuzz: text of YAML's pieces", async () => {
  await run(
    "pieces",
    (random) => Array.from({ length: 1 + random.below(60) }, () => random.pick(pieces)).join(""),
  );
});

Deno.test("fuzz: manifests with parts cut, doubled, swapped and replaced", async () => {
  const accepted = await run("mutated", (random) => {
    let text = random.pick(examples);
    for (let n = 1 + random.below(6); n > 0; n--) {
      const from = random.below(text.length);
      const to = from + random.below(40);
      const middle = random.pick([
        () => "",
        () => text.slice(from, to).repeat(2),
        () => random.pick(pieces),
        () => text.slice(from, to).split("").reverse().join(""),
        () => String(random.below(100_000) - 50),
      ])();
      text = text.slice(0, from) + middle + text.slice(to);
    }
    return text;
  });
  assert(accepted > rounds / 20, `only ${accepted} of ${rounds} were accepted`);
});

/** A value of the type more often than not, so that the rules behind the decoder are reached. */
function randomValue(random: Random, type: string, depth: number, wild: number): unknown {
  if (random.below(1000) < wild * 2) {
    return random.pick([null, 1, -1, 1.5, "x", "", true, [], {}, [null], { a: null }, "a".repeat(300)]);
  }
  if (depth > 7) return null;
  if (type.endsWith("[]")) {
    return Array.from(
      { length: random.below(3) },
      () => randomValue(random, type.slice(0, -2), depth + 1, wild),
    );
  }
  if (type.endsWith("{}")) {
    const keys = ["a", "cpu", "memory", "a.b/c", "A B", "__proto__"];
    return Object.fromEntries(
      Array.from({ length: random.below(3) }, () => [
        random.pick(keys),
        randomValue(random, type.slice(0, -2), depth + 1, wild),
      ]),
    );
  }
  const fields = schema[type];
  if (fields === undefined) return randomScalar(random, type);
  return Object.fromEntries(
    Object.entries(fields).filter(([, t]) => t.endsWith("!") || random.below(100) < wild)
      .map(([key, t]) => [key, randomValue(random, t.replace("!", ""), depth + 1, wild)]),
  );
}

function randomScalar(random: Random, type: string): unknown {
  if (type === "boolean") return random.pick([true, false]);
  if (type === "int32" || type === "int64" || type === "number") {
    return random.pick([0, 1, 80, 8080, 65536, -1]);
  }
  if (type === "quantity") return random.pick(["1", "250m", "64Mi", 1, "-1", "x"]);
  if (type === "bytes") return random.pick(["", "aGk=", "a"]);
  return random.pick([
    "a",
    "web",
    "Always",
    "TCP",
    "/a",
    "../b",
    "Localhost",
    "None",
    "127.0.0.1",
    "::1",
    "1:2:3",
    "x y",
  ]);
}

Deno.test("fuzz: random trees that follow the schema", async () => {
  const accepted = await run("trees", (random) => {
    const kind = random.pick(["Pod", "Pod", "Pod", "ConfigMap", "Secret"]);
    const wild = random.pick([1, 3, 20]);
    const object = randomValue(random, kind, 0, wild);
    const container = {
      ...randomValue(random, "Container", 2, wild) as object,
      name: "main",
      image: "demo:1",
    };
    const spec = randomValue(random, "PodSpec", 1, wild) as object;
    const named = random.below(4) === 0 ? object : {
      metadata: { name: "web" },
      ...kind === "Pod" ? { spec: { ...spec, containers: [container] } } : {},
    };
    return JSON.stringify({ ...named as object, apiVersion: "v1", kind }, null, random.below(3));
  });
  assert(accepted > rounds / 20, `only ${accepted} of ${rounds} were accepted`);
});
