/** Volumes of pods with the tests' real CSI driver, registered as the plugin registry does it. Not for: assertions. */
import { join } from "@std/path";
import type {
  CSIDriver,
  CSIDriverSpec,
  PersistentVolume,
  Pod,
  PodSpec,
  Secret,
} from "../../../../../agent/model/gen/v1.ts";
import { mountsWithin } from "../../../../../agent/lib/mountinfo.ts";
import type { Objects } from "../../../../../agent/model/wish.ts";
import type { TokenSource } from "../../../../../agent/ports.ts";
import { createPodVolumes } from "../../../../../agent/volumes/pod_volumes.ts";
import { createCsiVolumes } from "../../../../../agent/volumes/csi/volumes.ts";
import type { Attachments } from "../../../../../agent/plugin_ports.ts";
import { createCsiDrivers } from "../../../../../plugins/csi/mod.ts";
import { type CsiDriverProcess, startCsiDriver } from "../../../../drivers/csi/start.ts";
import { createFakeImageVolumes } from "../../../../fakes/image_volumes.ts";
import { desire, host, inDirectory, noClaims, noObjects, signal } from "../sandbox.ts";

export const driverName = "test.csi.example";

export interface BenchOptions {
  driver?: Parameters<typeof startCsiDriver>[1];
  /** Of its CSIDriver object. */
  spec?: CSIDriverSpec;
  /** Milliseconds for each call. */
  timeoutMs?: number;
  /** Of a control plane. */
  attachments?: Attachments;
  tokens?: TokenSource;
}

export interface Bench {
  root: string;
  driver: CsiDriverProcess;
  objects: Objects;
  /** One life of an agent: what it holds in memory is gone with the next. */
  agent: Agent;
  /** Another life begins; the driver is registered with it. */
  restart(registered?: boolean): Promise<Agent>;
  mountsBelow(): Promise<string[]>;
  /** Methods that were asked and answered with OK since the last time, registration aside. */
  asked(): Promise<string[]>;
  /** Makes a volume as a provisioner would. */
  provision(
    name: string,
    more?: Partial<PersistentVolume["spec"]>,
    parameters?: Record<string, string>,
  ): Promise<PersistentVolume>;
}

export type Agent = ReturnType<typeof createAgent>;

function createAgent(
  root: string,
  socket: () => string,
  objects: () => Objects,
  { timeoutMs = 5000, attachments, tokens }: BenchOptions,
) {
  const leave = new AbortController();
  const { drivers, taker } = createCsiDrivers({ timeoutMs }, leave.signal);
  const csi = createCsiVolumes({
    host,
    drivers,
    nodeName: "n",
    rootDir: root,
    stateDir: join(root, "agent"),
    objects,
    ...(attachments && { attachments }),
    ...(tokens && { cluster: { objects, tokens } }),
  });
  const storage = createPodVolumes({
    host,
    images: createFakeImageVolumes(),
    claims: noClaims,
    csi,
    rootDir: root,
    clusterDomain: "cluster.local",
    node: { hostIPs: ["192.0.2.1"], nodeName: "n", allocatable: { memory: 64 * 2 ** 20 } },
  });
  const plugin = () => ({
    kind: "CSIPlugin" as const,
    name: driverName,
    endpoint: socket(),
    versions: ["1.0.0"],
    socket: "/registry/test.sock",
  });
  return {
    claims: noClaims,
    csi,
    storage,
    drivers,
    register: () => taker.register(plugin(), AbortSignal.timeout(10_000)),
    deregister: () => taker.deregister(plugin()),
    leave: () => leave.abort(),
    publish: (pod: Pod, uid: string, source: "file" | "api" = "file") =>
      storage.publish({ pod, uid, source, origin: "test" }, objects(), signal),
    persist: (
      volume: PersistentVolume,
      uid: string,
      more: { pod?: Pod; readonly?: boolean; controlled?: boolean } = {},
    ) =>
      csi.publishPersistent(
        { name: "vol", volume, readonly: more.readonly === true },
        {
          pod: more.pod ?? desire({}, uid).pod,
          uid,
          objects: objects(),
          controlled: more.controlled === true,
        },
        signal,
      ),
    remove: (uid: string) => storage.remove(uid, signal),
  };
}

