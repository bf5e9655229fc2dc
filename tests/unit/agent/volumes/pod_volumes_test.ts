import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { Container, Volume } from "../../../../agent/model/gen/v1.ts";
import type { Objects } from "../../../../agent/model/wish.ts";
import type { Host } from "../../../../agent/ports.ts";
import {
  desire,
  host,
  inDirectory,
  modeOf,
  needsRoot,
  noObjects,
  requestFor,
  signal,
  volumesAt,
} from "./sandbox.ts";

const objectsOf = (data: Record<string, string>): Objects => ({
  ...noObjects,
  configMaps: new Map([["shop/cm", { data }]]),
  secrets: new Map([["shop/s", { data: { key: btoa("hidden") } }]]),
});
const everything: Volume[] = [
  { name: "scratch", emptyDir: {} },
  { name: "memory", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
  { name: "config", configMap: { name: "cm" } },
  { name: "keys", secret: { secretName: "s", defaultMode: 0o400 } },
  { name: "all", projected: { sources: [{ secret: { name: "s" } }, { configMap: { name: "cm" } }] } },
  { name: "down", downwardAPI: { items: [{ path: "name", fieldRef: { fieldPath: "metadata.name" } }] } },
];
const mountsBelow = async (path: string) =>
  (await host.mounts()).filter((m) => m.path.startsWith(`${path}/`));

Deno.test({
  name: "every kind lies where the kubelet puts it, secrets in memory only",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const storage = volumesAt(root);
      const published = await storage.publish(desire({ volumes: everything }), objectsOf({ a: "1" }), signal);
      const pod = `${root}/pods/uid-1`;
      const volumes = `${pod}/volumes`;
      assertEquals([...published.values()].map((v) => [v.hostPath, v.readonly]), [
        [`${volumes}/kubernetes.io~empty-dir/scratch`, false],
        [`${volumes}/kubernetes.io~empty-dir/memory`, false],
        [`${volumes}/kubernetes.io~configmap/config`, true],
        [`${volumes}/kubernetes.io~secret/keys`, true],
        [`${volumes}/kubernetes.io~projected/all`, true],
        [`${volumes}/kubernetes.io~downward-api/down`, true],
      ]);
      assertEquals([root + "/pods", pod, volumes, `${pod}/plugins`].map(modeOf), [
        "750",
        "750",
        "750",
        "750",
      ]);
      assertEquals(modeOf(`${volumes}/kubernetes.io~empty-dir/scratch`), "777");
      assertEquals(await Deno.readTextFile(`${volumes}/kubernetes.io~configmap/config/a`), "1");
      assertEquals(await Deno.readTextFile(`${volumes}/kubernetes.io~secret/keys/key`), "hidden");
      assertEquals(modeOf(await Deno.realPath(`${volumes}/kubernetes.io~secret/keys/key`)), "400");
      assertEquals(await Deno.readTextFile(`${volumes}/kubernetes.io~downward-api/down/name`), "web");
      assertEquals(await Deno.readTextFile(`${volumes}/kubernetes.io~projected/all/key`), "hidden");
      const mounts = new Map((await mountsBelow(pod)).map((m) => [m.path, m]));
      assertEquals([...mounts.keys()].sort(), [
        `${volumes}/kubernetes.io~downward-api/down`,
        `${volumes}/kubernetes.io~empty-dir/memory`,
        `${volumes}/kubernetes.io~projected/all`,
        `${volumes}/kubernetes.io~secret/keys`,
      ]);
      assertEquals([...mounts.values()].map((m) => m.fsType), ["tmpfs", "tmpfs", "tmpfs", "tmpfs"]);
      assert(mounts.get(`${volumes}/kubernetes.io~empty-dir/memory`)?.options.includes("size=1024k"));
      assert(mounts.get(`${volumes}/kubernetes.io~secret/keys`)?.options.includes("nosuid"));
      await Deno.mkdir(`${root}/pods/lost+found`);
      assertEquals(await storage.known(), ["uid-1"]);
      await storage.remove("uid-1", signal);
      assertEquals(await mountsBelow(pod), []);
      assertEquals(await storage.known(), []);
      await storage.remove("uid-1", signal);
    }),
});

