/**
 * An image registry in the test's own process (OCI distribution-spec, pull only), on 127.0.0.1 where runtimes speak
 * plain HTTP: it asks for a password, keeps pulls waiting, and counts what was asked. Not for: pushing.
 */
import { createImageParts, type ImageOptions } from "../../tools/busybox_image.ts";

export interface RegistryOptions {
  /** By name below the registry: `team/web:1`. */
  images: Record<string, Omit<ImageOptions, "tags" | "format">>;
  /** Asked for with HTTP Basic; default nobody is asked. */
  auth?: { username: string; password: string };
}

export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:PORT`, to be put before names. */
  address: string;
  /** `METHOD PATH` of each request. */
  requests: string[];
  /** Layers wait until the returned function is called. */
  holdLayers(): () => void;
  /** How many layer requests wait. */
  held(): number;
}

interface Blob {
  type: string;
  content: Uint8Array<ArrayBuffer>;
  digest: string;
}

export function startRegistry(options: RegistryOptions): Registry {
  const blobs = new Map<string, Blob>();
  const layerPaths = new Set<string>();
  for (const [name, image] of Object.entries(options.images)) {
    const colon = name.lastIndexOf(":");
    const repository = name.slice(0, colon);
    const { config, layers, manifest } = createImageParts(image);
    for (const part of [config, ...layers]) blobs.set(`/v2/${repository}/blobs/${part.digest}`, part);
    for (const reference of [name.slice(colon + 1), manifest.digest]) {
      blobs.set(`/v2/${repository}/manifests/${reference}`, manifest);
    }
    for (const { digest } of layers) layerPaths.add(`/v2/${repository}/blobs/${digest}`);
  }
  const requests: string[] = [];
  let gate: Promise<void> | undefined;
  let waiting = 0;

  const answer = async (request: Request): Promise<Response> => {
    const path = new URL(request.url).pathname;
    requests.push(`${request.method} ${path}`);
    if (!isAllowed(request, options.auth)) {
      return refuse(401, "UNAUTHORIZED", { "www-authenticate": 'Basic realm="test"' });
    }
    if (path === "/v2/") return new Response("{}");
    const blob = blobs.get(path);
    if (blob === undefined) {
      return refuse(404, path.includes("/manifests/") ? "MANIFEST_UNKNOWN" : "BLOB_UNKNOWN");
    }
    if (layerPaths.has(path) && gate !== undefined) {
      waiting++;
      await gate;
      waiting--;
    }
    const headers = {
      "content-type": blob.type,
      "content-length": String(blob.content.length),
      "docker-content-digest": blob.digest,
    };
    return new Response(request.method === "HEAD" ? null : blob.content, { headers });
  };

  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  return {
    address: `127.0.0.1:${server.addr.port}`,
    requests,
    holdLayers: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return () => {
        gate = undefined;
        resolve();
      };
    },
    held: () => waiting,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function isAllowed(request: Request, auth: RegistryOptions["auth"]): boolean {
  if (auth === undefined) return true;
  return request.headers.get("authorization") === `Basic ${btoa(`${auth.username}:${auth.password}`)}`;
}

const refuse = (status: number, code: string, headers: Record<string, string> = {}): Response =>
  Response.json({ errors: [{ code, message: code.toLowerCase() }] }, { status, headers });
