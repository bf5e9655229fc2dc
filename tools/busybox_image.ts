/**
 * Image archives for the demo and the tests, made of the machine's own static busybox, so that no registry is needed.
 * Not for: pulling; serve the archive's content from a registry for that.
 */
import { createHash } from "node:crypto";
import { type TarEntry, writeTar } from "./tar.ts";

/** The OCI image configuration's `config` (image-spec, config.md). */
export interface ImageConfig {
  User?: string;
  Env?: string[];
  Entrypoint?: string[];
  Cmd?: string[];
  WorkingDir?: string;
  StopSignal?: string;
}

export interface ImageOptions {
  /** Full names: `docker.io/library/busybox:1`. */
  tags: string[];
  config?: ImageConfig;
  /** Further files by absolute path; programs can be run. */
  files?: Record<string, string | Uint8Array>;
  /** Files of layers above the first. */
  upper?: Record<string, string | Uint8Array>[];
  /** Default `docker`, what `docker save` writes; `oci` is an OCI image layout. */
  format?: "docker" | "oci";
}

export const BUSYBOX_IMAGE = "docker.io/library/agent-test:1";

const APPLETS = [
  "sh",
  "sleep",
  "cat",
  "echo",
  "ls",
  "id",
  "env",
  "hostname",
  "mkdir",
  "touch",
  "rm",
  "kill",
  "ps",
  "nc",
  "wget",
  "httpd",
  "ip",
  "stat",
  "grep",
  "head",
  "tail",
  "test",
  "true",
  "false",
  "date",
  "mount",
  "seq",
  "yes",
  "dd",
  "nproc",
];
const PASSWD =
  "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nweb:x:1234:1234::/:/bin/sh\n";
const GROUP = "root:x:0:\nnobody:x:65534:\nweb:x:1234:\n";

export interface ImagePart {
  /** Media type (image-spec, media-types.md). */
  type: string;
  content: Uint8Array<ArrayBuffer>;
  digest: string;
}

/** One image: busybox with its usual names, /etc/passwd, /etc/group, /tmp. */
export function createImageParts(
  options: Omit<ImageOptions, "tags" | "format">,
): { config: ImagePart; layers: ImagePart[]; manifest: ImagePart } {
  const contents = [rootFiles(options.files ?? {}), ...(options.upper ?? []).map(entriesOf)];
  const layers = contents.map((entries) => part("layer.v1.tar", writeTar(entries)));
  const config = part(
    "config.v1+json",
    encodeJson({
      architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
      os: "linux",
      created: "1970-01-01T00:00:00Z",
      config: { Env: ["PATH=/bin"], Cmd: ["sh"], ...options.config },
      rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.digest) },
      history: layers.map(() => ({ created: "1970-01-01T00:00:00Z" })),
    }),
  );
  const manifest = part(
    "manifest.v1+json",
    encodeJson({
      schemaVersion: 2,
      mediaType: `${TYPE_PREFIX}manifest.v1+json`,
      config: descriptor(config),
      layers: layers.map(descriptor),
    }),
  );
  return { config, layers, manifest };
}

/** The bytes of an archive with that image. */
export function createImageArchive(options: ImageOptions): Uint8Array<ArrayBuffer> {
  const parts = createImageParts(options);
  return options.format === "oci" ? ociArchive(options.tags, parts) : dockerArchive(options.tags, parts);
}

/** Writes the archive below `directory` and returns its path. */
export async function writeImageArchive(
  directory: string,
  name: string,
  options: ImageOptions,
): Promise<string> {
  const path = `${directory}/${name}`;
  await Deno.writeFile(path, createImageArchive(options));
  return path;
}

function rootFiles(files: Record<string, string | Uint8Array>): TarEntry[] {
  const directories = ["bin", "etc", "tmp", "root", "dev", "proc", "sys"];
  return [
    ...directories.map((path) => ({
      path: `${path}/`,
      directory: true,
      mode: path === "tmp" ? 0o1777 : 0o755,
    })),
    { path: "bin/busybox", mode: 0o755, content: Deno.readFileSync("/bin/busybox") },
    ...APPLETS.map((name) => ({ path: `bin/${name}`, target: "busybox", mode: 0o777 })),
    { path: "etc/passwd", content: encode(PASSWD) },
    { path: "etc/group", content: encode(GROUP) },
    ...entriesOf(files),
  ];
}

const encode = (content: string | Uint8Array): Uint8Array =>
  typeof content === "string" ? new TextEncoder().encode(content) : content;

const isProgram = (content: Uint8Array): boolean => new TextDecoder().decode(content.slice(1, 4)) === "ELF";

const entriesOf = (files: Record<string, string | Uint8Array>): TarEntry[] =>
  Object.entries(files).map(([path, text]) => {
    const content = encode(text);
    return { path: path.slice(1), content, mode: isProgram(content) ? 0o755 : 0o644 };
  });

type Parts = ReturnType<typeof createImageParts>;

function dockerArchive(tags: string[], { config, layers }: Parts): Uint8Array<ArrayBuffer> {
  const names = layers.map((_, i) => `layer${i}.tar`);
  const manifest = encodeJson([{ Config: "config.json", RepoTags: tags, Layers: names }]);
  return writeTar([
    { path: "manifest.json", content: manifest },
    { path: "config.json", content: config.content },
    ...layers.map(({ content }, i) => ({ path: `layer${i}.tar`, content })),
  ]);
}

function ociArchive(tags: string[], { config, layers, manifest }: Parts): Uint8Array<ArrayBuffer> {
  const index = encodeJson({
    schemaVersion: 2,
    mediaType: `${TYPE_PREFIX}index.v1+json`,
    manifests: tags.map((tag) => ({
      ...descriptor(manifest),
      annotations: { "io.containerd.image.name": tag },
    })),
  });
  const blobs = [manifest, config, ...layers].map(({ digest, content }) => ({
    path: `blobs/${digest.replace(":", "/")}`,
    content,
  }));
  const layout = encodeJson({ imageLayoutVersion: "1.0.0" });
  return writeTar([
    { path: "oci-layout", content: layout },
    { path: "index.json", content: index },
    ...blobs,
  ]);
}

const TYPE_PREFIX = "application/vnd.oci.image.";

function part(type: string, content: Uint8Array<ArrayBuffer>): ImagePart {
  const digest = "sha256:" + createHash("sha256").update(content).digest("hex");
  return { type: TYPE_PREFIX + type, content, digest };
}

const encodeJson = (value: unknown): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(JSON.stringify(value));
const descriptor = ({ type, digest, content }: ImagePart) => ({
  mediaType: type,
  digest,
  size: content.length,
});
