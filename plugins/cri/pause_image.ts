// The image of the pod sandbox's first process, made here from our own pause program, so that a pod starts without any
// registry. Not for importing it, nor for other images.

import { PAUSE_ELF } from "./pause_gen.ts";

export type PauseArch = keyof typeof PAUSE_ELF;

/** Name under which the archive is found after its import. */
export const PAUSE_IMAGE = "localhost/agent/pause:1";

interface TarEntry {
  path: string;
  mode: number;
  content: Uint8Array;
}

/**
 * The pause image for one architecture, always the same bytes. The archive is an OCI image layout (image-spec,
 * image-layout.md) and carries docker's `manifest.json` beside it, so that either kind of importer finds its name.
 */
export async function createPauseImageArchive(
  arch: PauseArch,
): Promise<{ name: string; archive: Uint8Array<ArrayBuffer> }> {
  const elf = Uint8Array.from(atob(PAUSE_ELF[arch]), (char) => char.charCodeAt(0));
  const layer = writeTar([{ path: "pause", mode: 0o755, content: elf }]);
  const config = encodeJson({
    architecture: arch,
    os: "linux",
    created: "1970-01-01T00:00:00Z",
    config: { User: "65535:65535", Env: ["PATH=/"], Entrypoint: ["/pause"], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [await digest(layer)] },
    history: [{ created: "1970-01-01T00:00:00Z", created_by: "agent" }],
  });
  const manifest = encodeJson({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: await descriptor("application/vnd.oci.image.config.v1+json", config),
    layers: [await descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
  });
  const index = encodeJson({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{
      ...await descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
      platform: { architecture: arch, os: "linux" },
      annotations: { "io.containerd.image.name": PAUSE_IMAGE, "org.opencontainers.image.ref.name": "1" },
    }],
  });
  const docker = encodeJson([{
    Config: await blobPath(config),
    RepoTags: [PAUSE_IMAGE],
    Layers: [await blobPath(layer)],
  }]);
  const file = (path: string, content: Uint8Array): TarEntry => ({ path, mode: 0o644, content });
  const archive = writeTar([
    file("oci-layout", encodeJson({ imageLayoutVersion: "1.0.0" })),
    file("index.json", index),
    file("manifest.json", docker),
    ...await Promise.all([manifest, config, layer].map(async (blob) => file(await blobPath(blob), blob))),
  ]);
  return { name: PAUSE_IMAGE, archive };
}

function encodeJson(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}

async function digest(blob: Uint8Array<ArrayBuffer>): Promise<string> {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", blob));
  return "sha256:" + Array.from(sum, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function blobPath(blob: Uint8Array<ArrayBuffer>): Promise<string> {
  return "blobs/" + (await digest(blob)).replace(":", "/");
}

async function descriptor(mediaType: string, blob: Uint8Array<ArrayBuffer>) {
  return { mediaType, digest: await digest(blob), size: blob.length };
}

/** POSIX ustar (pax(1)): root owns everything, the time is 0; a path has at most 100 bytes. */
function writeTar(entries: TarEntry[]): Uint8Array<ArrayBuffer> {
  const blocks = (bytes: number) => Math.ceil(bytes / 512) * 512;
  const tar = new Uint8Array(entries.reduce((sum, entry) => sum + 512 + blocks(entry.content.length), 1024));
  let at = 0;
  for (const entry of entries) {
    tar.set(tarHeader(entry), at);
    tar.set(entry.content, at + 512);
    at += 512 + blocks(entry.content.length);
  }
  return tar;
}

function tarHeader({ path, mode, content }: TarEntry): Uint8Array {
  const header = new Uint8Array(512);
  const put = (text: string, at: number) => header.set(new TextEncoder().encode(text), at);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  put(path, 0);
  put(octal(mode, 7), 100);
  put(octal(0, 7), 108); // uid
  put(octal(0, 7), 116); // gid
  put(octal(content.length, 11), 124);
  put(octal(0, 11), 136); // mtime
  put(" ".repeat(8), 148); // the checksum counts itself as spaces
  put("0", 156); // regular file
  put("ustar\0" + "00", 257);
  put(octal(header.reduce((sum, byte) => sum + byte, 0), 6) + "\0 ", 148);
  return header;
}
