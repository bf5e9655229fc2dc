/** Inline volumes, with the tests' real driver: what it is asked, what lies where, and what is left in the end. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { AgentError } from "../../../../../agent/model/errors.ts";
import type { TokenSource } from "../../../../../agent/ports.ts";
import { desire, host, modeOf, needsRoot } from "../sandbox.ts";
import { driverName, inline, put, secretOf, withBench } from "./bench.ts";

const ephemeral = { volumeLifecycleModes: ["Ephemeral"], podInfoOnMount: true };

Deno.test(
  "csi.driver, csi.volumeAttributes and csi.nodePublishSecretRef: the driver is asked as by the kubelet, at its path, and asked back",
  needsRoot,
  () =>
    withBench({ spec: ephemeral }, async (b) => {
      put(b.objects.secrets, "shop/keys", secretOf("keys", { token: "s3cr3t" }));
      const attributes = { size: "2m", content: "from the driver" };
      const { pod } = desire(
        {
          ...inline("scratch", attributes, { nodePublishSecretRef: { name: "keys" } }),
          serviceAccountName: "sa",
        },
      );
      const published = (await b.agent.publish(pod, "uid-1")).get("scratch")!;
      const directory = `${b.root}/pods/uid-1/volumes/kubernetes.io~csi/scratch`;
      assertEquals(published, { name: "scratch", hostPath: `${directory}/mount`, readonly: false });
      assertEquals(await Deno.readTextFile(`${published.hostPath}/content`), "from the driver");
      assertEquals(modeOf(directory), "750");
      assertEquals(await b.asked(), ["NodePublishVolume"]);
      const [call] = await b.driver.calls("NodePublishVolume");
      // sha256 of "uid-1scratch"
      const handle = "csi-" + [
        ...new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode("uid-1scratch"))),
      ].map((x) => x.toString(16).padStart(2, "0")).join("");
      assertEquals(call?.request, {
        volumeId: handle,
        publishContext: {},
        stagingTargetPath: "",
        targetPath: published.hostPath,
        volumeCapability: {
          mount: { fsType: "", mountFlags: [], volumeMountGroup: "" },
          accessMode: { mode: 7 },
        },
        readonly: false,
        secrets: { token: "s3cr3t" },
        volumeContext: {
          ...attributes,
          "csi.storage.k8s.io/pod.name": "web",
          "csi.storage.k8s.io/pod.namespace": "shop",
          "csi.storage.k8s.io/pod.uid": "uid-1",
          "csi.storage.k8s.io/serviceAccount.name": "sa",
          "csi.storage.k8s.io/ephemeral": "true",
        },
      });
      const kept = JSON.parse(await Deno.readTextFile(`${directory}/vol_data.json`));
      assertEquals([kept.volumeHandle, kept.driverName, kept.specVolID, kept.volumeLifecycleMode], [
        handle,
        driverName,
        "scratch",
        "Ephemeral",
      ]);
      for await (const path of filesBelow(`${b.root}/pods`)) {
        if (!path.startsWith(published.hostPath)) {
          assert(!(await Deno.readTextFile(path)).includes("s3cr3t"), path);
        }
      }
      await b.agent.publish(pod, "uid-1");
      assertEquals(await b.asked(), []);
      await b.agent.remove("uid-1");
      assertEquals([await b.asked(), await b.mountsBelow()], [["NodeUnpublishVolume"], []]);
      assertEquals(await host.lstat(`${b.root}/pods/uid-1`), undefined);
    }),
);

async function* filesBelow(directory: string): AsyncGenerator<string> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) yield* filesBelow(path);
    else if (isFile) yield path;
  }
}

Deno.test(
  "csi.fsType and csi.readOnly reach the driver; files are the fsGroup's where the policy says so",
  needsRoot,
  () =>
    withBench(
      { spec: { ...ephemeral, fsGroupPolicy: "File" }, driver: { without: ["VOLUME_MOUNT_GROUP"] } },
      async (b) => {
        const group = { securityContext: { fsGroup: 4321 } };
        const writable = desire({ ...inline("a", { content: "x" }, { fsType: "tmpfs" }), ...group }).pod;
        const { hostPath } = (await b.agent.publish(writable, "uid-1")).get("a")!;
        const [root, file] = [await Deno.lstat(hostPath), await Deno.lstat(`${hostPath}/content`)];
        assertEquals([root.gid, root.mode! & 0o7777, file.gid, file.mode! & 0o7777], [
          4321,
          0o2775,
          4321,
          0o664,
        ]);
        const fixed = desire({ ...inline("b", {}, { readOnly: true }), ...group }).pod;
        const published = (await b.agent.publish(fixed, "uid-2")).get("b")!;
        assertEquals([published.readonly, (await Deno.lstat(published.hostPath)).gid], [true, 0]);
        const [first, second] = (await b.driver.calls("NodePublishVolume")).filter((c) =>
          c.phase === "begin"
        );
        const mount = { fsType: "tmpfs", mountFlags: [], volumeMountGroup: "" };
        assertEquals((first?.request["volumeCapability"] as { mount: unknown }).mount, mount);
        assertEquals(second?.request["readonly"], true);
        await b.agent.remove("uid-1");
        await b.agent.remove("uid-2");
      },
    ),
);

Deno.test(
  "a driver that gives volumes to groups itself is told the group, and we keep out",
  needsRoot,
  () =>
    withBench({ spec: { ...ephemeral, fsGroupPolicy: "File" } }, async (b) => {
      const { pod } = desire({ ...inline("a"), securityContext: { fsGroup: 4321 } });
      const { hostPath } = (await b.agent.publish(pod, "uid-1")).get("a")!;
      const [call] = await b.driver.calls("NodePublishVolume");
      const capability = call?.request["volumeCapability"] as { mount: { volumeMountGroup: string } };
      assertEquals([capability.mount.volumeMountGroup, (await Deno.lstat(hostPath)).gid], ["4321", 0]);
      await b.agent.remove("uid-1");
    }),
);

Deno.test(
  "what a driver does not do, a missing Secret and tokens that nobody signs are said before it is asked",
  needsRoot,
  () =>
    withBench({ spec: ephemeral }, async (b) => {
      const refusal = async (spec: object) =>
        (await assertRejects(() => b.agent.publish(desire(spec).pod, "uid-1"), AgentError)).message;
      const at = (text: string) => `MountVolume.SetUp failed for volume "a" : ${text}`;
      assertEquals(
        await refusal(inline("a", {}, { nodePublishSecretRef: { name: "none" } })),
        at('fetching NodePublishSecretRef shop/none failed: secrets "none" not found'),
      );
      put(b.objects.csiDrivers, driverName, { spec: { tokenRequests: [{ audience: "x" }], ...ephemeral } });
      assertStringIncludes(await refusal(inline("a")), "wants service account tokens");
      put(b.objects.csiDrivers, driverName, { spec: { volumeLifecycleModes: ["Persistent"] } });
      const mode = 'volume mode "Ephemeral" not supported by driver test.csi.example';
      assertEquals(await refusal(inline("a")), at(`${mode} (only supports ["Persistent"])`));
      put(b.objects.csiDrivers, driverName, undefined);
      assertEquals(await refusal(inline("a")), at(`${mode} (no CSIDriver object)`));
      assertEquals(await b.asked(), []);
      await b.agent.remove("uid-1");
      assertEquals(await b.asked(), []);
    }),
);

Deno.test(
  "without its driver a pod waits, before and after, while others come and go",
  needsRoot,
  () =>
    withBench({ spec: ephemeral }, async (b) => {
      const missing = "driver name test.csi.example not found in the list of registered CSI drivers";
      b.agent.deregister();
      const { pod } = desire(inline("a"));
      await assertRejects(() => b.agent.publish(pod, "uid-1"), AgentError, missing);
      await b.agent.register();
      await b.agent.publish(pod, "uid-1");
      await b.agent.publish(
        desire({ volumes: [{ name: "e", emptyDir: { medium: "Memory" } }] }).pod,
        "uid-2",
      );
      b.agent.deregister();
      await b.agent.publish(pod, "uid-1"); // what is whole needs nobody
      const error = await assertRejects(() => b.agent.remove("uid-1"), AgentError, missing);
      assertStringIncludes(error.message, 'UnmountVolume.TearDown failed for volume "a"');
      assertEquals(await b.mountsBelow(), [
        "pods/uid-1/volumes/kubernetes.io~csi/a/mount",
        "pods/uid-2/volumes/kubernetes.io~empty-dir/e",
      ]);
      await b.agent.remove("uid-2");
      await b.agent.register();
      await b.agent.remove("uid-1");
      assertEquals(await b.mountsBelow(), []);
    }),
);

Deno.test(
  "whenever the agent or the driver dies in between, the next try finishes, and the removal leaves nothing",
  needsRoot,
  () =>
    withBench({ spec: ephemeral, timeoutMs: 400 }, async (b) => {
      const { pod } = desire(inline("a", { content: "x" }));
      for (
        const [i, knob] of [
          { hang: true },
          { hangAfter: true },
          { crash: "before" as const },
          { crash: "after" as const },
          { fail: { code: "ABORTED" as const } },
          { failAfter: { code: "INTERNAL" as const } },
        ].entries()
      ) {
        const uid = `uid-${i}`;
        const again = async (method: string, act: () => Promise<unknown>) => {
          await b.driver.knobs({ [method]: knob });
          await assertRejects(act, AgentError);
          await b.driver.knobs({});
          if ("crash" in knob) await b.driver.kill().then(b.driver.start);
          await b.restart();
          await act();
        };
        await again("NodePublishVolume", () => b.agent.publish(pod, uid));
        assertEquals(
          await Deno.readTextFile(`${b.root}/pods/${uid}/volumes/kubernetes.io~csi/a/mount/content`),
          "x",
        );
        await again("NodeUnpublishVolume", () => b.agent.remove(uid));
        assertEquals([await b.mountsBelow(), await host.lstat(`${b.root}/pods/${uid}`)], [[], undefined]);
      }
    }),
);

Deno.test(
  "a pod that goes before its volume was ever published for certain needs the driver only if it may have been",
  needsRoot,
  () =>
    withBench({ spec: ephemeral, timeoutMs: 300 }, async (b) => {
      const { pod } = desire(inline("a"));
      await b.driver.knobs({ NodePublishVolume: { fail: { code: "INVALID_ARGUMENT" } } });
      await assertRejects(() => b.agent.publish(pod, "uid-1"), AgentError, "code = InvalidArgument");
      await b.driver.knobs({ NodePublishVolume: { hangAfter: true } });
      await assertRejects(() => b.agent.publish(pod, "uid-2"), AgentError, "code = DeadlineExceeded");
      b.agent.deregister();
      await b.agent.remove("uid-1");
      await assertRejects(() => b.agent.remove("uid-2"), AgentError, "not found in the list");
      await b.agent.register();
      await b.agent.remove("uid-2");
      assertEquals(await b.mountsBelow(), []);
    }),
);

Deno.test(
  "either record may be lost: the other tells whose volume it is",
  needsRoot,
  () =>
    withBench({ spec: ephemeral }, async (b) => {
      const { pod } = desire(inline("a"));
      const lost = ["plugins/kubernetes.io~csi/a/volume.json", "volumes/kubernetes.io~csi/a/vol_data.json"];
      for (const [i, file] of lost.entries()) {
        const uid = `uid-${i}`;
        await b.agent.publish(pod, uid);
        await Deno.writeTextFile(`${b.root}/pods/${uid}/${file}`, '{"half');
        await b.restart();
        await b.asked();
        await b.agent.remove(uid);
        assertEquals([await b.asked(), await b.mountsBelow()], [["NodeUnpublishVolume"], []]);
      }
      // Nobody knows whose it is: then it is only a mount.
      await b.agent.publish(pod, "uid-9");
      for (const file of lost) await Deno.remove(`${b.root}/pods/uid-9/${file}`);
      await b.agent.remove("uid-9");
      assertEquals([(await b.asked()).at(-1), await b.mountsBelow()], ["NodePublishVolume", []]);
    }),
);

Deno.test(
  "an edit that changes or drops a volume has the driver take back what was there",
  needsRoot,
  () =>
    withBench({ spec: ephemeral }, async (b) => {
      const at = (spec: object) => ({ ...desire(spec), uid: "uid-1" });
      await b.agent.publish(at(inline("a", { content: "one" })).pod, "uid-1");
      const edited = (await b.agent.publish(at(inline("a", { content: "two" })).pod, "uid-1")).get("a")!;
      assertEquals(await Deno.readTextFile(`${edited.hostPath}/content`), "two");
      assertEquals(await b.asked(), ["NodePublishVolume", "NodeUnpublishVolume", "NodePublishVolume"]);
      const dropped = at(inline("b"));
      await b.agent.publish(dropped.pod, "uid-1");
      assertEquals(await b.agent.storage.isStale(dropped), true);
      await b.agent.storage.sweep(dropped, [], AbortSignal.timeout(5000));
      assertEquals(await b.agent.storage.isStale(dropped), false);
      assertEquals(await b.mountsBelow(), ["pods/uid-1/volumes/kubernetes.io~csi/b/mount"]);
      await b.agent.remove("uid-1");
    }),
);

Deno.test(
  "tokenRequests: the driver gets tokens of the pod's service account, among its secrets where it wants them there",
  needsRoot,
  () => {
    const tokens: TokenSource = {
      request: ({ uid }, { audience }) =>
        Promise.resolve({ token: `${uid} ${audience}`, expirationTimestamp: "2026-01-01T00:00:00Z" }),
    };
    const wanted = { tokenRequests: [{ audience: "vault" }, { audience: "" }], ...ephemeral };
    return withBench({ spec: wanted, tokens }, async (b) => {
      const key = "csi.storage.k8s.io/serviceAccount.tokens";
      const parse = (text: string | undefined) => text && JSON.parse(text);
      /** In the volume's context, and among the secrets, which the driver leaves in the volume. */
      const said = async (uid: string) => {
        const { hostPath } = (await b.agent.publish(desire(inline("a")).pod, uid, "api")).get("a")!;
        const { request } = (await b.driver.calls("NodePublishVolume")).filter((c) => c.phase === "begin").at(
          -1,
        )!;
        const secret = await host.readText(`${hostPath}/${key.replace("/", "_")}`);
        return [parse((request["volumeContext"] as Record<string, string>)[key]), parse(secret)];
      };
      const expirationTimestamp = "2026-01-01T00:00:00Z";
      const all = (uid: string) => ({
        vault: { token: `${uid} vault`, expirationTimestamp },
        "": { token: `${uid} `, expirationTimestamp },
      });
      assertEquals(await said("uid-1"), [all("uid-1"), undefined]);
      put(b.objects.csiDrivers, driverName, { spec: { ...wanted, serviceAccountTokenInSecrets: true } });
      assertEquals(await said("uid-2"), [undefined, all("uid-2")]);
      const refused = b.agent.publish(desire(inline("a")).pod, "uid-3");
      await assertRejects(() => refused, AgentError, "which only pods of a control plane have");
      for (const uid of ["uid-1", "uid-2", "uid-3"]) await b.agent.remove(uid);
    });
  },
);
