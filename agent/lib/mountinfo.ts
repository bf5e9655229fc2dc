/**
 * Reads the text of /proc/self/mountinfo (proc_pid_mountinfo(5)). Pure. Not for: mounting.
 */

export interface MountEntry {
  path: string;
  fsType: string;
  source: string;
  /** Options of the mount point, then those of the file system. */
  options: string[];
}

/** Mount points in the order of the kernel, so that of two at the same path the later one is on top. */
export function parseMountInfo(text: string): MountEntry[] {
  return text.split("\n").map(parseLine).filter((m) => m !== undefined);
}

/** Those at `path` or below it. `path` must be free of symlinks. */
export function mountsWithin<T extends { path: string }>(mounts: readonly T[], path: string): T[] {
  const below = path.endsWith("/") ? path : path + "/";
  return mounts.filter((m) => m.path === path || m.path.startsWith(below));
}

function parseLine(line: string): MountEntry | undefined {
  // id, parent, major:minor, root, mount point, options, zero or more tags, "-", type, source, super options
  const fields = line.split(" ");
  const dash = fields.indexOf("-", 6);
  const [path, options] = [fields[4], fields[5]];
  const [fsType, source, superOptions] = fields.slice(dash + 1);
  if (dash < 0 || path === undefined || options === undefined || fsType === undefined) return undefined;
  return {
    path: unescapeOctal(path),
    fsType: unescapeOctal(fsType),
    source: unescapeOctal(source ?? ""),
    options: [...new Set([...options.split(","), ...(superOptions ?? "").split(",")])].filter((o) =>
      o !== ""
    ),
  };
}

/** The kernel writes space, tab, newline and backslash as `\040`; each escape is one byte below 0x80. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}
