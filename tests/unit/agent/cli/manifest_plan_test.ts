import { assertEquals } from "@std/assert";
import {
  documentTexts,
  joinDocuments,
  type ManifestText,
  planApply,
  planDelete,
} from "../../../../agent/cli/manifest_plan.ts";

/** `kind ns/name=version` for each object of a document; the text is what stands there. */
const document = (...objects: string[]) => ({
  text: `---\n# ${objects.join(" and ")}\n`,
  objects: new Map(objects.map((object) => object.split("=") as [string, string])),
});

const file = (path: string, ...documents: ReturnType<typeof document>[]): ManifestText => ({
  path,
  documents,
});
const empty = { text: "# a comment above\n", objects: new Map<string, string>() };
const web = "Pod default/web", db = "Pod default/db", page = "ConfigMap default/page";

Deno.test("a new object gets a file of its own, whose name is free", () => {
  const plan = planApply(
    "/m",
    [],
    [document(`${web}=1`), document(`${page}=1`)],
    new Set(["/m/pod-default-web.yaml"]),
  );
  assertEquals(plan.outcomes.map(({ key, verb }) => [key, verb]), [[web, "created"], [page, "created"]]);
  assertEquals(plan.changes, [
    { path: "/m/pod-default-web-2.yaml", text: `---\n# ${web}=1\n` },
    { path: "/m/configmap-default-page.yaml", text: `---\n# ${page}=1\n` },
  ]);
});

Deno.test("a changed object replaces its document; neighbours and comments keep their text", () => {
  const files = [
    file("/m/all.yaml", empty as never, document(`${page}=1`), document(`${web}=1`), document(`${db}=1`)),
  ];
  const plan = planApply("/m", files, [document(`${web}=2`), document(`${page}=1`)]);
  assertEquals(plan.outcomes.map(({ key, verb }) => [key, verb]), [[web, "configured"], [page, "unchanged"]]);
  assertEquals(plan.changes, [{
    path: "/m/all.yaml",
    text: `# a comment above\n---\n# ${page}=1\n---\n# ${web}=2\n---\n# ${db}=1\n`,
  }]);
});

Deno.test("nothing is written when nothing changes", () => {
  const plan = planApply("/m", [file("/m/a.yaml", document(`${web}=1`))], [document(`${web}=1`)]);
  assertEquals([plan.changes, plan.refusals, plan.outcomes[0]!.verb], [[], [], "unchanged"]);
});

Deno.test("a list gathers what was spread, and is not torn apart", () => {
  const spread = [
    file("/m/a.yaml", document(`${web}=1`)),
    file("/m/b.yaml", document(`${db}=1`), document(`${page}=1`)),
  ];
  const gather = planApply("/m", spread, [document(`${web}=2`, `${db}=2`)]);
  assertEquals(gather.changes, [
    { path: "/m/a.yaml", text: `---\n# ${web}=2 and ${db}=2\n` },
    { path: "/m/b.yaml", text: `---\n# ${page}=1\n` },
  ]);
  const list = [file("/m/list.yaml", document(`${web}=1`, `${db}=1`))];
  const tear = planApply("/m", list, [document(`${web}=2`)]);
  assertEquals(tear.refusals, [`${web}: one document of /m/list.yaml also describes ${db}; edit that file`]);
});

Deno.test("links are not written through", () => {
  const linked = [{ ...file("/m/a.yaml", document(`${web}=1`)), locked: "is a link" }];
  assertEquals(planApply("/m", linked, [document(`${web}=2`)]).refusals, ["/m/a.yaml is a link"]);
  assertEquals(planDelete(linked, [web]).refusals, ["/m/a.yaml is a link"]);
});

Deno.test("deleting takes the document out, and the file when nothing is left in it", () => {
  const files = [file("/m/all.yaml", empty as never, document(`${page}=1`), document(`${web}=1`))];
  const one = planDelete(files, [web]);
  assertEquals(one.changes, [{ path: "/m/all.yaml", text: `# a comment above\n---\n# ${page}=1\n` }]);
  const all = planDelete(files, [web, page]);
  assertEquals(all.changes, [{ path: "/m/all.yaml" }]);
  assertEquals(all.outcomes.map(({ key, verb }) => [key, verb]), [[web, "deleted"], [page, "deleted"]]);
});

Deno.test("deleting refuses what is not there and what would take others along", () => {
  const files = [file("/m/list.yaml", document(`${web}=1`, `${db}=1`))];
  assertEquals(planDelete(files, ["Pod default/x"]).refusals, [
    "Pod default/x is described by no file of the manifest directory",
  ]);
  assertEquals(planDelete(files, [web]).refusals.length, 1);
  const both = planDelete(files, [web, db]);
  assertEquals([both.refusals, both.changes], [[], [{ path: "/m/list.yaml" }]]);
});

Deno.test("cutting a stream into documents and joining them again keeps every byte", () => {
  for (const text of ["a: 1\n", "---\na: 1\n---\nb: 2\n", "# c\n---\na: |\n  x\n--- # d\nb: 2\n"]) {
    assertEquals(joinDocuments(documentTexts(text)), text);
  }
  assertEquals(joinDocuments(["a: 1", "b: 2\n"]), "a: 1\n---\nb: 2\n");
});
