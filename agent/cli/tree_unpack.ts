/**
 * The members of a tar archive, which a container made and nobody vouches for, become files of this machine: all below
 * the destination, whatever names, links and symlinks the archive and the destination hold. Owners, setuid bits,
 * devices and pipes stay behind. Not for: where the archive comes from.
 */
import { basename, dirname, join } from "@std/path";
import type { TarMember } from "../lib/tar/read.ts";
import { CommandError } from "./command.ts";
import {
  type Directory,
  enter,
  openDirectory,
  orSay,
  writeFile,
  writeLink,
  writeSymlink,
} from "./local_files.ts";

export interface UnpackOptions {
  /** The first part of every name in the archive; "" when they have none. */
  root: string;
  /** Where the user wants it. */
  destination: string;
  /** Modes as they are; otherwise what a new file has. */
  preserve: boolean;
  /** Of what is left out. */
  warn(text: string): Promise<void>;
}

/** Below the destination, one directory after the other, none of them a symlink. */
interface Tree {
  /** Stays open until the next call. */
  enter(parts: readonly string[]): Promise<Directory>;
  close(): void;
}

interface Unpacking extends UnpackOptions {
  tree: Tree;
  files: Set<string>;
  /** Made last, so that nothing is ever written through one of them. */
  links: { parts: string[]; target: string }[];
  modes: { parts: string[]; mode: number }[];
}

/** When the archive holds but a symlink: where it leads. Throws CommandError. */
export async function unpackTree(
  members: AsyncGenerator<TarMember>,
  options: UnpackOptions,
): Promise<string | undefined> {
  const { value: first, done } = await members.next();
  if (done === true) throw new CommandError("the archive is empty");
  if (first.kind === "symlink") return first.target;
  if (first.kind !== "directory") {
    const found = partsOf(first, options);
    if (typeof found === "string" || found.length > 0) {
      throw new CommandError(`unexpected name ${first.path}`);
    }
    await unpackFile(first, options);
    return undefined;
  }
  await unpackDirectory(first, members, options);
  return undefined;
}

const plainMode = (mode: number, preserve: boolean, otherwise: number): number =>
  preserve ? mode & 0o777 : otherwise & ~Deno.umask();

const fileMode = ({ mode }: TarMember, preserve: boolean): number =>
  plainMode(mode, preserve, (mode & 0o100) !== 0 ? 0o777 : 0o666);

async function unpackFile(member: TarMember, { root, destination, preserve }: UnpackOptions): Promise<void> {
  if (member.kind !== "file") throw new CommandError(`${root} is neither a file nor a directory`);
  const found = await Deno.stat(destination).catch(() => undefined);
  if (found !== undefined && !found.isFile && !found.isDirectory) {
    using file = await orSay(destination, Deno.open(destination, { write: true }));
    for await (const bytes of member.content()) {
      for (let sent = 0; sent < bytes.length;) sent += await file.write(bytes.subarray(sent));
    }
    return;
  }
  const intoDirectory = found?.isDirectory === true || destination.endsWith("/");
  const path = intoDirectory
    ? join(destination, root)
    : found === undefined
    ? destination
    : await Deno.realPath(destination);
  await orSay(dirname(path), Deno.mkdir(dirname(path), { recursive: true }));
  const directory = openDirectory(dirname(path));
  try {
    await orSay(path, writeFile(directory, basename(path), fileMode(member, preserve), member.content()));
  } finally {
    directory.close();
  }
}

async function unpackDirectory(
  first: TarMember,
  members: AsyncGenerator<TarMember>,
  options: UnpackOptions,
): Promise<void> {
  const { destination } = options;
  const found = await Deno.stat(destination).catch(() => undefined);
  if (found !== undefined && !found.isDirectory) throw new CommandError(`${destination} is not a directory`);
  await orSay(destination, Deno.mkdir(destination, { recursive: true }));
  const tree = createTree(destination);
  const unpacking: Unpacking = { ...options, tree, files: new Set(), links: [], modes: [] };
  if (found === undefined) unpacking.modes.push({ parts: [], mode: first.mode });
  try {
    for await (const member of members) await unpackMember(member, unpacking);
    for (const link of unpacking.links) await unpackSymlink(link, unpacking);
    if (!options.preserve) return;
    // From the leaves up: a directory may be one that nobody may enter.
    for (const { parts, mode } of unpacking.modes.reverse()) (await tree.enter(parts)).chmod(mode & 0o777);
  } finally {
    tree.close();
  }
}

