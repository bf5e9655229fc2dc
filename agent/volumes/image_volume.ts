/**
 * Image volumes that the agent mounts, where the runtime does not: read-only, without programs and devices, one mount
 * for each volume and image. Not for: pulling, or runtimes that mount images themselves.
 *
 * Source: KEP-4639; kubernetes API docs of ImageVolumeSource (ro, noexec).
 */
import { dirname, join } from "@std/path";
import { AgentError } from "../model/errors.ts";
import type { HeldImage, Host } from "../ports.ts";
import { part, type PodPaths } from "./paths.ts";
import { mountByProgram } from "./mount_program.ts";

const inert = ["ro", "noexec", "nosuid", "nodev"];
const limitMs = 60_000;
/** The kernel takes one page of options. */
const optionsLimit = 4000;

/** `VOLUME/CONTENT`: the same volume with another image is another mount. `image` is an id. */
export const imageVolumeId = (volume: string, image: string): string =>
  `${part(volume, "volume name")}/${part(image.slice(-12), "image id")}`;

/** Returns where the image lies. Idempotent. */
export async function mountImage(
  host: Host,
  paths: PodPaths,
  held: HeldImage,
  signal: AbortSignal,
): Promise<string> {
  const target = join(paths.images, held.id);
  const found = (await host.mounts()).filter((m) => m.path === target);
  if (found.some((m) => inert.every((option) => m.options.includes(option)))) return target;
  // A bind mount is writable for a moment before it is not: one that stayed so goes.
  for (const _ of found) await host.unmount(target, { lazy: true });
  await host.mkdir(dirname(target), 0o750);
  await host.mkdir(target, 0o750);
  const { directory, options } = shortened(held.options);
  await mountByProgram(
    host,
    {
      type: held.type === "bind" ? "" : held.type,
      source: held.source,
      target,
      options: [...options.filter((o) => o !== "rw"), ...inert],
      ...(directory !== undefined && { directory }),
    },
    limitMs,
    signal,
  );
  return target;
}

/** Many layers make more than a page of options: their paths become relative to the directory that they share. */
export function shortened(options: readonly string[]): { directory?: string; options: string[] } {
  const layers = options.find((o) => o.startsWith("lowerdir="))?.slice("lowerdir=".length).split(":");
  if (options.join(",").length < optionsLimit || layers === undefined) return { options: [...options] };
  const directory = commonDirectory(layers);
  const relative = layers.map((layer) => layer.slice(directory.length + 1)).join(":");
  const all = options.map((o) => o.startsWith("lowerdir=") ? `lowerdir=${relative}` : o);
  if (all.join(",").length < optionsLimit) return { directory, options: all };
  throw new AgentError("FailedMount", `the image has too many layers to be mounted: ${layers.length}`);
}

function commonDirectory(paths: readonly string[]): string {
  let directory = dirname(paths[0] ?? "/");
  while (!paths.every((path) => path.startsWith(`${directory}/`))) directory = dirname(directory);
  return directory;
}
