// The real Host, on temporary directories, real mounts and real processes. Mounts need root and are skipped without.
import { assert, assertEquals, assertGreaterOrEqual, assertRejects, assertStringIncludes } from "@std/assert";
import { createHost } from "../../../agent/host.ts";
import { AgentError } from "../../../agent/model/errors.ts";

const host = createHost();
const never = new AbortController().signal;
const isRoot = Deno.uid() === 0;

async function inDirectory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.realPath(await Deno.makeTempDir({ prefix: "host-test-" }));
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const inDir = (name: string, test: (directory: string) => Promise<void>, ignore = false) =>
  Deno.test({ name, ignore, fn: () => inDirectory(test) });

inDir("what is missing is undefined, other errors throw", async (d) => {
  await host.writeFile(`${d}/file`, "x");
  for (const path of [`${d}/none`, `${d}/none/deeper`, `${d}/file/below`]) {
    assertEquals(await host.readFile(path), undefined);
    assertEquals(await host.readText(path), undefined);
    assertEquals(await host.stat(path), undefined);
    assertEquals(await host.lstat(path), undefined);
    assertEquals(await host.readlink(path), undefined);
    assertEquals(await host.realPath(path), undefined);
    await host.remove(path);
    await host.removeTree(path);
  }
  assertEquals(await host.list(`${d}/none`), undefined);
  await assertRejects(() => host.readText(d));
  await assertRejects(() => host.list(`${d}/file`));
});

inDir("modes hold regardless of umask, on new files and on files that exist", async (d) => {
  const before = Deno.umask(0o077);
  try {
    await host.mkdir(`${d}/a/b`, 0o1777);
    await host.mkdir(`${d}/c`);
    await host.writeFile(`${d}/plain`, "x");
    await host.writeFile(`${d}/plain`, "yy", 0o640);
    await host.writeFileAtomic(`${d}/atomic`, new Uint8Array([1, 2]), 0o604);
  } finally {
    Deno.umask(before);
  }
  const mode = async (path: string) => (await host.stat(path))?.mode;
  assertEquals(await mode(`${d}/a/b`), 0o1777);
  assertEquals(await mode(`${d}/c`), 0o755);
  assertEquals(await mode(`${d}/plain`), 0o640);
  assertEquals(await host.readText(`${d}/plain`), "yy");
  assertEquals(await mode(`${d}/atomic`), 0o604);
  await host.mkdir(`${d}/a/b`);
  assertEquals(
    await mode(`${d}/a/b`),
    0o1777,
    "an existing directory keeps its mode unless one is asked for",
  );
});

inDir("an atomic write replaces the file as a whole and leaves nothing else", async (d) => {
  await host.writeFileAtomic(`${d}/state`, "one");
  const first = await host.stat(`${d}/state`);
  await host.writeFileAtomic(`${d}/state`, "two");
  const second = await host.stat(`${d}/state`);
  assert(first?.ino !== second?.ino, "a reader of the old file keeps the old content");
  assertEquals(await host.readText(`${d}/state`), "two");
  assertEquals(await host.list(d), ["state"]);
  await Deno.mkdir(`${d}/taken/full`, { recursive: true });
  await assertRejects(() => host.writeFileAtomic(`${d}/taken`, "x"));
  assertEquals(await host.list(d), ["state", "taken"], "no temporary file after a failure");
});

inDir("stat follows symlinks, lstat, chown and removeTree do not", async (d) => {
  await host.mkdir(`${d}/outside`);
  await host.writeFile(`${d}/outside/keep`, "x");
  await host.mkdir(`${d}/tree/sub`);
  await host.symlink("../outside", `${d}/tree/link`);
  await host.symlink(`${d}/outside/keep`, `${d}/tree/sub/link`);
  assertEquals((await host.stat(`${d}/tree/link`))?.kind, "directory");
  assertEquals((await host.lstat(`${d}/tree/link`))?.kind, "symlink");
  assertEquals(await host.readlink(`${d}/tree/link`), "../outside");
  assertEquals(await host.realPath(`${d}/tree/link/keep`), `${d}/outside/keep`);
  await host.chown(`${d}/tree/link`, -1, -1);
  if (isRoot) {
    await host.chown(`${d}/tree/link`, 12, -1);
    const [link, target] = [await host.lstat(`${d}/tree/link`), await host.stat(`${d}/tree/link`)];
    assertEquals([link?.uid, link?.gid, target?.uid], [12, 0, 0]);
  }
  await host.removeTree(`${d}/tree`);
  assertEquals(await host.list(d), ["outside"]);
  assertEquals(await host.list(`${d}/outside`), ["keep"]);
});

inDir("a symlink given to removeTree is unlinked alone", async (d) => {
  await host.mkdir(`${d}/outside/full`);
  await host.symlink(`${d}/outside`, `${d}/link`);
  await host.removeTree(`${d}/link`);
  assertEquals(await host.list(d), ["outside"]);
  assertEquals(await host.list(`${d}/outside`), ["full"]);
});

