/**
 * Fuzzes CDI specs: mutated stories never make anything throw or hang, and what is accepted can be joined, offered and
 * said in CRI's words, or is refused in words. Seeded: `FUZZ_SEED` and `FUZZ_ROUNDS` repeat or lengthen a run.
 */
import { assert } from "@std/assert";
import { parseCdiName, parseCdiSpec } from "../../agent/model/cdi.ts";
import { applyCdi, checkAppliedByAgent, hostPathsOf } from "../../agent/model/cdi_edits.ts";
import { deviceOffers } from "../../agent/model/cdi_offers.ts";
import { collectCdi, mergedCdiEdits } from "../../agent/model/cdi_registry.ts";
import { locateProblems } from "../../agent/sources/locate.ts";
import { createRandom, type Random } from "./random.ts";

const seed = Number(Deno.env.get("FUZZ_SEED") ?? 1);
const rounds = Number(Deno.env.get("FUZZ_ROUNDS") ?? 600);
const stories = new URL("../unit/agent/model/cdi_stories/", import.meta.url);

const examples = [...Deno.readDirSync(stories)].filter((e) => e.isDirectory).flatMap((story) => {
  const directory = new URL(`${story.name}/etc/`, stories);
  return [...Deno.readDirSync(directory)].map((file) => Deno.readTextFileSync(new URL(file.name, directory)));
});

const pieces = [
  ..."{}[]:,-\"'\n\t &*!|>#=",
  "null",
  "~",
  "-1",
  "1e99",
  "0o7",
  "../",
  "/",
  "\0",
  "all",
  "<<: ",
  "---\n",
];

function mutate(text: string, random: Random): string {
  let changed = text;
  for (let i = random.below(3); i >= 0; i--) {
    const at = random.below(changed.length + 1);
    const rest = changed.slice(at + random.below(random.pick([1, 2, 12])));
    changed = changed.slice(0, at) + (random.below(3) === 0 ? "" : random.pick(pieces)) + rest;
  }
  return changed;
}

async function check(text: string): Promise<boolean> {
  const started = performance.now();
  const { spec, problems } = parseCdiSpec("fuzz.yaml", text);
  await locateProblems(text, problems);
  assert(spec !== undefined || problems.some((p) => p.severity === "error"));
  if (spec !== undefined) {
    const registry = collectCdi([{ path: "fuzz.yaml", priority: 0, spec }]);
    const refused = checkAppliedByAgent(spec, "containerd 1.6", () => {});
    for (const [resource, names] of deviceOffers(registry, new Set())) {
      for (const name of names) assert(parseCdiName(`${resource}=${name}`) !== undefined);
    }
    for (const { device } of registry.devices.values()) {
      const edits = mergedCdiEdits(registry, [`${spec.kind}=${device.name}`]);
      const node = { kind: "char", major: 1, minor: 3 } as const;
      const host = new Map(hostPathsOf(edits).map((path) => [path, node]));
      try {
        const { mounts, devices } = applyCdi(edits, host, "containerd 1.6");
        assert(!refused.has(device.name));
        for (const { containerPath, hostPath } of [...mounts, ...devices]) {
          assert(
            [containerPath, hostPath].every((path) =>
              path.startsWith("/") && !path.split("/").includes("..")
            ),
          );
        }
      } catch (error) {
        if (!(error instanceof Error) || error.name === "AssertionError") throw error;
      }
    }
  }
  assert(performance.now() - started < 5_000, "took too long");
  return spec !== undefined;
}

Deno.test(`mutated CDI specs (seed ${seed}, ${rounds} rounds)`, async () => {
  const random = createRandom(seed);
  let accepted = 0;
  for (let round = 0; round < rounds; round++) {
    const text = mutate(random.pick(examples), random);
    try {
      if (await check(text)) accepted++;
    } catch (error) {
      throw new Error(`round ${round}: ${JSON.stringify(text)}`, { cause: error });
    }
  }
  assert(accepted > rounds / 20, `only ${accepted} were accepted`);
});
