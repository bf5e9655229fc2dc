/**
 * The real Host: files, watch, commands, mounts and clock of the machine the agent runs on. Not for: decisions, and not
 * for anything that is not in the Host port.
 */
import { statfs } from "node:fs/promises";
import { basename, dirname, join } from "@std/path";
import { openEvents } from "./inotify.ts";
import { mountsWithin, parseMountInfo } from "./lib/mountinfo.ts";
import { watchDirectories } from "./lib/watch.ts";
import { AgentError, errorText } from "./model/errors.ts";
import type { Capacity } from "./model/stats_parts.ts";
import type { WatchedPlace } from "./model/glob.ts";
import type { CommandResult, FileStat, Host, OpenFile } from "./ports.ts";

export function createHost(): Host {
  return { ...clock, ...reading, ...writing, ...removing, ...mounting, exec, watch, watchPlaces };
}

const clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (signal.aborted) return Promise.reject(aborted());
    const onAbort = () => {
      clearTimeout(timer);
      reject(aborted());
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, Math.min(ms, 2 ** 31 - 1)); // the longest that timers know
    signal.addEventListener("abort", onAbort, { once: true });
    return promise;
  },
};

const aborted = () => new AgentError("Aborted", "the agent stopped waiting");

// ---- reading -------------------------------------------------------------------------------------------------------

async function unlessMissing<T>(attempt: Promise<T>): Promise<T | undefined> {
  try {
    return await attempt;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}

const reading = {
  readFile: (path: string) => unlessMissing<Uint8Array>(Deno.readFile(path)),
  readText: (path: string) => unlessMissing(Deno.readTextFile(path)),
  openFile: (path: string) => unlessMissing(Deno.open(path, { read: true }).then(openedFile)),
  stat: (path: string) => unlessMissing(Deno.stat(path).then(fileStat)),
  async statfs(path: string): Promise<Capacity | undefined> {
    try {
      const { bsize, blocks, bavail, bfree, files, ffree } = await statfs(path);
      const bytes = { capacity: bsize * blocks, available: bsize * bavail, free: bsize * bfree };
      return { ...bytes, inodes: files, inodesFree: ffree };
    } catch (error) {
      if ((error as { code?: unknown }).code === "ENOENT") return undefined;
      throw error;
    }
  },
  lstat: (path: string) => unlessMissing(Deno.lstat(path).then(fileStat)),
  readlink: (path: string) => unlessMissing(Deno.readLink(path)),
  realPath: (path: string) => unlessMissing(Deno.realPath(path)),
  async list(path: string): Promise<string[] | undefined> {
    const names: string[] = [];
    try {
      for await (const entry of Deno.readDir(path)) names.push(entry.name);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    return names.sort();
  },
};

function openedFile(file: Deno.FsFile): OpenFile {
  return {
    stat: async () => fileStat(await file.stat()),
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      await file.seek(offset, Deno.SeekMode.Start);
      const count = await file.read(bytes);
      return bytes.subarray(0, count ?? 0);
    },
    close: () => file.close(),
  };
}

function fileStat(found: Deno.FileInfo): FileStat {
  return {
    kind: kindOf(found),
    size: found.size,
    ...(found.blocks !== null && { allocated: found.blocks * 512 }),
    mode: (found.mode ?? 0) & 0o7777,
    uid: found.uid ?? 0,
    gid: found.gid ?? 0,
    dev: found.dev,
    ino: found.ino ?? 0,
    mtimeMs: found.mtime?.getTime() ?? 0,
    ...((found.isCharDevice || found.isBlockDevice) && { rdev: found.rdev ?? 0 }),
  };
}

function kindOf(found: Deno.FileInfo): FileStat["kind"] {
  if (found.isSymlink) return "symlink";
  if (found.isDirectory) return "directory";
  if (found.isSocket) return "socket";
  if (found.isFifo) return "fifo";
  if (found.isBlockDevice) return "block";
  if (found.isCharDevice) return "char";
  return "file";
}

function watch(directory: string, signal: AbortSignal): AsyncIterable<void> {
  return watchPlaces([{ directory }], signal);
}

function watchPlaces(places: readonly WatchedPlace[], signal: AbortSignal): AsyncIterable<void> {
  return watchDirectories(places, { ...reading, open: openEvents }, signal);
}

// ---- writing -------------------------------------------------------------------------------------------------------

const bytesOf = (content: string | Uint8Array) =>
  typeof content === "string" ? new TextEncoder().encode(content) : content;

async function writeAll(file: Deno.FsFile, content: Uint8Array): Promise<void> {
  for (let written = 0; written < content.length;) written += await file.write(content.subarray(written));
}

const writing = {
  /** An existing directory keeps its mode unless one is asked for. */
  async mkdir(path: string, mode?: number): Promise<void> {
    const existed = await unlessMissing(Deno.stat(path)) !== undefined;
    if (!existed) await Deno.mkdir(path, { recursive: true, mode: 0o755 });
    if (!existed || mode !== undefined) await Deno.chmod(path, mode ?? 0o755);
  },
  async writeFile(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
    using file = await Deno.open(path, { write: true, create: true, truncate: true, mode: mode & 0o600 });
    await Deno.chmod(path, mode);
    await writeAll(file, bytesOf(content));
  },
  async writeFileAtomic(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
    const temporary = join(dirname(path), `.${basename(path)}.${crypto.randomUUID().slice(0, 8)}.tmp`);
    try {
      await writeDurably(temporary, bytesOf(content), mode);
      await Deno.rename(temporary, path);
    } catch (error) {
      await removing.remove(temporary);
      throw error;
    }
    await keepDirectory(dirname(path));
  },
  symlink: (target: string, path: string) => Deno.symlink(target, path),
  rename: (from: string, to: string) => Deno.rename(from, to),
  chmod: (path: string, mode: number) => Deno.chmod(path, mode),
  chown(path: string, uid: number, gid: number): Promise<void> {
    return callLibc(`change the owner of ${path}`, (c) => c.lchown(cString(path), uid >>> 0, gid >>> 0));
  },
};

/** What was renamed in it is there after a power cut, too. */
async function keepDirectory(path: string): Promise<void> {
  const directory = await Deno.open(path, { read: true });
  try {
    await directory.sync();
  } finally {
    directory.close();
  }
}

async function writeDurably(path: string, content: Uint8Array, mode: number): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  await writeAll(file, content);
  await Deno.chmod(path, mode);
  await file.sync();
}

