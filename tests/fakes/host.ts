/**
 * A Host in memory: files, directories and links that behave as on Linux, watches that hint, a clock that stands still
 * until it is advanced, mounts that are remembered. Commands are answered by what the test gives. Records writes, and
 * fails on request. Not for: permissions, or anything that depends on a kernel.
 */
import { dirname } from "@std/path";
import { AgentError } from "../../agent/model/errors.ts";
import type { CommandResult, Host, MountPoint } from "../../agent/ports.ts";
import { createTree, statOf } from "./file_tree.ts";

export interface FakeHostOptions {
  /** Paths and contents of files that are there from the beginning. */
  files?: Record<string, string>;
  /** Milliseconds since the epoch at which the clock stands. */
  now?: number;
  exec?(argv: string[], stdin: Uint8Array | undefined): CommandResult | Promise<CommandResult>;
}

export interface FakeHost extends Host {
  /** Lets time pass; sleepers whose time has come wake in order. */
  advance(ms: number): Promise<void>;
  /** Lets everything run that needs no time. */
  settle(): Promise<void>;
  /** The next and all following calls of the method on the path fail, until `undefined` is given. */
  fail(method: keyof Host, path: string, error: Error | undefined): void;
  /** Calls that changed something: `writeFile /a`. */
  readonly changes: string[];
  /** Text of a file, for assertions. */
  text(path: string): string | undefined;
  mode(path: string): number | undefined;
}

export function createFakeHost(options: FakeHostOptions = {}): FakeHost {
  const clock = createClock(options.now ?? Date.UTC(2026, 0, 1));
  const tree = createTree(clock.now);
  const failures = new Map<string, Error>();
  const changes: string[] = [];
  const mounts: MountPoint[] = [];
  const reading = <T>(method: keyof Host, path: string, act: () => T): Promise<T> => {
    const failure = failures.get(`${method} ${path}`);
    if (failure !== undefined) return Promise.reject(failure);
    return Promise.resolve().then(act);
  };
  const writing = <T>(method: keyof Host, path: string, act: () => T): Promise<T> =>
    reading(method, path, () => {
      const result = act();
      changes.push(`${method} ${path}`);
      tree.changed(path);
      return result;
    });
  const write = (path: string, content: string | Uint8Array, mode: number) => {
    tree.put(path, { kind: "file", content: bytesOf(content), mode });
  };
  const host: FakeHost = {
    ...clock,
    readFile: (path) => reading("readFile", path, () => tree.file(path)?.content.slice()),
    readText: (path) => reading("readText", path, () => decoded(tree.file(path)?.content)),
    openFile: (path) => reading("openFile", path, () => tree.open(path)),
    list: (path) => reading("list", path, () => tree.list(path)),
    stat: (path) => reading("stat", path, () => statOf(tree.find(path))),
    statfs: () => Promise.resolve({ capacity: 2 ** 30, available: 2 ** 29, inodes: 1000, inodesFree: 900 }),
    lstat: (path) => reading("lstat", path, () => statOf(tree.find(path, false))),
    readlink: (path) => reading("readlink", path, () => tree.find(path, false)?.target || undefined),
    realPath: (path) => reading("realPath", path, () => tree.realPath(path)),
    mkdir: (path, mode) => writing("mkdir", path, () => tree.mkdir(path, mode)),
    writeFile: (path, content, mode = 0o644) => writing("writeFile", path, () => write(path, content, mode)),
    writeFileAtomic: (path, content, mode = 0o644) =>
      writing("writeFileAtomic", path, () => {
        tree.remove(path);
        write(path, content, mode);
      }),
    symlink: (target, path) => writing("symlink", path, () => tree.put(path, { kind: "symlink", target })),
    rename: (from, to) => writing("rename", to, () => tree.rename(from, to)),
    chmod: (path, mode) => writing("chmod", path, () => void Object.assign(tree.must(path), { mode })),
    chown: (path, uid, gid) =>
      writing("chown", path, () => {
        const node = tree.must(path, false);
        if (uid !== -1) node.uid = uid;
        if (gid !== -1) node.gid = gid;
      }),
    remove: (path) => writing("remove", path, () => tree.remove(path)),
    removeTree: (path) =>
      writing("removeTree", path, () => {
        const inside = mounts.find((m) => m.path === path || m.path.startsWith(`${path}/`));
        if (inside !== undefined) throw new AgentError("Unknown", `${inside.path} is a mount point`);
        tree.removeTree(path);
      }),
    mount: ({ source, target, fsType, options: text = "" }) =>
      writing("mount", target, () => {
        tree.must(target);
        mounts.push({ path: target, fsType, source, options: text.split(",").filter((o) => o !== "") });
      }),
    unmount: (path) =>
      writing("unmount", path, () => {
        const at = mounts.findLastIndex((m) => m.path === path);
        if (at !== -1) mounts.splice(at, 1);
      }),
    mounts: () => reading("mounts", "", () => mounts.map((m) => ({ ...m }))),
    exec: async (argv, { stdin }) => {
      changes.push(`exec ${argv.join(" ")}`);
      if (options.exec === undefined) throw new AgentError("Unknown", `${argv[0]}: command not found`);
      return await options.exec(argv, stdin);
    },
    watch: (directory, signal) => tree.watch(directory, signal),
    watchPlaces: (_places, signal) => tree.watch("/", signal),
    fail(method, path, error) {
      if (error === undefined) failures.delete(`${method} ${path}`);
      else failures.set(`${method} ${path}`, error);
    },
    changes,
    text: (path) => decoded(tree.file(path)?.content),
    mode: (path) => tree.find(path)?.mode,
  };
  for (const [path, content] of Object.entries(options.files ?? {})) {
    tree.mkdir(dirname(path));
    write(path, content, 0o644);
  }
  return host;
}

const bytesOf = (content: string | Uint8Array): Uint8Array<ArrayBuffer> =>
  typeof content === "string" ? new TextEncoder().encode(content) : Uint8Array.from(content);

const decoded = (content: Uint8Array | undefined) =>
  content === undefined ? undefined : new TextDecoder().decode(content);

// ---- clock ---------------------------------------------------------------------------------------------------------

function createClock(start: number) {
  let passed = 0;
  const sleepers = new Set<{ at: number; wake(): void }>();
  /** Everything here is made of microtasks; one turn of the event loop is after them. */
  const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  return {
    now: () => start + passed,
    monotonic: () => passed,
    sleep(ms: number, signal: AbortSignal): Promise<void> {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const sleeper = { at: passed + ms, wake: () => resolve() };
      const abort = () => {
        sleepers.delete(sleeper);
        reject(new AgentError("Aborted", "the agent stopped waiting"));
      };
      if (signal.aborted) abort();
      else {
        sleepers.add(sleeper);
        signal.addEventListener("abort", abort, { once: true });
      }
      return promise;
    },
    settle,
    async advance(ms: number): Promise<void> {
      const until = passed + ms;
      await settle();
      for (;;) {
        const next = [...sleepers].filter((s) => s.at <= until).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        sleepers.delete(next);
        passed = Math.max(passed, next.at);
        next.wake();
        await settle();
      }
      passed = until;
      await settle();
    },
  };
}
