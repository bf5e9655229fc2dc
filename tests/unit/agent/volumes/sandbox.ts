/** A private directory on the real host for one test, which leaves neither mounts nor files behind. */
import { createHost } from "../../../../agent/host.ts";
import type { Container, Pod } from "../../../../agent/model/gen/v1.ts";
import type { DesiredPod } from "../../../../agent/model/wish.ts";
import type { EditsRequest, Host, ImageVolumes, TokenSource } from "../../../../agent/ports.ts";
import { createFakeImageVolumes } from "../../../fakes/image_volumes.ts";
import type { Claims } from "../../../../agent/volumes/claims/port.ts";
import { createPodVolumes } from "../../../../agent/volumes/pod_volumes.ts";

export const signal = new AbortController().signal;
export const host: Host = createHost();
/** Mounting needs root; without it these tests say so instead of passing. */
export const needsRoot = { ignore: Deno.uid() !== 0 };

export { noObjects } from "../../../../agent/model/wish.ts";

/** Of pods that have none. */
export const noClaims: Claims = {
  volumeFor: () => Promise.reject(new Error("there are no claims")),
  isStale: () => false,
  sweep: () => Promise.resolve(),
  gone: () => {},
};

export const desire = (spec: Partial<NonNullable<Pod["spec"]>>, uid = "uid-1"): DesiredPod => ({
  pod: { metadata: { name: "web", namespace: "shop", uid }, spec: { containers: [], ...spec } },
  uid,
  source: "file",
  origin: "test",
});

export function volumesAt(
  root: string,
  on: Host = host,
  images: ImageVolumes = createFakeImageVolumes(),
  tokens: TokenSource | undefined = undefined,
  claims: Claims = noClaims,
) {
  return createPodVolumes({
    host: on,
    images,
    claims,
    ...(tokens && { tokens }),
    rootDir: root,
    clusterDomain: "cluster.local",
    node: { hostIPs: ["192.0.2.1"], nodeName: "n", allocatable: { memory: 64 * 2 ** 20 } },
  });
}

/** What a container asks its mounts for, where nothing else is said. */
export const requestFor = (
  container: Container,
  more: Partial<EditsRequest> & Pick<EditsRequest, "pod" | "published">,
): EditsRequest => ({
  container,
  attempt: 0,
  env: [],
  podIPs: ["10.1.0.7"],
  images: new Map(),
  recursiveReadOnly: false,
  ...more,
});

export async function inDirectory(test: (root: string) => Promise<void>): Promise<void> {
  const root = await Deno.realPath(await Deno.makeTempDir({ prefix: "agent-volumes-" }));
  try {
    await test(root);
  } finally {
    const left = (await host.mounts()).map((m) => m.path).filter((path) => path.startsWith(`${root}/`));
    for (const path of left.reverse()) await host.unmount(path, { lazy: true });
    await Deno.remove(root, { recursive: true });
  }
}

export const modeOf = (path: string): string => ((Deno.lstatSync(path).mode ?? 0) & 0o7777).toString(8);

/** A patience that ends at once, held by a timer that the test waits for. */
export function soon(): AbortSignal {
  const patience = new AbortController();
  setTimeout(() => patience.abort(), 20);
  return patience.signal;
}
