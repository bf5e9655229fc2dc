import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { concatBytes } from "../../../../agent/lib/bytes.ts";
import { CommandError, UsageError } from "../../../../agent/cli/command.ts";
import { parsePlace } from "../../../../agent/cli/cp.ts";
import { packTree } from "../../../../agent/cli/tree_pack.ts";
import { staysBelow, unpackTree } from "../../../../agent/cli/tree_unpack.ts";
import { formatTarHeader, type TarHeader, tarPadding } from "../../../../agent/lib/tar/header.ts";
import { readTar } from "../../../../agent/lib/tar/read.ts";

Deno.test("places of cp: pods, paths and streams, as kubectl reads them", () => {
  assertEquals(parsePlace("web:/tmp/a:b"), { kind: "remote", pod: "web", path: "/tmp/a:b" });
  assertEquals(parsePlace("prod/web:rel"), { kind: "remote", namespace: "prod", pod: "web", path: "rel" });
  assertEquals(parsePlace("./a:b"), { kind: "local", path: "./a:b" });
  assertEquals(parsePlace("/tmp/x"), { kind: "local", path: "/tmp/x" });
  assertEquals(parsePlace("-"), { kind: "stream" });
  for (const wrong of ["", ":x", "web:", "a/b/c:/x", "/:x".slice(1), "a/:x"]) {
    assertThrows(() => parsePlace(wrong), UsageError, `found "${wrong}"`);
  }
});

Deno.test("a symlink stays below only where no other symlink can change where it leads", () => {
  for (const target of ["x", "./x/y", "../x", "../../x", "..", "."]) {
    assertEquals(staysBelow(["a", "b"], target), true, target);
  }
  for (const target of ["/x", "../../../x", "x/../../../y", "../x/../..", ".//../../../x", "..//../../x"]) {
    assertEquals(staysBelow(["a", "b"], target), false, target);
  }
});

interface Place extends AsyncDisposable {
  path: string;
}

