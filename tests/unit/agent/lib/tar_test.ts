import { assertEquals, assertRejects } from "@std/assert";
import { concatBytes } from "../../../../agent/lib/bytes.ts";
import {
  formatTarHeader,
  parseTarHeader,
  type TarHeader,
  tarPadding,
} from "../../../../agent/lib/tar/header.ts";
import { readTar } from "../../../../agent/lib/tar/read.ts";

const owner = { uid: 0, gid: 0, mtime: 0 };

const member = (header: Partial<TarHeader> & { path: string }, content = new Uint8Array()): Uint8Array[] => [
  formatTarHeader(
    { kind: "file", mode: 0o644, target: "", size: content.length, ...header },
    owner,
  ),
  content,
  new Uint8Array(tarPadding(content.length)),
];

/** As a slow connection brings them. */
async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

async function list(bytes: Uint8Array, size = 1000) {
  const found: unknown[] = [];
  for await (const { path, kind, mode, target, content } of readTar(pieces(bytes, size))) {
    const text = concatBytes([new Uint8Array(), ...await Array.fromAsync(content())]);
    found.push([path, kind, mode.toString(8), target, new TextDecoder().decode(text)]);
  }
  return found;
}

async function run(program: string, args: string[], cwd: string, stdin?: Uint8Array): Promise<Uint8Array> {
  const child = new Deno.Command(program, {
    args,
    cwd,
    env: { LC_ALL: "C.UTF-8" },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (stdin !== undefined) await ReadableStream.from([stdin]).pipeTo(child.stdin).catch(() => {});
  const { success, stdout, stderr } = await child.output();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return stdout;
}

const oddNames = [
  "a b",
  "-x",
  "new\nline",
  "*?[]'\"\\$(x)`",
  "ü€😀",
  "n".repeat(255),
  `${"d".repeat(120)}/${"e".repeat(120)}/${"f".repeat(120)}`,
];

Deno.test("what we write is read by every tar, with names of any kind", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const encoder = new TextEncoder();
    const archive = concatBytes([
      ...oddNames.flatMap((path) => member({ path }, encoder.encode(`content of ${path}`))),
      ...member({ path: "link", kind: "symlink", target: "t".repeat(150) }),
      ...member({ path: "dir/", kind: "directory", mode: 0o700 }),
      new Uint8Array(1024),
    ]);
    for (const tar of [["tar"], ["busybox", "tar"]]) {
      const into = `${directory}/${tar.join("")}`;
      await Deno.mkdir(into);
      await run(tar[0]!, [...tar.slice(1), "xf", "-"], into, archive);
      for (const path of oddNames) {
        assertEquals(await Deno.readTextFile(`${into}/${path}`), `content of ${path}`);
      }
      assertEquals(await Deno.readLink(`${into}/link`), "t".repeat(150));
      assertEquals((await Deno.stat(`${into}/dir`)).mode! & 0o777, 0o700);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("what other tars write is read, in pax, GNU and old formats, however the bytes are cut", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const paths = oddNames.filter((path) => !path.includes("/"));
    for (const path of paths) await Deno.writeTextFile(`${directory}/${path}`, path);
    await Deno.link(`${directory}/a b`, `${directory}/a c`);
    await Deno.symlink("no where", `${directory}/link`);
    await Deno.chmod(`${directory}/a b`, 0o4751);
    const names = ["./a b", "./a c", "./link", ...paths.slice(1).map((path) => `./${path}`)];
    const expected = [
      ["./a b", "file", "4751", "", "a b"],
      ["./a c", "link", "4751", "./a b", ""],
      ["./link", "symlink", "777", "no where", ""],
      ...paths.slice(1).map((path) => [`./${path}`, "file", "644", "", path]),
    ];
    for (const format of ["pax", "gnu"]) {
      const archive = await run("tar", [`--format=${format}`, "-cf", "-", "--", ...names], directory);
      for (const size of [1, 511, 10240]) assertEquals(await list(archive, size), expected, format);
    }
    const plain = await run("busybox", ["tar", "cf", "-", ...names], directory);
    assertEquals(
      (await list(plain)).map((entry) => (entry as string[]).at(-1)),
      expected.map((e) => e.at(-1)),
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("unread content is skipped; cut off, damaged and boundless archives are refused", async () => {
  const two = concatBytes([...member({ path: "a" }, new Uint8Array(5000)), ...member({ path: "b" })]);
  const paths: string[] = [];
  for await (const { path } of readTar(pieces(two, 700))) paths.push(path);
  assertEquals(paths, ["a", "b"]);
  await assertRejects(() => list(two.subarray(0, 3000)), Error, "cut off");
  await assertRejects(() => list(new Uint8Array(600).fill(7)), Error, "not a tar archive");
  const note = formatTarHeader({ path: "x", kind: "file", size: 2 ** 33, mode: 0, target: "" }, owner);
  note[156] = "L".charCodeAt(0);
  note.set(new TextEncoder().encode(checksum(note)), 148);
  await assertRejects(() => list(note), Error, "more than");
  assertEquals(await list(new Uint8Array()), []);
});

function checksum(block: Uint8Array): string {
  const sum = block.reduce((a, b, i) => a + (i >= 148 && i < 156 ? 0x20 : b), 0);
  return sum.toString(8).padStart(6, "0") + "\0 ";
}

Deno.test("random blocks are no headers, and never throw", () => {
  const block = new Uint8Array(512);
  for (let i = 0; i < 2000; i++) {
    crypto.getRandomValues(block);
    assertEquals(parseTarHeader(block), undefined);
  }
});

Deno.test("sizes beyond 8 GiB, in GNU's binary form", () => {
  const block = new Uint8Array(512);
  block.set(new TextEncoder().encode("layer.tar"));
  block.set([0x80, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 7], 124);
  block[156] = 0x30;
  block.set(new TextEncoder().encode(checksum(block)), 148);
  const { path, size, kind } = parseTarHeader(block)!;
  assertEquals({ path, size, kind }, { path: "layer.tar", size: 2 ** 34 + 7, kind: "file" });
  const written = formatTarHeader({ path: "big", kind: "file", size, mode: 0o600, target: "" }, owner);
  assertEquals(parseTarHeader(written)?.size, size);
});
