import { assertEquals } from "@std/assert";
import { formatProblem } from "../../../../agent/model/errors.ts";
import { checkFiles } from "../../../../agent/sources/check.ts";
import { createFakeHost } from "../../../fakes/host.ts";

const pod = (name: string, spec = "") =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\nspec:\n  containers: [{name: a, image: demo:1}]\n${spec}`;

Deno.test("files and directories are judged together, each problem at its place", async () => {
  const host = createFakeHost({
    files: {
      "/d/a.yaml": pod("web", "  volumes:\n  - {name: v, configMap: {name: gone}}\n"),
      "/d/b.yaml": pod("web"),
      "/d/backup~": "ignored: [",
      "/x.txt": pod("x", "  hostPid: true\n"),
    },
  });
  assertEquals(
    (await checkFiles(host, ["/d", "/x.txt", "/nowhere"])).map(formatProblem),
    [
      "/d/a.yaml:7:33: warning: Pod default/web spec.volumes[0].configMap.name: no manifest describes ConfigMap default/gone: the pod waits for it",
      "/d/b.yaml:3:18: Pod default/web metadata.name: is described by /d/a.yaml, too, which is used; expected one description",
      "/nowhere: does not exist: expected a manifest or a directory of manifests",
      '/x.txt:6:3: Pod default/x spec.hostPid: unknown field "hostPid"; did you mean "hostPID"?',
    ],
  );
});

Deno.test("a good manifest has no problem", async () => {
  assertEquals(
    await checkFiles(createFakeHost({ files: { "/web.yaml": pod("web") } }), ["/web.yaml", "/web.yaml"]),
    [],
  );
});

Deno.test("a broken text has its line", async () => {
  const [problem] = await checkFiles(createFakeHost({ files: { "/web.yaml": "a: [" } }), ["/web.yaml"]);
  assertEquals([problem?.file, problem?.line], ["/web.yaml", 1]);
});