const registration = /^(GetPlugin|Probe|NodeGetInfo|NodeGetCap|ControllerGetCap)/;

export async function withBench(o: BenchOptions, test: (b: Bench) => Promise<void>): Promise<void> {
  await inDirectory(async (root) => {
    await Deno.mkdir(join(root, "pods"));
    await using driver = await startCsiDriver(root, { name: driverName, ...o.driver });
    const object: CSIDriver = { metadata: { name: driverName }, spec: o.spec ?? {} };
    const objects: Objects = {
      ...noObjects,
      csiDrivers: new Map([[driverName, object]]),
      secrets: new Map(),
    };
    const create = () => createAgent(root, () => driver.socket, () => objects, o);
    let seen = 0;
    const b: Bench = {
      root,
      driver,
      objects,
      agent: create(),
      async restart(registered = true) {
        b.agent.leave();
        b.agent = create();
        if (registered) await b.agent.register();
        return b.agent;
      },
      async mountsBelow() {
        const mounts = await host.mounts();
        const below = ["pods", "plugins"].flatMap((name) => mountsWithin(mounts, join(root, name)));
        return [...new Set(below.map((m) => m.path.slice(root.length + 1)))];
      },
      async asked() {
        const ends = (await driver.calls()).filter((c) => c.phase === "end");
        const fresh = ends.slice(seen);
        seen = ends.length;
        return fresh.filter((c) => c.outcome === "OK" && !registration.test(c.method)).map((c) => c.method);
      },
      async provision(name, more = {}, parameters = { kind: "directory" }) {
        const made = await b.agent.drivers.driver(driverName)!.createVolume({
          name,
          requiredBytes: 8 * 2 ** 20,
          limitBytes: 0,
          capabilities: [{ fsType: "ext4", block: false, mountFlags: [], accessMode: "SINGLE_NODE_WRITER" }],
          parameters,
          secrets: {},
          topology: undefined,
        }, signal);
        return {
          metadata: { name },
          spec: {
            accessModes: ["ReadWriteOnce"],
            capacity: { storage: "8Mi" },
            csi: { driver: driverName, volumeHandle: made.id, volumeAttributes: { ...made.context } },
            ...more,
          },
        };
      },
    };
    try {
      await b.agent.register();
      await test(b);
    } finally {
      b.agent.leave();
      await driver.kill();
      await freeLoops(root);
    }
  });
}

/** Loop devices outlive their driver. */
async function freeLoops(root: string): Promise<void> {
  const run = async (...args: string[]) =>
    new TextDecoder().decode((await new Deno.Command("losetup", { args }).output()).stdout);
  for (const line of (await run("-l", "-n", "-O", "NAME,BACK-FILE")).split("\n")) {
    const [name, file] = line.trim().split(/\s+/);
    if (name === undefined || !file?.startsWith(`${root}/`)) continue;
    for (const m of (await host.mounts()).filter((m) => m.source === name).reverse()) {
      await host.unmount(m.path, { lazy: true });
    }
    await run("-d", name);
  }
}

export const inline = (
  name: string,
  attributes: Record<string, string> = {},
  more: object = {},
): Partial<PodSpec> => ({
  volumes: [{ name, csi: { driver: driverName, volumeAttributes: attributes, ...more } }],
});

export const secretOf = (name: string, data: Record<string, string>): Secret => ({
  metadata: { name, namespace: "shop" },
  stringData: data,
});

export const put = <T>(map: ReadonlyMap<string, T>, key: string, value: T | undefined): void => {
  if (value === undefined) (map as Map<string, T>).delete(key);
  else (map as Map<string, T>).set(key, value);
};
