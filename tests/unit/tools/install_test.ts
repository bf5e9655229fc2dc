// Installing into a directory of the test's own, and removing again.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";

const root = fromFileUrl(new URL("../../../", import.meta.url));

/** A project with only what the installer reads, so that no build is needed. */
async function withProject(
  body: (run: (verb: string) => Promise<string>, destination: string) => Promise<void>,
) {
  const directory = await Deno.makeTempDir({ prefix: "install-" });
  try {
    const destination = join(directory, "dest dir");
    for (const name of ["tools", "manifests", "dist"]) await Deno.mkdir(join(directory, name));
    for (const name of ["tools/install.sh", "manifests/agent.service"]) {
      await Deno.copyFile(join(root, name), join(directory, name));
    }
    await Deno.writeTextFile(join(directory, "dist/agent"), "#!/bin/sh\necho agent\n", { mode: 0o755 });
    const env = { PREFIX: "/usr", DESTDIR: destination };
    await body(async (verb) => {
      const command = new Deno.Command("/bin/sh", { args: [join(directory, "tools/install.sh"), verb], env });
      const { code, stdout, stderr } = await command.output();
      assertEquals({ code, stderr: new TextDecoder().decode(stderr) }, { code: 0, stderr: "" });
      return new TextDecoder().decode(stdout);
    }, destination);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const modeOf = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o777;

Deno.test("install places the binary and a unit that starts it; uninstall removes just these", () =>
  withProject(async (run, destination) => {
    const binary = join(destination, "usr/bin/agent");
    const unit = join(destination, "usr/lib/systemd/system/agent.service");
    const pods = join(destination, "etc/kubernetes/manifests");
    await Deno.mkdir(pods, { recursive: true });
    for (const _again of [1, 2]) assertStringIncludes(await run("install"), "/usr/bin/agent run");
    assertEquals([modeOf(binary), modeOf(unit)], [0o755, 0o644]);
    assertStringIncludes(Deno.readTextFileSync(unit), "\nExecStart=/usr/bin/agent run $AGENT_ARGS\n");
    assertStringIncludes(await run("uninstall"), "kept: running containers");
    for (const path of [binary, unit]) {
      assertEquals(await Deno.stat(path).then(() => "there", () => "gone"), "gone", path);
    }
    assert((await Deno.stat(pods)).isDirectory);
    await run("uninstall");
  }));