Deno.test({
  name: "publishing again mounts nothing twice and leaves what the pod changed",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const pod = desire({ volumes: everything });
      const published = await volumesAt(root).publish(pod, objectsOf({ a: "1" }), signal);
      const scratch = published.get("scratch")?.hostPath ?? "";
      await Deno.chmod(scratch, 0o711);
      await Deno.writeTextFile(`${scratch}/kept`, "x");
      const before = (await mountsBelow(root)).length;
      await volumesAt(root).publish(pod, objectsOf({ a: "2", b: "3" }), signal);
      assertEquals((await mountsBelow(root)).length, before);
      assertEquals(modeOf(scratch), "711");
      assertEquals(await Deno.readTextFile(`${scratch}/kept`), "x");
      const config = published.get("config")?.hostPath ?? "";
      assertEquals([await Deno.readTextFile(`${config}/a`), await Deno.readTextFile(`${config}/b`)], [
        "2",
        "3",
      ]);
    }),
});

Deno.test({
  name: "fsGroup owns what is published, as the kubelet sets it",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const pod = desire({ volumes: everything, securityContext: { fsGroup: 2000 } });
      const published = await volumesAt(root).publish(pod, objectsOf({ a: "1" }), signal);
      const at = (name: string) => published.get(name)?.hostPath ?? "";
      assertEquals(["scratch", "memory", "config", "keys"].map((n) => modeOf(at(n))), [
        "2777",
        "3777",
        "2777",
        "3777",
      ]);
      const file = await Deno.realPath(`${at("keys")}/key`);
      assertEquals([modeOf(file), Deno.lstatSync(file).gid], ["440", 2000]);
      assertEquals(Deno.lstatSync(at("scratch")).gid, 2000);
    }),
});

Deno.test("a failure names the volume and its cause; the others are published", () =>
  inDirectory(async (root) => {
    const volumes: Volume[] = [
      { name: "bad", configMap: { name: "gone" } },
      { name: "good", emptyDir: {} },
      { name: "claim", persistentVolumeClaim: { claimName: "c" } },
      { name: "escape", configMap: { name: "cm", items: [{ key: "a", path: "../x" }] } },
    ];
    const error = await assertRejects(
      () => volumesAt(root).publish(desire({ volumes }), objectsOf({ a: "1" }), signal),
      AgentError,
    );
    assertEquals([error.reason, error.retry], ["FailedMount", true]);
    assertEquals(
      error.message,
      `MountVolume.SetUp failed for volume "bad" : configmap "gone" not found; ` +
        `MountVolume.SetUp failed for volume "claim" : there are no claims; ` +
        `MountVolume.SetUp failed for volume "escape" : invalid path: must not contain '..': ../x`,
    );
    assertEquals(Deno.lstatSync(`${root}/pods/uid-1/volumes/kubernetes.io~empty-dir/good`).isDirectory, true);
  }));

Deno.test("names that would leave the pod's directory are refused", () =>
  inDirectory(async (root) => {
    const storage = volumesAt(root);
    for (const uid of ["../x", "..", ".", "", "a/b", "a\0"]) {
      await assertRejects(() => storage.remove(uid, signal), AgentError, "cannot be part of a path");
    }
    const volumes: Volume[] = [{ name: "../../x", emptyDir: {} }];
    await assertRejects(
      () => storage.publish(desire({ volumes }), noObjects, signal),
      AgentError,
      "cannot be part of a path",
    );
  }));

Deno.test({
  name: "removal never touches what is mounted below: the mount goes, its content stays",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const storage = volumesAt(root);
      const published = await storage.publish(
        desire({ volumes: [{ name: "v", emptyDir: {} }] }),
        noObjects,
        signal,
      );
      const precious = `${root}/precious`;
      await Deno.mkdir(precious);
      await Deno.writeTextFile(`${precious}/file`, "keep me");
      const below = `${published.get("v")?.hostPath}/a b`;
      await Deno.mkdir(below);
      await host.mount({ source: precious, target: below, fsType: "", flags: 4096 });
      await host.mount({ source: precious, target: below, fsType: "", flags: 4096 });
      await storage.remove("uid-1", signal);
      assertEquals(await Deno.readTextFile(`${precious}/file`), "keep me");
      assertEquals(await storage.known(), []);
      assertEquals(await mountsBelow(`${root}/pods`), []);
    }),
});

Deno.test({
  name: "a mount that cannot go stops the removal before any file is lost",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const published = await volumesAt(root).publish(
        desire({ volumes: [{ name: "v", emptyDir: { medium: "Memory" } }] }),
        noObjects,
        signal,
      );
      const file = `${published.get("v")?.hostPath}/file`;
      await Deno.writeTextFile(file, "x");
      const stuck: Host = { ...host, unmount: () => Promise.resolve() };
      await assertRejects(() => volumesAt(root, stuck).remove("uid-1", signal), AgentError, "keeps mounting");
      assertEquals(await Deno.readTextFile(file), "x");
      await volumesAt(root).remove("uid-1", signal);
    }),
});