async function unpackMember(member: TarMember, o: Unpacking): Promise<void> {
  const parts = partsOf(member, o);
  if (typeof parts === "string") return await o.warn(parts);
  const shown = join(o.destination, ...parts);
  const [name, above] = [parts.at(-1), parts.slice(0, -1)];
  if (name === undefined) return await o.warn(`${member.path} is left out: it is there twice`);
  if (member.kind === "directory") {
    await o.tree.enter(parts);
    o.modes.push({ parts, mode: member.mode });
  } else if (member.kind === "symlink") {
    o.links.push({ parts, target: member.target });
  } else if (member.kind === "file") {
    const directory = await o.tree.enter(above);
    await orSay(shown, writeFile(directory, name, fileMode(member, o.preserve), member.content()));
    o.files.add(parts.join("/"));
  } else if (member.kind === "link") {
    await unpackLink(parts, partsOf({ path: member.target, named: true }, o), shown, o);
  } else {
    await o.warn(`${member.path} is left out: neither a file nor a directory nor a link`);
  }
}

/** A second name of a file that came before. */
async function unpackLink(
  parts: string[],
  first: string[] | string,
  shown: string,
  o: Unpacking,
): Promise<void> {
  if (typeof first === "string" || !o.files.has(first.join("/"))) {
    return await o.warn(`${shown} is left out: a link to a file that did not come`);
  }
  const other = createTree(o.destination);
  try {
    const existing = (await other.enter(first.slice(0, -1))).at(first.at(-1)!);
    const directory = await o.tree.enter(parts.slice(0, -1));
    await orSay(shown, writeLink(directory, parts.at(-1)!, existing));
    o.files.add(parts.join("/"));
  } finally {
    other.close();
  }
}

/**
 * Whether a symlink in a real directory below the destination leads to what is below it, too, wherever that lies. After
 * a name `..` may mean anything, for the name may be another symlink.
 */
export function staysBelow(above: readonly string[], target: string): boolean {
  const [, up = "", rest = ""] = /^((?:\.{1,2}\/+|\.{1,2}$)*)([^]*)$/.exec(target) ?? [];
  return rest[0] !== "/" && !rest.split("/").includes("..") &&
    up.split("/").filter((part) => part === "..").length <= above.length;
}

async function unpackSymlink({ parts, target }: Unpacking["links"][number], o: Unpacking): Promise<void> {
  const shown = join(o.destination, ...parts);
  if (!staysBelow(parts.slice(0, -1), target)) {
    return await o.warn(`${shown} is left out: a symbolic link to ${target}, outside of what is copied`);
  }
  await orSay(shown, writeSymlink(await o.tree.enter(parts.slice(0, -1)), parts.at(-1)!, target));
}

/** The parts of a name below the root, or why it cannot be taken. */
function partsOf(
  { path, named }: Pick<TarMember, "path" | "named">,
  { root }: UnpackOptions,
): string[] | string {
  if (!named) return `${path} is left out: its name is not UTF-8`;
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  const below = root === "" ? parts : parts.slice(1);
  if (parts.includes("..") || (root !== "" && parts[0] !== root)) {
    return `${path} is left out: not below ${root === "" ? "the directory" : root}`;
  }
  return below;
}

function createTree(path: string): Tree {
  const top = openDirectory(path);
  let open: { name: string; directory: Directory }[] = [];
  const leave = (depth: number) => {
    for (const { directory } of open.slice(depth)) directory.close();
    open = open.slice(0, depth);
  };
  return {
    async enter(parts) {
      const same = open.findIndex(({ name }, i) => name !== parts[i]);
      leave(same < 0 ? Math.min(open.length, parts.length) : same);
      for (const name of parts.slice(open.length)) {
        const shown = join(path, ...parts.slice(0, open.length + 1));
        open.push({ name, directory: await enter(open.at(-1)?.directory ?? top, name, shown) });
      }
      return open.at(-1)?.directory ?? top;
    },
    close() {
      leave(0);
      top.close();
    },
  };
}
