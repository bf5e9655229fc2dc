/** A reconciler on the fake runtime, for tests of whole lives of pods. Not for: assertions. */
import { defaultCpuPolicy } from "../../../../agent/model/cpu.ts";
import type { Container, Pod } from "../../../../agent/model/gen/v1.ts";
import type { Desired, DesiredPod } from "../../../../agent/model/wish.ts";
import { noObjects, podKey } from "../../../../agent/model/wish.ts";
import { defaultBackOff } from "../../../../agent/model/restart.ts";
import { createHost } from "../../../../agent/host.ts";
import { silentLog } from "../../../../agent/lib/log.ts";
import type { Placement } from "../../../../agent/plugin_ports.ts";
import type { Storage } from "../../../../agent/ports.ts";
import { createStatusStore, type StatusStore } from "../../../../agent/status_store.ts";
import type { ApplyOptions } from "../../../../agent/reconcile/apply.ts";
import { createGate } from "../../../../agent/lib/gate.ts";
import {
  createReconciler,
  type Reconciler,
  type ReconcilerOptions,
} from "../../../../agent/reconcile/reconciler.ts";
import { createUserNamespaces } from "../../../../agent/reconcile/user_namespaces.ts";
import { runRuntimeWatch } from "../../../../agent/reconcile/watch_runtime.ts";
import { createFakeNetworks, type FakeNetworks } from "../../../fakes/networks.ts";
import { createFakeProber, probeOptions } from "../../../fakes/prober.ts";
import { createFakeRuntime, type FakeRuntime } from "../../../fakes/runtime.ts";

/** Of host ids, for two pods. */
export const idPool = { first: 65_536, length: 131_072, perPod: 65_536 };

export const objects = noObjects;

export const storage = (root: string, disk: string[]): Storage => ({
  async claim(uid) {
    disk.push("directory made");
    await Deno.mkdir(`${root}/pods/${uid}`, { recursive: true });
  },
  publish: () => Promise.resolve(new Map()),
  isStale: () => Promise.resolve(false),
  sweep: () => Promise.resolve(),
  containerEdits: ({ container }) => Promise.resolve({ owner: container.name }),
  clear: () => Promise.resolve(void disk.push("emptyDirs cleared")),
  async remove(uid) {
    disk.push("directory removed");
    await Deno.remove(`${root}/pods/${uid}`, { recursive: true });
  },
  known: () => Array.fromAsync(Deno.readDir(`${root}/pods`)).then((all) => all.map((d) => d.name), () => []),
  keepResources: (uid, _container, given) =>
    Deno.writeTextFile(`${root}/pods/${uid}/given`, JSON.stringify(given)),
  keptResources: (uid) => Deno.readTextFile(`${root}/pods/${uid}/given`).then(JSON.parse, () => undefined),
  async keepNote(uid, name, text) {
    const path = `${root}/pods/${uid}/note-${name}`;
    await (text === undefined ? Deno.remove(path) : Deno.writeTextFile(path, text));
  },
  async notes(uid) {
    const directory = `${root}/pods/${uid}`;
    const files = await Array.fromAsync(Deno.readDir(directory)).catch(() => []);
    const names = files.map((f) => f.name).filter((name) => name.startsWith("note-"));
    const texts = names.map((name) => Deno.readTextFileSync(`${directory}/${name}`));
    return new Map(names.map((name, i) => [name.slice("note-".length), texts[i]!]));
  },
  terminationMessage: () => Promise.resolve(undefined),
  emptyDirUsage: () => Promise.resolve(new Map()),
  envFiles: () => Promise.resolve(new Map()),
});

export interface Bench {
  fake: FakeRuntime;
  networks: FakeNetworks;
  store: StatusStore;
  reconciler: Reconciler;
  /** What came and went on the node's disk. */
  disk: string[];
  /** Uids of pods that have left the node, in order. */
  gone: string[];
  leave(): Promise<void>;
}

export interface BenchOptions {
  reports?: NonNullable<ApplyOptions["reports"]>;
  admission?: NonNullable<ReconcilerOptions["admission"]>;
  store?: StatusStore;
  gone?(uid: string): void;
}