// ---- removing ------------------------------------------------------------------------------------------------------

const removing = {
  async remove(path: string): Promise<void> {
    await unlessMissing(Deno.remove(path));
  },
  async removeTree(path: string): Promise<void> {
    const parent = await unlessMissing(Deno.realPath(dirname(path)));
    if (parent === undefined) return;
    const real = join(parent, basename(path));
    const mounted = mountsWithin(await mounting.mounts(), real)[0];
    if (mounted !== undefined) {
      throw new AgentError("Unknown", `${path} is not removed: ${mounted.path} is a mount point`);
    }
    await removeAll(real);
  },
};

/**
 * rm(1) walks by file descriptor and follows no symlink. It is a process of its own, since directories that lie ten
 * thousand deep, as any container can make them, overflow the stack of who walks them by recursion. Attributes that
 * forbid the removal (chattr(1)) are taken away when they are in the way.
 */
async function removeAll(path: string): Promise<void> {
  const run = (...argv: string[]) => exec(argv, { env: { LC_ALL: "C" } }, new AbortController().signal);
  let { code, stderr } = await run("rm", "-rf", "--", path);
  if (code !== 0) {
    await run("chattr", "-R", "-f", "-i", "-a", "--", path).catch(() => {});
    ({ code, stderr } = await run("rm", "-rf", "--", path));
  }
  if (code === 0) return;
  const said = new TextDecoder().decode(stderr.subarray(0, 1000)).split("\n")[0];
  throw new AgentError("Unknown", `${path} is not removed: ${said || `rm ended with ${code}`}`);
}

// ---- mounts --------------------------------------------------------------------------------------------------------

const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const ENOENT = 2;
const EINVAL = 22;

const mounting = {
  async mounts() {
    return parseMountInfo(await Deno.readTextFile("/proc/self/mountinfo"));
  },
  mount(
    m: { source: string; target: string; fsType: string; flags?: number; options?: string },
  ): Promise<void> {
    const [source, target, fsType] = [m.source, m.target, m.fsType].map(cString);
    const options = m.options === undefined ? null : cString(m.options);
    return callLibc(
      `mount ${m.fsType === "" ? m.source : m.fsType} on ${m.target}`,
      (c) => c.mount(source!, target!, fsType!, BigInt(m.flags ?? 0), options),
    );
  },
  unmount(path: string, options?: { lazy?: boolean }): Promise<void> {
    const flags = UMOUNT_NOFOLLOW | (options?.lazy ? MNT_DETACH : 0);
    // EINVAL: not a mount point. Anything else that could cause it would be a flag, and those are ours.
    return callLibc(`unmount ${path}`, (c) => c.umount2(cString(path), flags), [ENOENT, EINVAL]);
  },
};