Deno.test({
  name: "killed between any two effects, publishing again completes and removing removes",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const pod = desire({ volumes: everything, securityContext: { fsGroup: 2000 } });
      let completed = false;
      for (let deadline = 1; !completed; deadline++) {
        completed = await volumesAt(root, dyingHost(deadline)).publish(pod, objectsOf({ a: "1" }), signal)
          .then(() => true, () => false);
        const storage = volumesAt(root);
        if (deadline % 2 === 0) {
          const published = await storage.publish(pod, objectsOf({ a: "1" }), signal);
          assertEquals(await Deno.readTextFile(`${published.get("config")?.hostPath}/a`), "1");
          const key = await Deno.realPath(`${published.get("keys")?.hostPath}/key`);
          assertEquals([modeOf(key), Deno.lstatSync(key).gid], ["440", 2000]);
          const modes = [...published.values()].map((v) => modeOf(v.hostPath));
          assertEquals(modes, ["2777", "3777", "2777", "3777", "3777", "3777"]);
          assertEquals((await mountsBelow(root)).length, 4);
        }
        await storage.remove("uid-1", signal);
        assertEquals(await storage.known(), []);
        assertEquals(await mountsBelow(root), []);
        assert(deadline < 500);
      }
    }),
});

/** A host whose every change after the given number of changes fails: all a kill leaves is what was done before. */
function dyingHost(changes: number): Host {
  let left = changes;
  const mortal = <A extends unknown[], R>(effect: (...args: A) => Promise<R>) => (...args: A): Promise<R> =>
    left-- > 0 ? effect(...args) : Promise.reject(new Error("killed"));
  return {
    ...host,
    mkdir: mortal(host.mkdir),
    writeFile: mortal(host.writeFile),
    symlink: mortal(host.symlink),
    rename: mortal(host.rename),
    chmod: mortal(host.chmod),
    chown: mortal(host.chown),
    remove: mortal(host.remove),
    removeTree: mortal(host.removeTree),
    mount: mortal(host.mount),
    unmount: mortal(host.unmount),
  };
}

Deno.test({
  name: "a container gets its mounts, /etc/hosts and a file for its last words",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const storage = volumesAt(root);
      const container: Container = {
        name: "c",
        volumeMounts: [
          { name: "config", mountPath: "/etc/app", readOnly: true },
          { name: "scratch", mountPath: "/data", mountPropagation: "HostToContainer" },
          { name: "scratch", mountPath: "/logs", subPathExpr: "logs/$(NAME)" },
        ],
      };
      const pod = desire({ volumes: everything, containers: [container] });
      const published = await storage.publish(pod, objectsOf({ a: "1" }), signal);
      const env = [{ name: "NAME", value: "one" }];
      const edits = () =>
        storage.containerEdits(requestFor(container, { pod, published, attempt: 3, env }), signal);
      const dir = `${root}/pods/uid-1`;
      assertEquals(
        (await edits()).mounts?.map((m) => [m.hostPath, m.containerPath, m.readonly, m.propagation]),
        [
          [`${dir}/volumes/kubernetes.io~configmap/config`, "/etc/app", true, undefined],
          [`${dir}/volumes/kubernetes.io~empty-dir/scratch`, "/data", false, "HostToContainer"],
          [`${dir}/volume-subpaths/scratch/c/2`, "/logs", false, undefined],
          [`${dir}/etc-hosts`, "/etc/hosts", false, undefined],
          [`${dir}/containers/c/00000003`, "/dev/termination-log", false, undefined],
        ],
      );
      assertStringIncludes(await Deno.readTextFile(`${dir}/etc-hosts`), "10.1.0.7\tweb\n");
      assertEquals([`${dir}/etc-hosts`, `${dir}/containers/c/00000003`].map(modeOf), ["644", "666"]);
      const inode = Deno.lstatSync(`${dir}/etc-hosts`).ino;
      const subPath = `${dir}/volumes/kubernetes.io~empty-dir/scratch/logs/one`;
      assertEquals([modeOf(subPath), modeOf(`${subPath}/..`)], ["777", "777"]);
      await Deno.writeTextFile(`${dir}/volume-subpaths/scratch/c/2/f`, "through the mount");
      assertEquals(await Deno.readTextFile(`${subPath}/f`), "through the mount");
      await edits();
      assertEquals(Deno.lstatSync(`${dir}/etc-hosts`).ino, inode);
      assertEquals((await mountsBelow(`${dir}/volume-subpaths`)).length, 1);
      await storage.remove("uid-1", signal);
      assertEquals(await storage.known(), []);
    }),
});

