/**
 * Golden stories of CDI: one folder each, specs in `etc/` and `run/` + `ask.json` (names, what is on the host) ->
 * `result.json`: what is wrong with the specs, which devices there are, what an older runtime is told of those asked
 * for. UPDATE_GOLDEN=1 writes the results anew: read the difference before you commit it.
 */
import { assertEquals } from "@std/assert";
import { parseCdiSpec } from "../../../../agent/model/cdi.ts";
import { applyCdi, checkAppliedByAgent, type HostPaths } from "../../../../agent/model/cdi_edits.ts";
import {
  type CdiFile,
  collectCdi,
  conflictProblems,
  mergedCdiEdits,
} from "../../../../agent/model/cdi_registry.ts";
import type { DeviceNode } from "../../../../agent/model/device_node.ts";
import { deviceOffers } from "../../../../agent/model/cdi_offers.ts";
import { errorText, formatProblem, type Problem } from "../../../../agent/model/errors.ts";
import { fieldText } from "../../../../agent/model/finding.ts";

const here = new URL("cdi_stories/", import.meta.url).pathname;
const runtime = "containerd 1.6.20";

interface Ask {
  devices: string[];
  /** `char 10:229`, or `other`, by path. */
  host: Record<string, string>;
}

function readHost(host: Ask["host"]): HostPaths {
  const nodes = new Map<string, DeviceNode | "other">();
  for (const [path, text] of Object.entries(host)) {
    const [, kind, major, minor] = /^(char|block) (\d+):(\d+)$/.exec(text) ?? [];
    const node = { kind: kind as "char" | "block", major: Number(major), minor: Number(minor) };
    nodes.set(path, kind === undefined ? "other" : node);
  }
  return nodes;
}

const namesIn = (directory: string): string[] => {
  try {
    return [...Deno.readDirSync(directory)].map((entry) => entry.name).sort();
  } catch {
    return [];
  }
};

function tell(story: string) {
  const ask: Ask = JSON.parse(Deno.readTextFileSync(`${here}${story}/ask.json`));
  const problems: Problem[] = [];
  const refused = new Set<string>();
  const files: CdiFile[] = [];
  for (const [priority, directory] of ["etc", "run"].entries()) {
    for (const name of namesIn(`${here}${story}/${directory}`)) {
      const path = `${directory}/${name}`;
      const parsed = parseCdiSpec(path, Deno.readTextFileSync(`${here}${story}/${path}`));
      problems.push(...parsed.problems);
      if (parsed.spec === undefined) continue;
      const { spec } = parsed;
      const bad = checkAppliedByAgent(spec, runtime, (field, message, severity = "error") => {
        problems.push({ severity, file: path, field: fieldText(field), message });
      });
      for (const device of bad) refused.add(`${spec.kind}=${device}`);
      files.push({ path, priority, spec });
    }
  }
  const registry = collectCdi(files);
  problems.push(...conflictProblems(registry));
  const applied = () => {
    try {
      return applyCdi(mergedCdiEdits(registry, ask.devices), readHost(ask.host), runtime);
    } catch (error) {
      return { error: errorText(error) };
    }
  };
  return {
    problems: problems.map(formatProblem),
    devices: [...registry.devices.keys()],
    offers: Object.fromEntries(
      [...deviceOffers(registry, refused)].map(([resource, names]) => [resource, [...names]]),
    ),
    applied: applied(),
  };
}

for (const story of namesIn(here)) {
  Deno.test(`CDI: ${story.replaceAll("-", " ")}`, () => {
    const path = `${here}${story}/result.json`;
    const told = JSON.parse(JSON.stringify(tell(story)));
    if (Deno.env.get("UPDATE_GOLDEN") === "1") {
      Deno.writeTextFileSync(path, JSON.stringify(told, null, 2) + "\n");
    }
    assertEquals(told, JSON.parse(Deno.readTextFileSync(path)));
  });
}
