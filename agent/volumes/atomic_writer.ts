/**
 * Writes a set of files into a volume so that readers see the old set or the new one, never a mixture: the layout of
 * Kubernetes' AtomicWriter (pkg/volume/util/atomic_writer.go).
 *
 *     key -> ..data/key      ..data -> ..2026_01_02_03_04_05.123456789
 *
 * A crash at any point leaves a complete set behind `..data`; the next write removes what was left over.
 */
import { dirname, join } from "@std/path";
import type { FileProjection } from "../model/volumes.ts";
import type { Host } from "../ports.ts";

const dataLink = "..data";
const newDataLink = "..data_tmp";

/** Group that owns the files, with read permission for it and setgid directories; absent leaves root's. */
export type FsGroup = number | undefined;

/** True when something was written: the same content again touches nothing. */
export async function writeAtomically(
  host: Host,
  directory: string,
  files: ReadonlyMap<string, FileProjection>,
  fsGroup: FsGroup,
): Promise<boolean> {
  const old = await host.readlink(join(directory, dataLink));
  const equal = old !== undefined && await holds(host, join(directory, old), files, fsGroup);
  let current = old ?? "";
  if (!equal) {
    current = stamp(host.now());
    await writeFiles(host, join(directory, current), files, fsGroup);
    await host.remove(join(directory, newDataLink));
    await link(host, current, join(directory, newDataLink), fsGroup);
    await host.rename(join(directory, newDataLink), join(directory, dataLink));
  }
  await publishNames(host, directory, files, current, fsGroup);
  return !equal;
}

/** `..2006_01_02_15_04_05.` and a random number, in UTC. */
function stamp(now: number): string {
  const time = new Date(now).toISOString().slice(0, 19).replace(/[-T:]/g, "_");
  return `..${time}.${crypto.getRandomValues(new Uint32Array(1))[0]}`;
}

/** Whether a directory holds exactly these files with exactly this content and mode. */
async function holds(
  host: Host,
  directory: string,
  files: ReadonlyMap<string, FileProjection>,
  fsGroup: FsGroup,
): Promise<boolean> {
  const found = await filesBelow(host, directory, "");
  if (found.length !== files.size) return false;
  for (const { path, mode, uid } of found) {
    const wanted = files.get(path);
    if (wanted === undefined || mode !== modeOf(wanted, fsGroup)) return false;
    if (wanted.uid !== undefined && uid !== wanted.uid) return false;
    const content = await host.readFile(join(directory, path));
    if (content === undefined || !sameBytes(content, wanted.content)) return false;
  }
  return true;
}

const modeOf = ({ mode }: FileProjection, fsGroup: FsGroup): number =>
  fsGroup === undefined ? mode : mode | 0o440;

async function filesBelow(
  host: Host,
  directory: string,
  prefix: string,
): Promise<{ path: string; mode: number; uid: number }[]> {
  const found: { path: string; mode: number; uid: number }[] = [];
  for (const name of await host.list(directory) ?? []) {
    const stat = await host.lstat(join(directory, name));
    if (stat?.kind === "directory") {
      found.push(...await filesBelow(host, join(directory, name), `${prefix}${name}/`));
    } else found.push({ path: prefix + name, mode: stat?.mode ?? -1, uid: stat?.uid ?? -1 });
  }
  return found;
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

async function writeFiles(
  host: Host,
  directory: string,
  files: ReadonlyMap<string, FileProjection>,
  fsGroup: FsGroup,
): Promise<void> {
  await makeDirectory(host, directory, fsGroup);
  const parents = new Set([...files.keys()].flatMap(parentsOf));
  for (const parent of [...parents].sort()) await makeDirectory(host, join(directory, parent), fsGroup);
  for (const [path, file] of files) {
    const target = join(directory, path);
    await host.writeFile(target, file.content, modeOf(file, fsGroup));
    if (fsGroup !== undefined || file.uid !== undefined) {
      await host.chown(target, file.uid ?? -1, fsGroup ?? -1);
    }
  }
}

function parentsOf(path: string): string[] {
  const parent = dirname(path);
  return parent === "." ? [] : [...parentsOf(parent), parent];
}

/** chown clears setgid, so it comes first. */
async function makeDirectory(host: Host, path: string, fsGroup: FsGroup): Promise<void> {
  await host.mkdir(path, 0o755);
  if (fsGroup === undefined) return;
  await host.chown(path, -1, fsGroup);
  await host.chmod(path, 0o2755);
}

async function link(host: Host, target: string, path: string, fsGroup: FsGroup): Promise<void> {
  await host.symlink(target, path);
  if (fsGroup !== undefined) await host.chown(path, -1, fsGroup);
}

/** Makes the names in the volume those of the files, and removes old sets. Directories are mount points: they stay. */
async function publishNames(
  host: Host,
  directory: string,
  files: ReadonlyMap<string, FileProjection>,
  current: string,
  fsGroup: FsGroup,
): Promise<void> {
  const wanted = new Set([...files.keys()].map((path) => path.split("/")[0] ?? path));
  const present = new Set(await host.list(directory) ?? []);
  for (const name of wanted) {
    if (!present.has(name)) await link(host, `${dataLink}/${name}`, join(directory, name), fsGroup);
  }
  for (const name of present) {
    const path = join(directory, name);
    if (name.startsWith("..")) {
      if (name !== dataLink && name !== current) await host.removeTree(path);
    } else if (!wanted.has(name) && (await host.lstat(path))?.kind === "symlink") await host.remove(path);
  }
}
