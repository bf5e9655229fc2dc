import { assertEquals, assertRejects } from "@std/assert";
import type { PersistentVolume, PodSpec } from "../../../../agent/model/gen/v1.ts";
import type { Claims } from "../../../../agent/volumes/claims/port.ts";
import { createFakeImageVolumes } from "../../../fakes/image_volumes.ts";
import {
  desire,
  host,
  inDirectory,
  modeOf,
  needsRoot,
  noClaims,
  noObjects,
  requestFor,
  signal,
  volumesAt,
} from "./sandbox.ts";

const volumesWith = (root: string, spec: PersistentVolume["spec"], claims: Partial<Claims> = {}) =>
  volumesAt(root, host, createFakeImageVolumes(), undefined, {
    ...noClaims,
    volumeFor: () => Promise.resolve({ metadata: { name: "pv" }, spec: spec! }),
    ...claims,
  });

const pod = (more: Partial<PodSpec> = {}, readOnly = false) =>
  desire({ volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data", readOnly } }], ...more });

Deno.test({
  name:
    "volumes of claims are given as they are: readOnly where the pod says so, to its fsGroup, and never when they are gone",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const path = `${root}/disk`;
      const storage = volumesWith(root, { local: { path } });
      await assertRejects(
        () => storage.publish(pod(), noObjects, signal),
        Error,
        `MountVolume.SetUp failed for volume "data" : PersistentVolume "pv": ${path} does not exist`,
      );
      await Deno.mkdir(`${path}/sub`, { recursive: true });
      await Deno.writeTextFile(`${path}/sub/file`, "");
      await Deno.writeTextFile(`${root}/outside`, "");
      await Deno.symlink(`${root}/outside`, `${path}/link`);
      const published = await storage.publish(pod(), noObjects, signal);
      assertEquals([...published.values()], [{
        name: "data",
        hostPath: path,
        readonly: false,
        relabel: true,
      }]);
      const container = {
        name: "c",
        image: "i",
        volumeMounts: [{ name: "data", mountPath: "/d", subPath: "sub" }],
      };
      const { mounts = [] } = await storage.containerEdits(
        requestFor(container, { pod: pod(), published }),
        signal,
      );
      assertEquals(mounts[0]?.hostPath, `${root}/pods/uid-1/volume-subpaths/data/c/0`);
      const group = (fsGroupChangePolicy?: string) =>
        pod({ securityContext: { fsGroup: 4711, ...(fsGroupChangePolicy && { fsGroupChangePolicy }) } });
      await storage.publish(group(), noObjects, signal);
      const groupOf = (name: string) => Deno.lstatSync(name).gid;
      assertEquals([path, `${path}/sub`, `${path}/sub/file`, `${path}/link`].map(groupOf), [
        4711,
        4711,
        4711,
        4711,
      ]);
      assertEquals([path, `${path}/sub`, `${path}/sub/file`].map(modeOf), ["2775", "2775", "664"]);
      assertEquals([groupOf(`${root}/outside`), modeOf(`${root}/outside`)], [0, "644"]);
      await Deno.chown(`${path}/sub/file`, 0, 0);
      await storage.publish(group("OnRootMismatch"), noObjects, signal);
      assertEquals(groupOf(`${path}/sub/file`), 0);
      const [readonly] = [...(await storage.publish(pod({}, true), noObjects, signal)).values()];
      assertEquals(readonly?.readonly, true);
      await storage.remove("uid-1", signal);
      assertEquals(await Deno.readTextFile(`${path}/sub/file`), "");
    }),
});

Deno.test("a hostPath volume is what its type says, and is let go of after the pod's directory", () =>
  inDirectory(async (root) => {
    const gone: string[] = [];
    const storage = volumesWith(root, { hostPath: { path: `${root}/made`, type: "DirectoryOrCreate" } }, {
      gone: (uid) => void gone.push(uid),
    });
    const [published] = [...(await storage.publish(pod(), noObjects, signal)).values()];
    assertEquals(published, { name: "data", hostPath: `${root}/made`, readonly: false });
    assertEquals((await host.stat(`${root}/made`))?.kind, "directory");
    await storage.remove("uid-1", signal);
    assertEquals([gone, await storage.known()], [["uid-1"], []]);
  }));

Deno.test(
  "a claim of volumeMode Block is for volumeDevices, one of Filesystem for volumeMounts",
  needsRoot,
  () =>
    inDirectory(async (root) => {
      const refusal = async (volumeMode: string, use: object) => {
        const storage = volumesWith(root, { local: { path: root }, volumeMode });
        const wanted = pod({ containers: [{ name: "c", ...use }] });
        return (await assertRejects(() => storage.publish(wanted, noObjects, signal), Error)).message;
      };
      const at = (text: string) =>
        `MountVolume.SetUp failed for volume "data" : volume data has volumeMode ${text}`;
      assertEquals(
        await refusal("Block", { volumeMounts: [{ name: "data", mountPath: "/data" }] }),
        at("Block, but is specified in volumeMounts"),
      );
      assertEquals(
        await refusal("Filesystem", { volumeDevices: [{ name: "data", devicePath: "/dev/x" }] }),
        at("Filesystem, but is specified in volumeDevices"),
      );
    }),
);

Deno.test("a claim of a pod of the API server is the volume that it is bound to there, and is not asked for here", () =>
  inDirectory(async (root) => {
    const path = `${root}/disk`;
    await Deno.mkdir(path);
    const storage = volumesWith(root, {}, { volumeFor: () => Promise.reject(new Error("asked here")) });
    const { pod: wanted, uid } = pod();
    const ofCluster = { pod: wanted, uid, source: "api" as const, origin: "the API server" };
    const { namespace } = wanted.metadata!;
    const claim = { metadata: { uid: "c" }, spec: { volumeName: "pv" }, status: { phase: "Bound" } };
    const volume = { metadata: { name: "pv" }, spec: { claimRef: { uid: "c" }, hostPath: { path } } };
    const objects = {
      ...noObjects,
      persistentVolumeClaims: new Map([[`${namespace}/data`, claim]]),
      persistentVolumes: new Map([["pv", volume]]),
    };
    const published = await storage.publish(ofCluster, objects, signal);
    assertEquals([...published.values()].map((v) => v.hostPath), [path]);
    const unbound = { ...objects, persistentVolumeClaims: new Map() };
    await assertRejects(
      () => storage.publish(ofCluster, unbound, signal),
      Error,
      'failed to fetch PVC from API server: persistentvolumeclaims "data" not found',
    );
  }));
