/** The sealed file: private, written on change alone, and of use on this node for this cluster only. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { Kept } from "../../../../../agent/cluster/offline/kept.ts";
import { AgentError } from "../../../../../agent/model/errors.ts";
import { createFakeHost, type FakeHost } from "../../../../fakes/host.ts";
import { cacheOn, machine, podOf, secretOf } from "./world.ts";

const password = "correct horse battery staple";
const kept: Kept = {
  pods: [podOf("web")],
  objects: { secrets: { "default/web": secretOf("web", password) } },
  tokens: { a: { token: "b", expirationTimestamp: "2026-01-01T00:00:00Z" } },
};
const path = "/state/offline.sealed";

async function sealed(): Promise<FakeHost> {
  const host = createFakeHost({ files: machine });
  await cacheOn(host).save(kept);
  return host;
}

/** What one who looks says instead of using the file. */
async function refused(host: FakeHost, more: Parameters<typeof cacheOn>[2] = {}): Promise<string> {
  const told: string[] = [];
  assertEquals(await cacheOn(host, told, more).load(), undefined);
  assertEquals(told.length, 1);
  return told[0]!;
}

Deno.test("what is saved is read again by the next run, and lies there for nobody else", async () => {
  const host = await sealed();
  assertEquals(await cacheOn(host).load(), kept);
  assertEquals([host.mode(path), host.mode("/state/offline.key")], [0o600, 0o600]);
  const bytes = new TextDecoder("latin1").decode(await host.readFile(path));
  for (const part of [password, btoa(password), "default/web"]) assertEquals(bytes.includes(part), false);
  assertEquals(await cacheOn(createFakeHost()).load(), undefined);
});

Deno.test("equal content is not written again, not by the next run either", async () => {
  const host = await sealed();
  const next = cacheOn(host);
  await next.load();
  const before = host.changes.length;
  await next.save(structuredClone(kept));
  assertEquals(host.changes.length, before);
  await next.save({ ...kept, tokens: {} });
  assertEquals(host.changes.slice(before), [`writeFileAtomic ${path}`]);
});

Deno.test("a file of another node, cluster or key, a damaged, short or old one is told of and not used", async () => {
  const foreign = /damaged, or was sealed on another node, for another cluster, or by another key/;
  assertMatch(await refused(await sealed(), { context: ["other", "https://cluster:6443"] }), foreign);
  assertMatch(await refused(await sealed(), { context: ["box", "https://other:6443"] }), foreign);
  const moved = await sealed();
  await moved.writeFile("/etc/machine-id", "another\n");
  assertMatch(await refused(moved), foreign);
  const keyless = await sealed();
  await keyless.remove("/state/offline.key");
  assertMatch(await refused(keyless), foreign);
  const damaged = await sealed();
  const bytes = (await damaged.readFile(path))!;
  bytes[bytes.length - 1]! ^= 1;
  await damaged.writeFile(path, bytes);
  assertMatch(await refused(damaged), foreign);
  const short = await sealed();
  await short.writeFile(path, bytes.subarray(0, 5));
  assertMatch(await refused(short), foreign);
  const old = await sealed();
  await old.writeFile(path, Uint8Array.of(9, ...bytes));
  assertMatch(await refused(old), /its version is 9, expected 1/);
  const empty = await sealed();
  await empty.writeFile(path, "");
  assertMatch(await refused(empty), /version/);
});

Deno.test("a key of somebody else's choice is used, and never made", async () => {
  const host = createFakeHost({ files: { ...machine, "/key": "0123456789abcdef", "/short": "abc" } });
  await cacheOn(host, [], { keyFile: "/key" }).save(kept);
  assertEquals(await cacheOn(host, [], { keyFile: "/key" }).load(), kept);
  assertEquals(await host.readFile("/state/offline.key"), undefined);
  await assertRejects(
    () => cacheOn(host, [], { keyFile: "/none" }).save(kept),
    AgentError,
    "/none does not exist",
  );
  await assertRejects(() => cacheOn(host, [], { keyFile: "/short" }).save(kept), AgentError, "3 bytes");
});

Deno.test("after a write that failed the same content is written", async () => {
  const host = createFakeHost({ files: machine });
  const cache = cacheOn(host);
  host.fail("writeFileAtomic", path, new Error("disk full"));
  await assertRejects(() => cache.save(kept), Error, "disk full");
  host.fail("writeFileAtomic", path, undefined);
  await cache.save(kept);
  assert(await cacheOn(host).load() !== undefined);
});
