/** A manifest directory in memory that is watched. Not for: assertions. */
import { watchManifests } from "../../../../agent/sources/static_dir.ts";
import type { Snapshot } from "../../../../agent/model/wish.ts";
import type { FakeHost } from "../../../fakes/host.ts";

export const pod = (name: string, image = "demo:1") =>
  `apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  containers:
    - {name: main, image: "${image}"}
`;

export interface Run {
  host: FakeHost;
  snapshots: Snapshot[];
  newest(): Snapshot;
  pods(): string[];
  errors(): string[];
  /** Waits for a snapshot, the newest included. */
  until(is: (snapshot: Snapshot) => boolean): Promise<Snapshot>;
  stop(): Promise<void>;
}

export function start(host: FakeHost, options: { lastGoodPath?: string } = {}): Run {
  const leaving = new AbortController();
  const snapshots: Snapshot[] = [];
  let told = () => {};
  const running = watchManifests({
    ...{ host, directory: "/manifests", nodeName: "node1", signal: leaving.signal },
    ...options,
    onSnapshot(snapshot) {
      snapshots.push(snapshot);
      told();
    },
  });
  const newest = () => snapshots.at(-1)!;
  return {
    ...{ host, snapshots, newest },
    pods: () => [...newest().pods.keys()].sort(),
    errors: () => newest().problems.filter((p) => p.severity === "error").map((p) => p.message),
    async until(is) {
      while (snapshots.length === 0 || !is(newest())) await new Promise<void>((resolve) => told = resolve);
      return newest();
    },
    async stop() {
      leaving.abort();
      await running;
    },
  };
}

export const image = (snapshot: Snapshot, key: string) =>
  snapshot.pods.get(key)?.pod.spec?.containers[0]?.image;
export const withError = (s: Snapshot) => s.problems.some((p) => p.severity === "error");