Deno.test("own mounts at /etc/hosts and at the message's path win; unknown volumes and values are named", () =>
  inDirectory(async (root) => {
    const storage = volumesAt(root);
    const pod = desire({ volumes: [{ name: "v", emptyDir: {} }] });
    const published = await storage.publish(pod, noObjects, signal);
    const editsOf = (container: Container) =>
      storage.containerEdits(requestFor(container, { pod, published }), signal);
    const own: Container = {
      name: "c",
      terminationMessagePath: "/last",
      volumeMounts: [{ name: "v", mountPath: "/etc/hosts" }, { name: "v", mountPath: "last" }],
    };
    assertEquals((await editsOf(own)).mounts?.map((m) => m.containerPath), ["/etc/hosts", "/last"]);
    await assertRejects(
      () => editsOf({ name: "c", volumeMounts: [{ name: "none", mountPath: "/x" }] }),
      AgentError,
      `cannot find volume "none" to mount into container "c"`,
    );
    await assertRejects(
      () => editsOf({ name: "c", volumeMounts: [{ name: "v", mountPath: "/x", subPathExpr: "$(NOPE)" }] }),
      AgentError,
      "missing value for NOPE",
    );
    const escape = await assertRejects(
      () => editsOf({ name: "c", volumeMounts: [{ name: "v", mountPath: "/x", subPath: "../x" }] }),
      AgentError,
      `failed to prepare subPath for volumeMount "v" of container "c": `,
    );
    assertEquals(escape.reason, "CreateContainerConfigError");
  }));

Deno.test("notes on a pod are kept until they are forgotten or the pod is removed, and are nobody else's to read", () =>
  inDirectory(async (root) => {
    const storage = volumesAt(root);
    assertEquals([...await storage.notes("uid-1")], []);
    await storage.claim("uid-1");
    await storage.keepNote("uid-1", "end", "why");
    await storage.keepNote("uid-1", "hook.a", "1");
    await storage.keepNote("uid-1", "hook.a", undefined);
    assertEquals([...await volumesAt(root).notes("uid-1")], [["end", "why"]]);
    assertEquals(modeOf(`${root}/pods/uid-1/notes/end`), "600");
    await assertRejects(
      () => storage.keepNote("uid-1", "../end", "x"),
      AgentError,
      "cannot be part of a path",
    );
    await storage.remove("uid-1", signal);
    assertEquals([...await storage.notes("uid-1")], []);
  }));

Deno.test({
  name: "emptyDir.medium HugePages is a hugetlbfs of the requested page size, gone with the pod",
  ignore: needsRoot.ignore || !(await host.list("/sys/kernel/mm/hugepages"))?.includes("hugepages-2048kB"),
  fn: () =>
    inDirectory(async (root) => {
      const containers: Container[] = [{ name: "c", resources: { requests: { "hugepages-2Mi": "4Mi" } } }];
      const spec = (medium: string) => ({
        containers,
        volumes: [{ name: "v", emptyDir: { medium } }],
        securityContext: { fsGroup: 2000 },
      });
      for (const medium of ["HugePages", "HugePages-2Mi"]) {
        const storage = volumesAt(root);
        for (let again = 0; again < 2; again++) {
          await storage.publish(desire(spec(medium)), noObjects, signal);
        }
        const [mount, ...more] = await mountsBelow(root);
        assertEquals([mount?.fsType, mount?.options.includes("pagesize=2M"), more], ["hugetlbfs", true, []]);
        assertEquals([modeOf(mount!.path), Deno.lstatSync(mount!.path).gid], ["2775", 2000]);
        await storage.remove("uid-1", signal);
        assertEquals(await mountsBelow(root), []);
      }
      for (
        const [medium, message] of [["HugePages-1Gi", "no resource request"], [
          "HugePages-x",
          "expected",
        ]] as const
      ) {
        const error = await assertRejects(
          () => volumesAt(root).publish(desire(spec(medium)), noObjects, signal),
          AgentError,
          message,
        );
        assertEquals(error.retry, false);
      }
      const odd = desire({
        ...spec("HugePages"),
        containers: [{ name: "c", resources: { limits: { "hugepages-4Mi": "4Mi" } } }],
      });
      await assertRejects(
        () => volumesAt(root).publish(odd, noObjects, signal),
        AgentError,
        "this node has no huge pages of 4096Ki: its sizes are ",
      );
    }),
});
