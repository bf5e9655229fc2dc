import { assertEquals } from "@std/assert";
import {
  namesInIndex,
  namesInManifest,
  readArchiveNames,
} from "../../../../agent/node/image_archive_names.ts";
import type { OpenFile } from "../../../../agent/ports.ts";

/** Archives made by the machine's own tar, read through a file that counts what is read. */
async function withArchive(
  files: Record<string, string>,
  args: string[],
  test: (file: OpenFile & { bytesRead: number }, bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      const path = `${directory}/in/${name}`;
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, content);
    }
    const output = await new Deno.Command("tar", {
      args: [...args, "-C", `${directory}/in`, "-cf", `${directory}/out.tar`, "."],
    }).output();
    if (!output.success) throw new Error(new TextDecoder().decode(output.stderr));
    const bytes = await Deno.readFile(`${directory}/out.tar`);
    await test(fileOf(bytes), bytes);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function fileOf(bytes: Uint8Array): OpenFile & { bytesRead: number } {
  return {
    bytesRead: 0,
    stat: () => Promise.reject(new Error("not asked")),
    read(offset, length) {
      const part = bytes.slice(offset, offset + length);
      this.bytesRead += part.length;
      return Promise.resolve(part);
    },
    close: () => {},
  };
}

const LAYER = "x".repeat(300_000);
const DOCKER = {
  "layers/1.tar": LAYER,
  "manifest.json": JSON.stringify([{ RepoTags: ["busybox:1", "host:5000/b:2"] }, { RepoTags: null }]),
};
const OCI = {
  [`blobs/sha256/${"a".repeat(64)}`]: LAYER,
  "index.json": JSON.stringify({
    manifests: [
      {
        annotations: {
          "io.containerd.image.name": "docker.io/library/web:3",
          "org.opencontainers.image.ref.name": "3",
        },
      },
      { annotations: { "org.opencontainers.image.ref.name": "latest" } },
      { annotations: { "org.opencontainers.image.ref.name": "ghcr.example/x/y:1" } },
      {},
    ],
  }),
};
const FORMATS = [["--format=ustar"], ["--format=gnu"], ["--format=posix"]];

for (const format of FORMATS) {
  Deno.test(`names in a docker archive, ${format}`, async () => {
    await withArchive(DOCKER, format, async (file) => {
      assertEquals(await readArchiveNames(file), ["docker.io/library/busybox:1", "host:5000/b:2"]);
      assertEquals(file.bytesRead < 10_000, true, "layers are not read");
    });
  });

  Deno.test(`names in an OCI archive, with very long paths, ${format}`, async () => {
    const long = { [`${"d".repeat(90)}/${"e".repeat(90)}`]: "x" };
    await withArchive({ ...OCI, ...long }, format, async (file) => {
      assertEquals(await readArchiveNames(file), ["docker.io/library/web:3", "ghcr.example/x/y:1"]);
    });
  });
}

Deno.test("names cannot be told: compressed, cut short, other content, nothing", async () => {
  await withArchive(DOCKER, ["-z"], async (file) => assertEquals(await readArchiveNames(file), undefined));
  await withArchive(DOCKER, [], async (_, bytes) => {
    for (const length of [0, 1, 511, 512, 700, 2000, 200_000]) {
      assertEquals(await readArchiveNames(fileOf(bytes.slice(0, length))), undefined, `${length} bytes`);
    }
  });
  await withArchive(
    { "README": "no image" },
    [],
    async (f) => assertEquals(await readArchiveNames(f), undefined),
  );
  await withArchive(
    { "manifest.json": "{" },
    [],
    async (f) => assertEquals(await readArchiveNames(f), undefined),
  );
});

Deno.test("an archive whose images have no name is known to bring none", async () => {
  await withArchive({ "index.json": `{"manifests":[{}]}` }, [], async (f) => {
    assertEquals(await readArchiveNames(f), []);
  });
});

Deno.test("any JSON will do for a list of names", () => {
  for (
    const json of [null, 1, "x", [], {}, [null, 1, {}], { manifests: {} }, {
      manifests: [null, { annotations: 1 }],
    }]
  ) {
    assertEquals([namesInManifest(json), namesInIndex(json)], [[], []]);
  }
  assertEquals(namesInManifest([{ RepoTags: ["No Name", 3, "ok"] }]), ["docker.io/library/ok:latest"]);
});
