/**
 * The image store of the fake runtime: names, ids, pulls that succeed when the registry has the image.
 * Not for: image content.
 */
import type { Images, ImageStatus } from "../../agent/ports.ts";
import { AgentError } from "../../agent/model/errors.ts";
import { normalizeImageName } from "../../agent/model/image_name.ts";
import type { Gate } from "./runtime.ts";

/** `busybox` → `docker.io/library/busybox:latest`; what is no name stays as it is. */
const normalizeImage = (name: string): string => normalizeImageName(name)?.name ?? name;

/** A stable stand-in for a content id. */
function idOf(name: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return "sha256:" + hash.toString(16).padStart(16, "0").repeat(4);
}

export function createFakeImages(gate: Gate, present: string[], registry: string[] | undefined) {
  const byId = new Map<string, ImageStatus>();
  const available = registry === undefined ? undefined : new Set(registry.map(normalizeImage));

  const find = (name: string): ImageStatus | undefined =>
    byId.get(name) ?? [...byId.values()].find((i) => i.repoTags.includes(normalizeImage(name)));
  const add = (name: string, user = "", pinned = false): ImageStatus => {
    const tag = normalizeImage(name);
    const id = idOf(tag);
    const status: ImageStatus = { id, repoTags: [tag], repoDigests: [], size: 1 << 20, user, pinned };
    byId.set(id, status);
    return status;
  };
  for (const name of present) add(name);

  const images: Images = {
    list: async (signal) => {
      await gate.pass("images.list", [], signal);
      return [...byId.values()].map((i) => ({ ...i }));
    },
    status: async (image, signal) => {
      await gate.pass("images.status", [image], signal);
      return find(image);
    },
    pull: async (image, auth, signal) => {
      await gate.pass("images.pull", [image, auth], signal);
      if (normalizeImageName(image) === undefined) {
        throw new AgentError("InvalidImageName", `invalid reference format: "${image}"`, { retry: false });
      }
      if (available !== undefined && !available.has(normalizeImage(image))) {
        throw new AgentError(
          "ErrImagePull",
          `failed to resolve reference "${normalizeImage(image)}": not found`,
        );
      }
      return (find(image) ?? add(image)).id;
    },
    fileSystems: async (signal) => {
      await gate.pass("images.fileSystems", [], signal);
      return { images: { path: "/images", at: 0, bytes: 1 << 20, inodes: 7 } };
    },
    remove: async (image, signal) => {
      await gate.pass("images.remove", [image], signal);
      const found = find(image);
      if (found !== undefined) byId.delete(found.id);
    },
    importArchive: async (path, signal) => {
      await gate.pass("images.importArchive", [path], signal);
      const name = path.slice(path.lastIndexOf("/") + 1).replace(/\.tar(\.gz|\.zst)?$/, "");
      return add(name, "", true).repoTags;
    },
  };
  return { images, find, add, names: () => [...byId.values()].flatMap((i) => i.repoTags) };
}
