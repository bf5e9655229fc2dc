/**
 * hostPath volumes: what must be at the path, and what is created when it is missing. Not for: anything below it.
 *
 * Source: kubernetes pkg/volume/hostpath/host_path.go.
 */
import type { HostPathVolumeSource } from "../model/gen/v1.ts";
import { AgentError, errorText } from "../model/errors.ts";
import type { FileStat, Host } from "../ports.ts";

/** What a type demands, and its name in the message. */
const demands: Readonly<
  Record<string, { kind: FileStat["kind"]; words: string; create?: "directory" | "file" }>
> = {
  DirectoryOrCreate: { kind: "directory", words: "directory", create: "directory" },
  Directory: { kind: "directory", words: "directory" },
  FileOrCreate: { kind: "file", words: "file", create: "file" },
  File: { kind: "file", words: "file" },
  Socket: { kind: "socket", words: "socket file" },
  CharDevice: { kind: "char", words: "character device" },
  BlockDevice: { kind: "block", words: "block device" },
};

/** Returns the path. Throws FailedMount when what is there is not what the type says. */
export async function publishHostPath(
  host: Host,
  { path, type }: HostPathVolumeSource,
  signal: AbortSignal,
): Promise<string> {
  if (!path.startsWith("/")) throw refuse(`invalid HostPath \`${path}\`: must be an absolute path`);
  if (path.split("/").includes("..")) throw refuse(`invalid HostPath \`${path}\`: must not contain '..'`);
  if (type === undefined || type === "") return path;
  const demand = Object.hasOwn(demands, type) ? demands[type] : undefined;
  if (demand === undefined) throw refuse(`${type} is an invalid volume type`);
  if (demand.create !== undefined && await host.stat(path) === undefined) {
    await create(host, path, demand.create, signal);
  }
  if ((await host.stat(path))?.kind !== demand.kind) {
    throw new AgentError("FailedMount", `hostPath type check failed: ${path} is not a ${demand.words}`);
  }
  return path;
}

/** `touch` creates without truncating: two pods may be at it, and one already be writing. */
async function create(
  host: Host,
  path: string,
  what: "directory" | "file",
  signal: AbortSignal,
): Promise<void> {
  try {
    if (what === "directory") return await host.mkdir(path);
    const script = 'umask 022 && exec touch -- "$1"';
    const { code, stderr } = await host.exec(["sh", "-c", script, "sh", path], {}, signal);
    if (code !== 0) throw new Error(new TextDecoder().decode(stderr).trim());
  } catch (error) {
    throw new AgentError("FailedMount", `cannot create the ${what} ${path}: ${errorText(error)}`, {
      cause: error,
    });
  }
}

const refuse = (message: string) => new AgentError("FailedMount", message, { retry: false });
