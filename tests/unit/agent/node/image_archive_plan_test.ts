import { assertEquals } from "@std/assert";
import {
  type ArchiveFacts,
  type ArchiveFile,
  identityOf,
  isArchiveName,
  planArchives,
  QUIET_MS,
  waitFor,
} from "../../../../agent/node/image_archive_plan.ts";

const NOW = 1_000_000;
const A = "docker.io/library/a:1";

function file(
  path: string,
  options: { size?: number; age?: number; unchangedMs?: number } = {},
): ArchiveFile {
  const { size = 10, age = 60_000, unchangedMs = 0 } = options;
  const stat = {
    kind: "file" as const,
    size,
    mode: 0o644,
    uid: 0,
    gid: 0,
    dev: 1,
    ino: path.length,
    mtimeMs: NOW - age,
  };
  return { path, stat, unchangedMs };
}

function plan(files: ArchiveFile[], facts: Partial<ArchiveFacts> = {}) {
  const { ready, unsettled, done } = planArchives({
    files,
    imported: new Map(),
    broken: new Map(),
    present: new Set(),
    now: NOW,
    ...facts,
  });
  const paths = (list: ArchiveFile[]) => list.map((f) => f.path).join(" ");
  return { ready: paths(ready), unsettled: paths(unsettled), done: paths(done) };
}

Deno.test("names of archives", () => {
  for (const name of ["a.tar", "a.tar.gz", "a.tgz", "a.tar.zst", "a b.tar"]) {
    assertEquals(isArchiveName(name), true);
  }
  for (const name of [".a.tar", "a.tar.part", "a.tar~", "tar", ".tar", "a.zip", "a.tar.xz"]) {
    assertEquals(isArchiveName(name), false, name);
  }
});

Deno.test("new archives are ready, the small ones first", () => {
  assertEquals(plan([file("c", { size: 3 }), file("b", { size: 1 }), file("a", { size: 3 })]).ready, "b a c");
});

Deno.test("one that was changed a moment ago waits until it has been quiet", () => {
  assertEquals(plan([file("a", { age: 10 })]).unsettled, "a");
  assertEquals(plan([file("a", { age: QUIET_MS })]).ready, "a");
  assertEquals(plan([file("a", { age: -3_600_000 })]).unsettled, "a", "a time in the future says nothing");
  assertEquals(plan([file("a", { age: -3_600_000, unchangedMs: QUIET_MS })]).ready, "a");
});

Deno.test("imported is done as long as the file is the same and the runtime still has its images", () => {
  const a = file("a");
  const imported = new Map([["a", { identity: identityOf(a.stat), names: [A] }]]);
  assertEquals(plan([a], { imported, present: new Set([A]) }).done, "a");
  assertEquals(plan([a], { imported, present: new Set() }).ready, "a");
  assertEquals(plan([file("a", { size: 11 })], { imported, present: new Set([A]) }).ready, "a");
});

Deno.test("a broken one is tried again only when it changes", () => {
  const broken = new Map([["a", identityOf(file("a").stat)]]);
  assertEquals(plan([file("a")], { broken }).done, "a");
  assertEquals(plan([file("a", { age: 30_000 })], { broken }).ready, "a");
});

Deno.test("who waits for whom", () => {
  const known = { names: [A] };
  const unknown = { names: undefined };
  assertEquals(waitFor("a:1", []), "no");
  assertEquals(waitFor("a:1", [known]), "surely");
  assertEquals(waitFor("a:2", [known]), "no");
  assertEquals(waitFor("a:2", [known, unknown]), "perhaps");
  assertEquals(waitFor("a:1", [unknown, known]), "surely");
  assertEquals(waitFor("a:1", [{ names: [] }]), "no");
  assertEquals(waitFor(`a@sha256:${"0".repeat(64)}`, [known]), "surely", "an archive does not tell digests");
  assertEquals(waitFor("No Name", [unknown, known]), "no");
});