async function place(): Promise<Place> {
  const path = await Deno.makeTempDir({ prefix: "agent-tree-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** An archive as an evil container could send it. */
function archive(...members: (Partial<TarHeader> & { path: string; content?: string })[]): Uint8Array {
  const parts = members.flatMap(({ content = "", ...header }) => {
    const bytes = new TextEncoder().encode(content);
    return [
      formatTarHeader({ kind: "file", mode: 0o644, target: "", size: bytes.length, ...header }, {
        uid: 1,
        gid: 1,
        mtime: 0,
      }),
      bytes,
      new Uint8Array(tarPadding(bytes.length)),
    ];
  });
  return concatBytes([...parts, new Uint8Array(1024)]);
}

async function unpack(
  bytes: Uint8Array,
  destination: string,
  options: { root?: string; preserve?: boolean } = {},
) {
  const warnings: string[] = [];
  const members = readTar(ReadableStream.from([bytes]));
  const link = await unpackTree(members, {
    root: "top",
    destination,
    preserve: true,
    warn: (text) => Promise.resolve(void warnings.push(text)),
    ...options,
  });
  return { link, warnings };
}

const top = { path: "top/", kind: "directory", mode: 0o755 } as const;

Deno.test("a tree goes through pack and unpack as it is: content, modes, links, empty and odd names", async () => {
  await using from = await place();
  await using to = await place();
  const names = ["a b", "-x", "new\nline", "ü", "n".repeat(255), "empty"];
  await Deno.mkdir(`${from.path}/deep/er`, { recursive: true });
  for (const name of names) {
    await Deno.writeTextFile(`${from.path}/deep/${name}`, name === "empty" ? "" : name);
  }
  await Deno.chmod(`${from.path}/deep/a b`, 0o4711);
  await Deno.chmod(`${from.path}/deep/er`, 0o500);
  await Deno.symlink("../deep/a b", `${from.path}/deep/link`);
  const warnings: string[] = [];
  const warn = (text: string) => Promise.resolve(void warnings.push(text));
  const chunks = await Array.fromAsync(packTree(from.path, { name: "top", preserve: true, warn }));
  assertEquals(await unpack(concatBytes(chunks), `${to.path}/new`), { link: undefined, warnings: [] });
  const found = `${to.path}/new/deep`;
  for (const name of names) {
    assertEquals(await Deno.readTextFile(`${found}/${name}`), name === "empty" ? "" : name);
  }
  const modeOf = async (path: string) => ((await Deno.stat(path)).mode! & 0o7777).toString(8);
  // A container does not get to make a setuid file here.
  assertEquals([await modeOf(`${found}/a b`), await modeOf(`${found}/er`)], ["711", "500"]);
  assertEquals(await Deno.readLink(`${found}/link`), "../deep/a b");
  assertEquals(warnings, []);
});

Deno.test("no archive writes outside of the destination: names, symlinks in it, symlinks in the archive, hard links", async () => {
  await using outside = await place();
  await using to = await place();
  await Deno.writeTextFile(`${outside.path}/precious`, "as it was");
  await Deno.symlink(outside.path, `${to.path}/there`);
  await Deno.symlink(`${outside.path}/precious`, `${to.path}/file`);
  const evil = archive(
    top,
    { path: "top/../../escaped", content: "x" },
    { path: `${outside.path}/absolute`, content: "x" },
    { path: "other/name", content: "x" },
    { path: "top/out", kind: "symlink", target: outside.path },
    { path: "top/up", kind: "symlink", target: "../../.." },
    { path: "top/sly", kind: "symlink", target: "sub/../.." },
    { path: "top/hard", kind: "link", target: `../../${outside.path}/precious` },
    { path: "top/hard2", kind: "link", target: "top/file" },
    { path: "top/file", content: "replaced" },
    { path: "top/in", kind: "symlink", target: "file" },
    { path: "top/in", content: "a file of the same name" },
  );
  const { warnings } = await unpack(evil, to.path);
  assertEquals(warnings.length, 8, warnings.join("\n"));
  assertEquals(await Deno.readTextFile(`${outside.path}/precious`), "as it was");
  assertEquals((await Array.fromAsync(Deno.readDir(outside.path))).map((e) => e.name), ["precious"]);
  assertEquals((await Array.fromAsync(Deno.readDir(to.path))).map((e) => e.name).sort(), [
    "file",
    "in",
    "there",
  ]);
  assertEquals((await Deno.lstat(`${to.path}/file`)).isFile, true);
  const through = archive(top, { path: "top/there/evil", content: "x" });
  await assertRejects(() => unpack(through, to.path), CommandError, "a symbolic link, which is not followed");
  assertEquals((await Array.fromAsync(Deno.readDir(outside.path))).length, 1);
});

Deno.test("a file goes to a new name, over a file, into a directory; a link alone is told; a file is whole or not there", async () => {
  await using to = await place();
  const file = archive({ path: "top", content: "text", mode: 0o640 });
  await unpack(file, `${to.path}/new/name`);
  await unpack(file, to.path);
  assertEquals(await Deno.readTextFile(`${to.path}/new/name`), "text");
  assertEquals((await Deno.stat(`${to.path}/top`)).mode! & 0o777, 0o640);
  await unpack(archive({ path: "top", content: "other" }), `${to.path}/top`);
  assertEquals(await Deno.readTextFile(`${to.path}/top`), "other");
  assertEquals(
    (await unpack(archive({ path: "top", kind: "symlink", target: "../x" }), to.path)).link,
    "../x",
  );
  await assertRejects(() => unpack(file.subarray(0, 514), `${to.path}/cut`), Error, "cut off");
  await assertRejects(() => unpack(archive(top), `${to.path}/top`), CommandError, "is not a directory");
  await assertRejects(() => unpack(new Uint8Array(), `${to.path}/x`), CommandError, "empty");
  assertEquals((await Array.fromAsync(Deno.readDir(to.path))).map((e) => e.name).sort(), ["new", "top"]);
});

Deno.test("hard links stay links; without modes a file has a new file's", async () => {
  await using to = await place();
  const linked = archive(
    top,
    { path: "top/a/one", content: "1", mode: 0o600 },
    { path: "top/b/two", kind: "link", target: "top/a/one" },
  );
  assertEquals((await unpack(linked, to.path)).warnings, []);
  const [one, two] = [await Deno.stat(`${to.path}/a/one`), await Deno.stat(`${to.path}/b/two`)];
  assertEquals([one.ino, one.nlink], [two.ino, 2]);
  await unpack(archive(top, { path: "top/p", mode: 0o777 }), to.path, { preserve: false });
  assertEquals((await Deno.stat(`${to.path}/p`)).mode! & 0o777, 0o777 & ~Deno.umask());
});

Deno.test("what cannot be packed is told: pipes are left out, names that are not UTF-8 end it", async () => {
  await using from = await place();
  const warnings: string[] = [];
  const warn = (text: string) => Promise.resolve(void warnings.push(text));
  await new Deno.Command("mkfifo", { args: [`${from.path}/pipe`] }).output();
  await Array.fromAsync(packTree(from.path, { name: "top", preserve: true, warn }));
  assertStringIncludes(warnings.join(), "pipe is left out");
  await new Deno.Command("sh", { args: ["-c", `touch "$1/$(printf 'b\\377')"`, "sh", from.path] }).output();
  await assertRejects(
    () => Array.fromAsync(packTree(from.path, { name: "top", preserve: true, warn })),
    CommandError,
    "not UTF-8",
  );
});
