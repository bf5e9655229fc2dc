/**
 * Files below a directory that others may write into, such as pods that have /var/log mounted: what a link in it leads out
 * to is not there. Not for: what is in them.
 */

export interface FileId {
  dev: number;
  ino: number;
}

export interface OpenedFile {
  stat(): Promise<FileId & { size: number }>;
  /** Up to `length` bytes from `offset`; empty at the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): void;
}

/** What is needed of the host. */
export interface FilesInside {
  lstat(path: string): Promise<FileId & { kind: string } | undefined>;
  realPath(path: string): Promise<string | undefined>;
  openFile(path: string): Promise<OpenedFile | undefined>;
}

/** Where the path leads; undefined where that is outside of the directory, or nowhere. */
export async function resolveInside(
  files: Pick<FilesInside, "realPath">,
  directory: string,
  path: string,
): Promise<string | undefined> {
  const root = await files.realPath(directory);
  const real = root === undefined ? undefined : await files.realPath(path);
  return real === root || real?.startsWith(`${root}/`) ? real : undefined;
}

/** Undefined for what is no file inside of the directory. */
export async function openInside(
  files: FilesInside,
  directory: string,
  path: string,
): Promise<OpenedFile | undefined> {
  const real = await resolveInside(files, directory, path);
  if (real === undefined || (await files.lstat(real))?.kind !== "file") return undefined;
  const file = await files.openFile(real);
  if (file === undefined) return undefined;
  // What has been put in its place, or in that of a directory above it, between looking and opening is not shown.
  const [opened, again, named] = await Promise.all([
    file.stat(),
    resolveInside(files, directory, real),
    files.lstat(real),
  ]);
  if (again === real && named?.kind === "file" && named.dev === opened.dev && named.ino === opened.ino) {
    return file;
  }
  file.close();
  return undefined;
}
