/** Files, directories, links and watches in memory, as the fake Host shows them. Not for: use without it. */
import { dirname, join, normalize } from "@std/path";
import type { FileStat } from "../../agent/ports.ts";

interface Node {
  kind: "file" | "directory" | "symlink";
  ino: number;
  mode: number;
  uid: number;
  gid: number;
  mtimeMs: number;
  content: Uint8Array<ArrayBuffer>;
  target: string;
}

/** How many links one path may lead through, as in the kernel. */
const linkLimit = 40;

export function statOf(node: Node | undefined): FileStat | undefined {
  if (node === undefined) return undefined;
  const { kind, mode, uid, gid, ino, mtimeMs } = node;
  return { kind, mode, uid, gid, ino, mtimeMs, dev: 1, size: node.content.length };
}

export function createTree(now: () => number) {
  const nodes = new Map<string, Node>();
  const watchers = new Set<{ directory: string; tell(): void }>();
  let lastInode = 1;
  const create = (node: Partial<Node> & Pick<Node, "kind">): Node => ({
    ...{ ino: ++lastInode, mode: 0o755, uid: 0, gid: 0, mtimeMs: now() },
    ...{ content: new Uint8Array(), target: "" },
    ...node,
  });
  nodes.set("/", create({ kind: "directory" }));

  /** The path without links; the last component is followed when asked for. `undefined`: a part is missing. */
  const real = (path: string, followLast: boolean, links = 0): string | undefined => {
    const parts = normalize(path).split("/").filter((part) => part !== "");
    let at = "/";
    for (const [i, part] of parts.entries()) {
      at = join(at, part);
      const node = nodes.get(at);
      if (node?.kind !== "symlink" || (i === parts.length - 1 && !followLast)) continue;
      if (links >= linkLimit) throw new Error(`${path}: too many levels of symbolic links`);
      const target = join(
        node.target.startsWith("/") ? "/" : dirname(at),
        node.target,
        ...parts.slice(i + 1),
      );
      return real(target, followLast, links + 1);
    }
    return at;
  };
  const find = (path: string, follow = true): Node | undefined => {
    const at = real(path, follow);
    return at === undefined ? undefined : nodes.get(at);
  };
  const must = (path: string, follow = true): Node => {
    const node = find(path, follow);
    if (node === undefined) throw new Error(`${path}: no such file or directory`);
    return node;
  };
  const below = (at: string) => [...nodes.keys()].filter((p) => p.startsWith(at === "/" ? at : `${at}/`));
  const file = (path: string): Node | undefined => {
    const node = find(path);
    if (node?.kind === "directory") throw new Error(`${path}: is a directory`);
    return node;
  };
  return {
    find,
    must,
    file,
    realPath: (path: string) => find(path) === undefined ? undefined : real(path, true),
    list(path: string): string[] | undefined {
      const node = find(path);
      if (node === undefined) return undefined;
      if (node.kind !== "directory") throw new Error(`${path}: not a directory`);
      const at = real(path, true)!;
      return below(at).filter((p) => dirname(p) === at).map((p) => p.slice(at === "/" ? 1 : at.length + 1))
        .sort();
    },
    open(path: string) {
      const node = file(path);
      if (node === undefined) return undefined;
      return {
        stat: () => Promise.resolve(statOf(node)!),
        read: (offset: number, length: number) =>
          Promise.resolve(node.content.slice(offset, offset + length)),
        close: () => {},
      };
    },
    mkdir(path: string, mode?: number): void {
      const at = real(path, true)!;
      if (at !== "/" && !nodes.has(dirname(at))) this.mkdir(dirname(at));
      const known = nodes.get(at);
      if (known === undefined) nodes.set(at, create({ kind: "directory", mode: mode ?? 0o755 }));
      else if (known.kind !== "directory") throw new Error(`${path}: not a directory`);
      else if (mode !== undefined) known.mode = mode;
    },
    put(path: string, change: Partial<Node> & Pick<Node, "kind">): void {
      const at = real(path, change.kind === "file")!;
      if (nodes.get(dirname(at))?.kind !== "directory") throw new Error(`${path}: no such file or directory`);
      const known = nodes.get(at);
      if (known !== undefined && (change.kind === "symlink" || known.kind === "directory")) {
        throw new Error(`${path}: file exists`);
      }
      if (known === undefined) nodes.set(at, create(change));
      else Object.assign(known, change, { mtimeMs: now() });
    },
    rename(from: string, to: string): void {
      const source = real(from, false)!;
      const target = real(to, false)!;
      const moved = must(from, false);
      for (const path of [target, ...below(target)]) nodes.delete(path);
      for (const path of below(source)) {
        nodes.set(target + path.slice(source.length), nodes.get(path)!);
        nodes.delete(path);
      }
      nodes.delete(source);
      nodes.set(target, moved);
    },
    remove(path: string): void {
      const at = real(path, false)!;
      if (below(at).length > 0) throw new Error(`${path}: directory not empty`);
      nodes.delete(at);
    },
    removeTree(path: string): void {
      const at = real(path, false)!;
      for (const gone of [at, ...below(at)]) nodes.delete(gone);
    },
    /** Wakes the watches that this change concerns: of the directory, or of what its links lead to. */
    changed(path: string): void {
      const at = real(path, false) ?? path;
      for (const { directory, tell } of watchers) {
        const watched = real(directory, true) ?? directory;
        const leadsHere = below(watched).some((p) =>
          nodes.get(p)?.kind === "symlink" && (real(p, true) ?? "").startsWith(at)
        );
        if (leadsHere || at.startsWith(watched) || watched.startsWith(at)) tell();
      }
    },
    /** The first hint comes at once, as from the real one. */
    async *watch(directory: string, signal: AbortSignal): AsyncGenerator<void> {
      let pending = true;
      let wake = () => {};
      const watcher = { directory, tell: () => (pending = true, wake()) };
      watchers.add(watcher);
      signal.addEventListener("abort", () => wake(), { once: true });
      try {
        while (!signal.aborted) {
          if (!pending) await new Promise<void>((resolve) => wake = resolve);
          pending = false;
          if (!signal.aborted) yield;
        }
      } finally {
        watchers.delete(watcher);
      }
    },
  };
}