/** A reconciler on a fake runtime, and networks, that outlive it. */
export function createBench(
  root: string,
  fake: FakeRuntime,
  known?: FakeNetworks,
  placement?: Placement,
  more: BenchOptions = {},
): Bench {
  const networks = known ?? createFakeNetworks();
  const host = createHost();
  const store = more.store ?? createStatusStore();
  const stop = new AbortController();
  const node = {
    nodeName: "n",
    clusterDomain: "",
    hostIPs: ["192.0.2.1"],
    runtimeName: "fake",
    podLogsDir: `${root}/pods-logs`,
    containerLogsDir: `${root}/containers`,
    backOff: defaultBackOff,
    allocatable: { cpu: 2, memory: 2 ** 31 },
    memoryCapacity: 2 ** 31,
    cpu: defaultCpuPolicy,
    hugePageSizes: [],
  };
  const disk: string[] = [];
  const gone: string[] = [];
  const volumes = storage(root, disk);
  const { runtime, images } = fake;
  const reconciler = createReconciler({
    runtime,
    storage: volumes,
    store,
    log: silentLog,
    silenceMs: 300,
    gone(uid) {
      gone.push(uid);
      more.gone?.(uid);
    },
    ...(more.admission && { admission: more.admission }),
    apply: {
      host,
      prober: createFakeProber(),
      runtime,
      storage: volumes,
      cgroups: {
        ensure: () => Promise.resolve(disk.push("cgroup made")).then(() => ""),
        makeRoom: () => Promise.resolve(),
        usage: () => Promise.resolve(undefined),
        remove: () => Promise.resolve(void disk.push("cgroup removed")),
      },
      images: {
        images,
        archives: { settled: () => Promise.resolve(), brought: () => false },
        pulls: createGate(2),
        credentials: { keyrings: () => Promise.resolve({ keyrings: [], failures: [] }) },
      },
      node,
      ...(placement && { placement }),
      ...(more.reports && { reports: more.reports }),
      dns: () => Promise.resolve({ dns: { servers: [], searches: [], options: [] }, warnings: [] }),
      networks,
      userNamespaces: createUserNamespaces({ runtime, pool: () => Promise.resolve(idPool) }),
    },
    observe: { host, runtime, storage: volumes, networks, logs: node, rootDir: root },
    probes: probeOptions(host, runtime),
  }, stop.signal);
  const watch = runRuntimeWatch({
    host,
    runtime,
    log: silentLog,
    nudge: (uid) => reconciler.nudge(uid),
    listed: (pods) => reconciler.takeOver(pods),
    relist: { withEvents: 60_000, withoutEvents: 1000 },
  }, stop.signal);
  const leave = async () => {
    stop.abort();
    await Promise.all([reconciler.finished(), watch]);
  };
  return { fake, networks, store, reconciler, disk, gone, leave };
}

export async function withBench(
  test: (bench: Bench, root: string) => Promise<void>,
  fake = createFakeRuntime(),
  more: BenchOptions = {},
) {
  const root = await Deno.makeTempDir();
  const bench = createBench(root, fake, undefined, undefined, more);
  try {
    await test(bench, root);
  } finally {
    await bench.leave();
    await Deno.remove(root, { recursive: true });
  }
}

export const container = (name: string, image = `${name}:1`): Container => ({
  name,
  image,
  imagePullPolicy: "IfNotPresent",
});

export const podOf = (name: string, containers: Container[], more: object = {}, uid = name): DesiredPod => {
  const pod: Pod = {
    metadata: { name, namespace: "default", uid },
    spec: { restartPolicy: "Always", terminationGracePeriodSeconds: 1, containers, ...more },
  };
  return { pod, uid, source: "file", origin: `${name}.yaml` };
};

export const desired = (...pods: DesiredPod[]): Desired => ({
  pods: new Map(pods.map((p) => [podKey(p.pod), p])),
  objects,
  problems: [],
  complete: true,
});

/** Waits for a condition of the store, told by its changes. */
export async function until(bench: Bench, what: string, condition: () => boolean): Promise<void> {
  if (condition()) return;
  const stop = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`never: ${what}: ${JSON.stringify(bench.store.pods())}`)),
        5000,
      );
      bench.store.subscribe(() => condition() && resolve(), stop.signal);
    });
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

export const status = (bench: Bench, name: string) =>
  bench.store.pods().find((p) => p.metadata?.name === name)?.status;
export const isReady = (bench: Bench, name: string) =>
  status(bench, name)?.conditions?.find((c) => c.type === "Ready")?.status === "True";
export const stateOf = (bench: Bench, name: string, c: string) =>
  status(bench, name)?.containerStatuses?.find((s) => s.name === c);
