/**
 * An image that the agent carries in itself, brought into the runtime when it is missing there. Not for: the images
 * directory.
 */
import { join } from "@std/path";
import type { Host, Images } from "../ports.ts";

export interface BuiltinImage {
  name: string;
  /** The archive's bytes; asked for only when they are needed. */
  create(): Promise<Uint8Array>;
}

export interface BuiltinImageOptions {
  host: Pick<Host, "writeFile" | "remove">;
  images: Pick<Images, "status" | "importArchive">;
  /** Private to the agent: the archive lies there during the import. */
  directory: string;
}

/** Returns whether it had to be imported. */
export async function ensureBuiltinImage(
  o: BuiltinImageOptions,
  image: BuiltinImage,
  signal: AbortSignal,
): Promise<boolean> {
  if (await o.images.status(image.name, signal) !== undefined) return false;
  const path = join(o.directory, "builtin-image.tar");
  await o.host.writeFile(path, await image.create(), 0o600);
  try {
    await o.images.importArchive(path, signal);
  } finally {
    await o.host.remove(path);
  }
  return true;
}
