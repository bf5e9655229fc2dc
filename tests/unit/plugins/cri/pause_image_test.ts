// The pause image archive: two tools that we did not write read it and agree with it.

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { createPauseImageArchive, PAUSE_IMAGE } from "../../../../plugins/cri/pause_image.ts";

async function output(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  assert(success, `${command}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

async function withArchive(arch: "amd64" | "arm64", run: (file: string, directory: string) => Promise<void>) {
  const directory = await Deno.makeTempDir({ prefix: "pause-image-" });
  try {
    const file = join(directory, "pause.tar");
    await Deno.writeFile(file, (await createPauseImageArchive(arch)).archive);
    await run(file, directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const skopeo = await new Deno.Command("skopeo", { args: ["--version"] }).output().then(
  () => true,
  () => false,
);

for (const arch of ["amd64", "arm64"] as const) {
  Deno.test(`the ${arch} archive is the same each time and is named`, async () => {
    const { name, archive } = await createPauseImageArchive(arch);
    assertEquals(name, PAUSE_IMAGE);
    assertEquals(archive, (await createPauseImageArchive(arch)).archive);
    assertEquals(archive.length % 512, 0);
  });

  Deno.test(`tar unpacks the ${arch} archive, each blob has the digest of its name`, () =>
    withArchive(arch, async (file, directory) => {
      await output("tar", "-xf", file, "-C", directory);
      const blobs = join(directory, "blobs/sha256");
      const names = [...Deno.readDirSync(blobs)].map((entry) => entry.name).sort();
      const sums = await output("sha256sum", ...names.map((name) => join(blobs, name)));
      assertEquals(sums.trim().split("\n").map((line) => line.slice(0, 64)), names);
      const manifest = JSON.parse(Deno.readTextFileSync(join(directory, "manifest.json")))[0];
      const listing = await output("tar", "-tvf", join(directory, manifest.Layers[0]));
      assert(/^-rwxr-xr-x 0\/0 +\d+ 1970-01-01 .* pause\n$/.test(listing), listing);
    }));

  for (const transport of ["oci-archive", "docker-archive"]) {
    Deno.test({
      name: `skopeo reads the ${arch} archive as ${transport}`,
      ignore: !skopeo,
      fn: () =>
        withArchive(arch, async (file) => {
          const image = JSON.parse(
            await output("skopeo", "--override-arch", arch, "inspect", "--config", `${transport}:${file}`),
          );
          assertEquals(image.architecture, arch);
          assertEquals(image.config.Entrypoint, ["/pause"]);
        }),
    });
  }
}
