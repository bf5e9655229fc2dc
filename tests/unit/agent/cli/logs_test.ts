import { assertEquals, assertStringIncludes } from "@std/assert";
import { createLab, type Lab, runningPod } from "./lab.ts";

async function write(lab: Lab, name: string, lines: string[], labels: Record<string, string> = {}) {
  const pod = runningPod(name);
  lab.store.putPod({ ...pod, metadata: { ...pod.metadata, labels } });
  const directory = `${lab.directory}/logs/default_${name}_${pod.metadata!.uid}/app`;
  await Deno.mkdir(directory, { recursive: true });
  const text = lines.map((line, i) =>
    `2026-03-01T11:00:${String(i).padStart(2, "0")}.000000000Z stdout F ${line}\n`
  );
  await Deno.writeTextFile(`${directory}/0.log`, text.join(""));
}

Deno.test("logs of pods by their labels: a tail of each, prefixes, limits, and what cannot be read", async () => {
  await using lab = await createLab();
  const many = Array.from({ length: 12 }, (_, i) => `line ${i}`);
  await write(lab, "a", many, { app: "shop" });
  await write(lab, "b", ["only"], { app: "shop" });
  await write(lab, "c", ["other"], { app: "else" });
  const both = await lab.agent("logs", "-l", "app=shop");
  assertEquals(both, {
    code: 0,
    out: [...many.slice(2), "only"].map((line) => `${line}\n`).join(""),
    err: "",
  });
  const prefixed = await lab.agent("logs", "-l", "app", "--tail=1", "--prefix");
  assertEquals(prefixed.out, "[pod/a/app] line 11\n[pod/b/app] only\n[pod/c/app] other\n");
  assertEquals((await lab.agent("logs", "a", "--all-containers")).out.split("\n").length, 13);
  const tooMany = await lab.agent("logs", "-f", "-l", "app", "--max-log-requests=2");
  assertEquals([tooMany.code, tooMany.out], [1, ""]);
  assertStringIncludes(tooMany.err, "3 logs would be followed at once, more than 2");
  assertEquals((await lab.agent("logs", "-l", "app=none")).err, "No resources found.\n");
  assertEquals((await lab.agent("logs")).code, 2);
  assertEquals((await lab.agent("logs", "a", "-l", "app")).code, 2);
  assertEquals((await lab.agent("get", "pods", "-l", "app=else", "-o", "name")).out, "pod/c\n");

  await Deno.remove(`${lab.directory}/logs/default_a_uid-default-a`, { recursive: true });
  const stopped = await lab.agent("logs", "-l", "app=shop");
  assertEquals([stopped.code, stopped.out], [1, ""]);
  const went = await lab.agent("logs", "-l", "app=shop", "--ignore-errors");
  assertEquals([went.code, went.out], [0, "only\n"]);
  assertStringIncludes(went.err, "is gone");
});
