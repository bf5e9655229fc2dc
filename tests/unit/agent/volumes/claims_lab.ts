/** Claims on the real file system, with a driver whose volumes are in memory. */
import { createLog } from "../../../../agent/lib/log.ts";
import type { ObjectMeta, Volume } from "../../../../agent/model/gen/v1.ts";
import type { DesiredPod, Objects } from "../../../../agent/model/wish.ts";
import { createStatusStore } from "../../../../agent/status_store.ts";
import type { CsiDriver, CsiDrivers } from "../../../../agent/plugin_ports.ts";
import { type ClaimBook, createClaims } from "../../../../agent/volumes/claims/claims.ts";
import { host, noObjects } from "./sandbox.ts";

const log = createLog({ write: () => {}, format: "text", verbosity: 0, now: () => 0 });

type Driver = Pick<CsiDriver, "createVolume" | "deleteVolume" | "controllerExpand">;

/** A driver whose volumes are in memory; `before` and `after` may fail or hang around the effect of a call. */
export function memoryDriver() {
  const volumes = new Map<string, { bytes: number; secrets: unknown; parameters: unknown }>();
  const listeners = new Set<(name: string) => void>();
  let registered = true;
  const state = {
    volumes,
    before: (_call: string): Promise<void> => Promise.resolve(),
    after: (_call: string): Promise<void> => Promise.resolve(),
    register(value: boolean) {
      registered = value;
      for (const listener of listeners) listener("csi.example.com");
    },
  };
  const driver: Driver & { facts: Partial<CsiDriver["facts"]> } = {
    facts: {
      name: "csi.example.com",
      topology: { zone: "a" },
      creates: true,
      expands: true,
      expandsOnNode: true,
      singleNodeMultiWriter: true,
    },
    async createVolume({ name, requiredBytes, secrets, parameters, topology }) {
      await state.before("create");
      volumes.set(`id-${name}`, { bytes: requiredBytes, secrets, parameters });
      await state.after("create");
      return { id: `id-${name}`, capacity: requiredBytes, context: { k: "v" }, topology: [topology ?? {}] };
    },
    async deleteVolume(id) {
      await state.before("delete");
      volumes.delete(id);
      await state.after("delete");
    },
    async controllerExpand({ id, requiredBytes }) {
      await state.before("expand");
      volumes.get(id)!.bytes = requiredBytes;
      return { capacity: requiredBytes, nodeExpansionRequired: true };
    },
  };
  const drivers: CsiDrivers = {
    driver: (name) => registered && name === "csi.example.com" ? driver as CsiDriver : undefined,
    all: () => registered ? [driver as CsiDriver] : [],
    subscribe: (listener) => void listeners.add(listener),
  };
  return { ...state, state, drivers };
}

export const podOf = (name: string, volumes: Volume[]): DesiredPod => ({
  pod: { metadata: { name, namespace: "default", uid: `uid-${name}` }, spec: { containers: [], volumes } },
  uid: `uid-${name}`,
  source: "file",
  origin: "test",
});
export const volume = (claimName: string): Volume => ({ name: "v", persistentVolumeClaim: { claimName } });

export interface Lab {
  claims: ClaimBook;
  store: ReturnType<typeof createStatusStore>;
  retried: string[];
  expanded: string[];
  /** Whether pods have what is to be expanded. */
  node: { used: boolean };
  want(
    objects: readonly { kind?: string; metadata?: ObjectMeta }[],
    pods?: readonly DesiredPod[],
    origins?: ReadonlyMap<string, string>,
  ): void;
  /** As a kill: nothing that runs is told of, or waited for. */
  kill(): void;
  show(): string[];
  directories(): Promise<string[]>;
  /** The pod's directory, as storage makes it, and takes it away. */
  begin(pod: DesiredPod): Promise<void>;
  end(pod: DesiredPod): Promise<void>;
}

export function open(root: string, drivers: CsiDrivers): Lab {
  const leave = new AbortController();
  const store = createStatusStore();
  const retried: string[] = [];
  const expanded: string[] = [];
  const node = { used: true };
  const claims = createClaims({
    host,
    log,
    store,
    rootDir: root,
    volumesDir: `${root}/volumes`,
    recordsPath: `${root}/volumes.json`,
    node: { name: "n", labels: { "kubernetes.io/hostname": "n" } },
    drivers,
    isOnNode: () => Promise.resolve(false),
    expandOnNode(v, bytes) {
      expanded.push(`${v.metadata?.name} ${bytes}`);
      return Promise.resolve(node.used);
    },
    retry: (uid) => void retried.push(uid),
  }, leave.signal);
  return {
    claims,
    store,
    retried,
    expanded,
    node,
    want(objects, pods = [], origins = new Map()) {
      const of = (kind: string, prefix = "") =>
        new Map(objects.filter((o) => o.kind === kind).map((o) => [prefix + o.metadata!.name!, o]));
      claims.update({
        pods: new Map(pods.map((pod) => [`default/${pod.pod.metadata!.name}`, pod])),
        objects: {
          ...noObjects,
          persistentVolumeClaims: of("PersistentVolumeClaim", "default/"),
          persistentVolumes: of("PersistentVolume"),
          storageClasses: of("StorageClass"),
          secrets: of("Secret", "default/"),
        } as unknown as Objects,
        origins,
        problems: [],
        complete: true,
      });
    },
    kill: () => leave.abort(),
    show() {
      const { persistentVolumeClaims, persistentVolumes } = store.objects();
      return [
        ...[...persistentVolumeClaims].map(([key, c]) =>
          `${key} ${c.metadata?.deletionTimestamp === undefined ? c.status?.phase : "Terminating"}`
        ),
        ...[...persistentVolumes].map(([name, v]) => `${name.slice(0, 4)} ${v.status?.phase}`),
      ];
    },
    directories: async () => await host.list(`${root}/volumes`) ?? [],
    begin: (pod) => host.mkdir(`${root}/pods/${pod.uid}`),
    async end(pod) {
      await host.removeTree(`${root}/pods/${pod.uid}`);
      claims.gone(pod.uid);
    },
  };
}

export const noDrivers: CsiDrivers = { driver: () => undefined, all: () => [], subscribe: () => {} };
