/**
 * The Images port over CRI v1, with archives imported beside it. Not for: pull policy, credentials, collection.
 */
import type { ImageFileSystem, Images, ImageStatus } from "../../agent/ports.ts";
import type { FilesystemUsage, Image } from "../rpc/gen/cri.ts";
import type { ArchiveImporter } from "./archives.ts";
import { type ImageClient, within } from "./client.ts";
import { isNotFound, toAgentError, toPullError } from "./errors.ts";

export function toImageStatus(image: Image, pinned: ReadonlySet<string>): ImageStatus {
  return {
    id: image.id,
    repoTags: image.repoTags,
    repoDigests: image.repoDigests,
    size: Number(image.size),
    user: image.uid === undefined ? image.username : String(image.uid.value),
    pinned: image.pinned || image.repoTags.some((tag) => pinned.has(tag)),
  };
}

function toFileSystem(usage: FilesystemUsage | undefined): ImageFileSystem | undefined {
  if (usage?.fsId === undefined || usage.usedBytes === undefined) return undefined;
  const { fsId, inodesUsed, timestamp, usedBytes } = usage;
  return {
    path: fsId.mountpoint,
    at: Number(timestamp / 1_000_000n),
    bytes: Number(usedBytes.value),
    ...(inodesUsed === undefined ? {} : { inodes: Number(inodesUsed.value) }),
  };
}

export function createImages(client: ImageClient, importer: ArchiveImporter): Images {
  /** Names that archives brought: containerd before 1.7 does not tell what is pinned. */
  const pinned = new Set<string>();

  const status = async (image: string, signal: AbortSignal): Promise<ImageStatus | undefined> => {
    const response = await client.imageStatus({ image: { image } }, within(signal));
    return response.image === undefined ? undefined : toImageStatus(response.image, pinned);
  };

  return {
    list: (signal) =>
      mapped(signal, async () => {
        const { images } = await client.listImages({}, within(signal));
        return images.map((image) => toImageStatus(image, pinned));
      }),
    status: (image, signal) => mapped(signal, () => status(image, signal)),
    pull: async (image, auth, signal) => {
      try {
        // No deadline: a pull takes what the network gives; the runtime itself gives up on one without progress.
        return (await client.pullImage({ image: { image }, ...(auth === undefined ? {} : { auth }) }, {
          signal,
        }))
          .imageRef;
      } catch (error) {
        throw toPullError(error, signal);
      }
    },
    remove: (image, signal) =>
      mapped(signal, async () => {
        try {
          await client.removeImage({ image: { image } }, within(signal));
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      }),
    fileSystems: (signal) =>
      mapped(signal, async () => {
        const { imageFilesystems, containerFilesystems } = await client.imageFsInfo({}, within(signal));
        const images = toFileSystem(imageFilesystems[0]);
        // containerd before 1.7 tells of one place for both.
        const containers = toFileSystem(containerFilesystems[0]) ?? images;
        return { ...(images && { images }), ...(containers && { containers }) };
      }),
    importArchive: (path, signal) =>
      mapped(signal, async () => {
        const names = await importer.importArchive(path, (name) => status(name, signal), signal);
        for (const name of names) pinned.add(name);
        return names;
      }),
  };
}

async function mapped<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw toAgentError(error, "Unknown", signal);
  }
}