const symbols = {
  mount: { parameters: ["buffer", "buffer", "buffer", "u64", "buffer"], result: "i32" },
  umount2: { parameters: ["buffer", "i32"], result: "i32" },
  lchown: { parameters: ["buffer", "u32", "u32"], result: "i32" },
  strerror: { parameters: ["i32"], result: "pointer" },
  __errno_location: { parameters: [], result: "pointer" },
} as const;
type Libc = Deno.DynamicLibrary<typeof symbols>["symbols"];

let libc: Libc | undefined;

/** errno is read in the same turn as the call; it is right only because the call is synchronous. */
// deno-lint-ignore require-await -- a failed call must reject, not throw
async function callLibc(what: string, call: (c: Libc) => number, expected: number[] = []): Promise<void> {
  libc ??= Deno.dlopen("libc.so.6", symbols).symbols;
  if (call(libc) === 0) return;
  const code = new Deno.UnsafePointerView(libc.__errno_location()!).getInt32();
  if (expected.includes(code)) return;
  const text = libc.strerror(code);
  const reason = text === null ? `errno ${code}` : Deno.UnsafePointerView.getCString(text);
  throw new AgentError(what.startsWith("mount") ? "FailedMount" : "Unknown", `cannot ${what}: ${reason}`);
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new AgentError("Unknown", "a path must not contain NUL", { retry: false });
  return new TextEncoder().encode(text + "\0");
}

// ---- commands ------------------------------------------------------------------------------------------------------

const outputLimit = 1 << 20;

/** `env` is added to the agent's own. The program leads a process group, which an abort kills as a whole. */
async function exec(
  argv: string[],
  options: { env?: Record<string, string>; stdin?: Uint8Array; cwd?: string },
  signal: AbortSignal,
): Promise<CommandResult> {
  if (signal.aborted) throw aborted();
  const child = spawn(argv, options);
  const kill = () => {
    try {
      Deno.kill(-child.pid, "SIGKILL");
    } catch { /* it has already ended */ }
  };
  signal.addEventListener("abort", kill, { once: true });
  try {
    const [stdout, stderr, status] = await Promise.all([
      readLimited(child.stdout, signal),
      readLimited(child.stderr, signal),
      child.status,
      options.stdin === undefined ? undefined : feed(child.stdin, options.stdin),
    ]);
    if (signal.aborted) throw new AgentError("Aborted", `${argv[0]} was killed: no longer wanted`);
    return { code: status.code, stdout, stderr };
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

function spawn(argv: string[], options: { env?: Record<string, string>; stdin?: Uint8Array; cwd?: string }) {
  try {
    return new Deno.Command(argv[0] ?? "", {
      args: argv.slice(1),
      stdin: options.stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
      ...(options.env && { env: options.env }),
      ...(options.cwd !== undefined && { cwd: options.cwd }),
    }).spawn();
  } catch (error) {
    throw new AgentError("Unknown", `cannot run ${argv[0]}: ${errorText(error)}`, { cause: error });
  }
}

/**
 * Reads to the end and keeps the beginning, so that a talkative program is neither blocked nor kept in memory. An abort
 * ends it too: a program that left the process group may hold the stream open for ever.
 */
async function readLimited(stream: ReadableStream<Uint8Array>, signal: AbortSignal): Promise<Uint8Array> {
  const kept: Uint8Array[] = [];
  const reader = stream.getReader();
  const cancel = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel, { once: true });
  let room = outputLimit;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    if (room > 0) kept.push(next.value.subarray(0, room));
    room -= Math.min(room, next.value.length);
  }
  signal.removeEventListener("abort", cancel);
  return concatenated(kept, outputLimit - room);
}

function concatenated(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function feed(stdin: WritableStream<Uint8Array>, input: Uint8Array): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(input);
    await writer.close();
  } catch (error) {
    // A program need not read its input.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
