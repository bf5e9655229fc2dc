/**
 * The CDI specs of a node's directories. A spec decides about mounts and devices of containers, so that only what nobody
 * but root can write is believed. Not for: what the specs say (agent/model/cdi.ts).
 */
import { join } from "@std/path";
import { cdiSizeLimit, parseCdiSpec } from "../../agent/model/cdi.ts";
import type { CdiFile } from "../../agent/model/cdi_registry.ts";
import { errorText, type Problem } from "../../agent/model/errors.ts";
import type { PlacedProblem } from "../../agent/model/finding.ts";
import type { FileStat, Host } from "../../agent/ports.ts";

export type SpecFiles = Pick<Host, "list" | "stat" | "openFile">;

/** One file of a directory: its text, and what is wrong with it. */
export interface ReadSpec {
  file?: CdiFile;
  path: string;
  text: string;
  /** Which document of the text it is. */
  document: number;
  problems: PlacedProblem[];
}

const refusal = (path: string, message: string): ReadSpec => ({
  path,
  text: "",
  document: 0,
  problems: [{ severity: "error", file: path, message }],
});

/** In the order of the directories, the later ones win; a directory that is not there has no specs. Never throws. */
export async function readSpecs(host: SpecFiles, directories: readonly string[]): Promise<ReadSpec[]> {
  const all = directories.map((directory, priority) => readDirectory(host, directory, priority));
  return (await Promise.all(all)).flat();
}

async function readDirectory(host: SpecFiles, directory: string, priority: number): Promise<ReadSpec[]> {
  try {
    const found = await host.stat(directory);
    const names = found?.kind === "directory" ? await host.list(directory) ?? [] : [];
    const specs = names.filter((name) => /\.(json|yaml)$/.test(name));
    const writable = found && othersThanRoot(found);
    if (writable !== undefined && specs.length > 0) {
      return [refusal(directory, `the CDI specs in it are not used: ${writable}`)];
    }
    return await Promise.all(specs.map((name) => readSpec(host, join(directory, name), priority)));
  } catch (error) {
    return [refusal(directory, `cannot be read: ${errorText(error)}`)];
  }
}

/** Who besides root may write, in words. */
function othersThanRoot({ uid, gid, mode }: FileStat): string | undefined {
  const expected = "expected it to be root's, and writable by nobody else (chown root, chmod go-w)";
  if (uid !== 0) return `it belongs to user ${uid}; ${expected}`;
  if ((mode & 0o002) !== 0) return `everybody may write it; ${expected}`;
  return (mode & 0o020) !== 0 && gid !== 0 ? `group ${gid} may write it; ${expected}` : undefined;
}

async function readSpec(host: SpecFiles, path: string, priority: number): Promise<ReadSpec> {
  try {
    // Opening a pipe would wait for its writer.
    if ((await host.stat(path))?.kind !== "file") return refusal(path, "expected a regular file");
    const opened = await host.openFile(path);
    if (opened === undefined) return refusal(path, "vanished while it was read");
    try {
      const stat = await opened.stat();
      const writable = othersThanRoot(stat);
      if (writable !== undefined) return refusal(path, `this CDI spec is not used: ${writable}`);
      const bytes = await opened.read(0, Math.min(stat.size, cdiSizeLimit) + 1);
      if (bytes.length > cdiSizeLimit) {
        return refusal(path, `larger than ${cdiSizeLimit >> 20} MiB: expected a CDI spec`);
      }
      const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
      const { spec, ...parsed } = parseCdiSpec(path, text);
      return { path, text, ...parsed, ...(spec !== undefined && { file: { path, priority, spec } }) };
    } finally {
      opened.close();
    }
  } catch (error) {
    return refusal(path, `cannot be read: ${errorText(error)}`);
  }
}

/** Problems of one file, with their places in its text. */
export type Locate = (text: string, problems: readonly PlacedProblem[]) => Promise<Problem[]>;