inDir("mounts appear, guard their tree and go", async (d) => {
  const target = `${d}/tree/with space\\and\ttab`;
  await host.mkdir(target);
  const options = { source: "tmpfs", target, fsType: "tmpfs", flags: 8, options: "size=64k" };
  await host.mount(options);
  try {
    const found = (await host.mounts()).filter((m) => m.path === target);
    assertEquals(found.map((m) => m.fsType), ["tmpfs"]);
    assert(found[0]!.options.includes("noexec"), "flags and options both arrive");
    assert(found[0]!.options.includes("size=64k"));
    await host.writeFile(`${target}/inside`, "x");
    await host.symlink(`${d}/tree`, `${d}/alias`);
    for (const path of [`${d}/tree`, target, `${d}/alias/with space\\and\ttab`]) {
      const error = await assertRejects(() => host.removeTree(path), AgentError);
      assertStringIncludes(error.message, "is a mount point");
    }
    assertEquals(await host.readText(`${target}/inside`), "x");
  } finally {
    await host.unmount(target);
  }
  await host.unmount(target);
  await host.unmount(`${d}/none`);
  assertEquals((await host.mounts()).filter((m) => m.path.startsWith(d)), []);
  await host.removeTree(`${d}/tree`);
}, !isRoot);

inDir("a failed mount says what and why; a busy one goes lazily", async (d) => {
  const missing = { source: "tmpfs", target: `${d}/none`, fsType: "tmpfs" };
  const error = await assertRejects(() => host.mount(missing), AgentError);
  assertEquals(error.reason, "FailedMount");
  assertEquals(error.message, `cannot mount tmpfs on ${d}/none: No such file or directory`);
  await host.mkdir(`${d}/busy`);
  await host.mount({ source: "tmpfs", target: `${d}/busy`, fsType: "tmpfs" });
  {
    using _open = await Deno.open(`${d}/busy/file`, { create: true, write: true });
    const busy = await assertRejects(() => host.unmount(`${d}/busy`), AgentError);
    assertStringIncludes(busy.message, "busy");
    await host.unmount(`${d}/busy`, { lazy: true });
  }
  assertEquals(await host.list(`${d}/busy`), []);
}, !isRoot);

Deno.test("sleep ends with its time or with the signal", async () => {
  const before = host.monotonic();
  await host.sleep(5, never);
  assertGreaterOrEqual(host.monotonic() - before, 4);
  const controller = new AbortController();
  const long = host.sleep(1e12, controller.signal);
  controller.abort();
  assertEquals((await assertRejects(() => long, AgentError)).reason, "Aborted");
  assertEquals((await assertRejects(() => host.sleep(1, controller.signal), AgentError)).reason, "Aborted");
});

Deno.test("exec passes input and environment, returns output and exit code", async () => {
  const script = 'cat; echo "$X:${PATH:+path}" >&2; exit 7';
  const stdin = new TextEncoder().encode("in");
  const result = await host.exec(["sh", "-c", script], { env: { X: "y" }, stdin }, never);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assertEquals([result.code, text(result.stdout), text(result.stderr)], [7, "in", "y:path\n"]);
});

Deno.test("exec: a program may ignore its input, and one that does not exist is an AgentError", async () => {
  const result = await host.exec(["true"], { stdin: new Uint8Array(1 << 20) }, never);
  assertEquals(result.code, 0);
  const error = await assertRejects(() => host.exec(["/no/such/program"], {}, never), AgentError);
  assertStringIncludes(error.message, "/no/such/program");
});

Deno.test("exec keeps the first MiB of each output and reads the rest away", async () => {
  const script = "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; echo end >&2";
  const result = await host.exec(["sh", "-c", script], {}, never);
  assertEquals([result.code, result.stdout.length, result.stderr.length], [0, 1 << 20, 1 << 20]);
});

inDir("an abort kills the whole process group", async (d) => {
  const controller = new AbortController();
  const fifo = `${d}/fifo`;
  await host.exec(["mkfifo", fifo], {}, never);
  // The background child holds the fifo open for writing: its end is seen as end of file by our reader.
  const script = `(exec 3>'${fifo}'; echo up >&3; sleep 1000) & wait`;
  const running = assertRejects(() => host.exec(["sh", "-c", script], {}, controller.signal), AgentError);
  using reader = await Deno.open(fifo, { read: true });
  const chunks = reader.readable.getReader();
  assertEquals(new TextDecoder().decode((await chunks.read()).value), "up\n");
  controller.abort();
  assertEquals((await running).reason, "Aborted");
  assertEquals((await chunks.read()).done, true, "the grandchild is gone too");
});

Deno.test("an abort ends the wait for a program that left the group and keeps the output open", async () => {
  const controller = new AbortController();
  const directory = await Deno.makeTempDir({ prefix: "host-test-" });
  const pidFile = `${directory}/pid`;
  const script =
    `setsid sh -c 'echo $$ > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; exec sleep 1000' & exit 0`;
  const running = assertRejects(() => host.exec(["sh", "-c", script], {}, controller.signal), AgentError);
  for await (const _ of host.watch(directory, never)) if (await host.stat(pidFile) !== undefined) break;
  controller.abort();
  try {
    assertEquals((await running).reason, "Aborted");
  } finally {
    Deno.kill(Number(await Deno.readTextFile(pidFile)), "SIGKILL");
    await Deno.remove(directory, { recursive: true });
  }
});
