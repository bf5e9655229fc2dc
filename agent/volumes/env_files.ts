/**
 * The env files that containers name with `fileKeyRef`, read from volumes that other containers write: a file is pinned
 * before it is looked at, so that no link leads out of the volume, and nothing but a regular file of bounded size is
 * opened. Not for: their syntax (model/env_file.ts).
 */
import { join } from "@std/path";
import type { Container } from "../model/gen/v1.ts";
import { AgentError, errorText } from "../model/errors.ts";
import { type EnvFile, envFileKey, envFileRefs, type EnvFiles } from "../model/env_file.ts";
import type { Host, PublishedVolume } from "../ports.ts";
import { part, type PodPaths, within } from "./paths.ts";
import { pin, unpin } from "./pin.ts";
import { partsOf, prepareTarget } from "./sub_path.ts";

/** Bytes; what Linux takes as one environment is less. */
const fileLimit = 1 << 20;

/** Throws CreateContainerConfigError when a volume is not there. */
export async function readEnvFiles(
  host: Host,
  paths: PodPaths,
  container: Container,
  published: ReadonlyMap<string, PublishedVolume>,
): Promise<EnvFiles> {
  const files = new Map<string, EnvFile>();
  for (const ref of envFileRefs(container)) {
    const volume = published.get(ref.volumeName);
    if (volume === undefined) {
      throw new AgentError(
        "CreateContainerConfigError",
        `cannot find the volume "${ref.volumeName}" referenced by FileKeyRef`,
      );
    }
    const staging = join(paths.subPaths, ".env", part(container.name, "container name"));
    files.set(envFileKey(ref), await readFile(host, volume.hostPath, ref.path, staging));
  }
  return files;
}

async function readFile(host: Host, volumePath: string, path: string, staging: string): Promise<EnvFile> {
  try {
    const volume = await host.realPath(volumePath);
    const found = volume && await host.realPath(join(volume, ...partsOf(path)));
    if (volume === undefined || found === undefined) return undefined;
    if (!within(found, volume)) return { error: "it does not lie inside the volume" };
    const kind = (await host.lstat(found))?.kind;
    if (kind === undefined) return undefined;
    // What takes the pin must be of the same kind; what it then shows is looked at again.
    await prepareTarget(host, staging, kind === "directory");
    try {
      await pin(host, found, staging, volume);
      return await readRegular(host, staging);
    } finally {
      await unpin(host, staging);
    }
  } catch (error) {
    return { error: errorText(error) };
  }
}

async function readRegular(host: Host, path: string): Promise<EnvFile> {
  if ((await host.lstat(path))?.kind !== "file") return { error: "it is not a regular file" };
  const file = await host.openFile(path);
  if (file === undefined) return undefined;
  try {
    const { size } = await file.stat();
    if (size > fileLimit) return { error: `it is larger than ${fileLimit} bytes` };
    const bytes = await file.read(0, size);
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch (error) {
    return { error: error instanceof TypeError ? "it is not UTF-8 text" : errorText(error) };
  } finally {
    file.close();
  }
}
