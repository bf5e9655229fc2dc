/** A snapshot of a small cluster, and the parts that keep it, on a host in memory. */
import { type Cache, createCache } from "../../../../../agent/cluster/offline/cache.ts";
import type { Pod, PodSpec, Secret } from "../../../../../agent/model/gen/v1.ts";
import { noObjects, podKey, type Snapshot } from "../../../../../agent/model/wish.ts";
import type { FakeHost } from "../../../../fakes/host.ts";

const specOf = (name: string): PodSpec => ({
  containers: [{ name: "main", image: "i:1" }],
  imagePullSecrets: [{ name }],
});

/** Names a Secret of its own name. */
export const podOf = (
  name: string,
  more: Partial<Pod["metadata"]> = {},
  rest: { spec?: Partial<PodSpec>; status?: Pod["status"] } = {},
): Pod => ({
  metadata: { name, namespace: "default", uid: `${name}-uid`, ...more },
  spec: { ...specOf(name), ...rest.spec },
  ...(rest.status && { status: rest.status }),
});

export const secretOf = (name: string, password: string): Secret => ({
  metadata: { name, namespace: "default" },
  data: { password: btoa(password) },
});

export function snapshotOf(pods: readonly Pod[], secrets: readonly Secret[] = []): Snapshot {
  return {
    ...noObjects,
    source: "api",
    pods: new Map(pods.map((pod) => [podKey(pod), {
      pod,
      uid: pod.metadata!.uid!,
      source: "api",
      origin: "the API server",
    }])),
    secrets: new Map(secrets.map((s) => [podKey(s), s])),
    problems: [],
  };
}

export const machine = { "/etc/machine-id": "0123456789abcdef\n", "/state/imported.json": "{}" };

export function cacheOn(
  host: FakeHost,
  told: string[] = [],
  more: { keyFile?: string; context?: readonly string[] } = {},
): Cache {
  const { keyFile = "", context = ["box", "https://cluster:6443"] } = more;
  return createCache({
    host,
    stateDir: "/state",
    keyFile,
    context: () => context,
    report: (sentence) => told.push(sentence),
  });
}
