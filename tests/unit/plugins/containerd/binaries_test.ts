import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import { findBinaries } from "../../../../plugins/containerd/binaries.ts";

async function withTree(programs: string[], test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    for (const program of programs) {
      const path = `${directory}/${program}`;
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, "", { mode: program.endsWith("!") ? 0o644 : 0o755 });
    }
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const find = (d: string) =>
  findBinaries({
    path: `relative:${d}/first`,
    programDirs: [`${d}/second`],
    cniBinDirs: [`${d}/cni-a`, `${d}/cni-b`],
  });
const PLUGINS = ["bridge", "host-local", "portmap", "loopback"];

Deno.test("programs come from PATH first, CNI plugins from the directory that has all of them", async () => {
  const tree = ["first/containerd", "second/containerd", "second/runc", "second/containerd-shim-runc-v2"];
  await withTree([...tree, "cni-a/bridge", ...PLUGINS.map((p) => `cni-b/${p}`)], async (d) => {
    assertEquals(await find(d), {
      containerd: `${d}/first/containerd`,
      runc: `${d}/second/runc`,
      cniBinDir: `${d}/cni-b`,
    });
  });
});

Deno.test("with nothing there, the error names everything and one command that installs it", async () => {
  await withTree(["first"], async (d) => {
    const error = await assertRejects(() => find(`${d}/none`), AgentError);
    assertEquals([error.reason, error.retry], ["RuntimeUnavailable", false]);
    assertStringIncludes(error.message, "apt-get install containerd runc containernetworking-plugins");
    assertStringIncludes(error.message, "containerd-shim-runc-v2");
  });
});

Deno.test("only what is missing is named", async () => {
  const tree = [
    "first/containerd",
    "first/containerd-shim-runc-v2",
    "first/crun",
    "cni-a/bridge",
    "cni-a/loopback",
  ];
  await withTree(tree, async (d) => {
    const error = await assertRejects(() => find(d), AgentError);
    assertStringIncludes(error.message, `lacks: CNI plugins host-local, portmap in ${d}/cni-a. `);
    assertStringIncludes(error.message, "apt-get install containernetworking-plugins)");
  });
});
