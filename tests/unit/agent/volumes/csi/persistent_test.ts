/** Volumes of a PersistentVolume, with the tests' real driver: attached, staged once for all pods, and all the way back. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { AgentError } from "../../../../../agent/model/errors.ts";
import { sha256 } from "../../../../../agent/lib/sha256.ts";
import { startCsiDriver } from "../../../../drivers/csi/start.ts";
import { desire, host, needsRoot, requestFor, signal } from "../sandbox.ts";
import { driverName, put, secretOf, withBench } from "./bench.ts";

const plugin = "plugins/kubernetes.io/csi";
const mountOf = (uid: string, pv: string) => `pods/${uid}/volumes/kubernetes.io~csi/${pv}/mount`;
const exists = async (path: string) => await host.lstat(path) !== undefined;

Deno.test(
  "a volume is attached and staged once, published to each pod, and goes back the same way when the last pod is gone",
  needsRoot,
  () =>
    withBench({ driver: { without: ["VOLUME_MOUNT_GROUP"] } }, async (b) => {
      const pv = await b.provision("pvc-1", {}, { kind: "ext4" });
      const handle = pv.spec!.csi!.volumeHandle;
      pv.spec!.csi!.fsType = "ext4";
      pv.spec!.mountOptions = ["noatime"];
      await b.asked();
      const { pod } = desire({ securityContext: { fsGroup: 4321 } }, "uid-1");
      const { hostPath } = await b.agent.persist(pv, "uid-1", { pod });
      assertEquals(hostPath, `${b.root}/${mountOf("uid-1", "pvc-1")}`);
      assertEquals(await b.asked(), ["ControllerPublishVolume", "NodeStageVolume", "NodePublishVolume"]);
      const staged = `${plugin}/${driverName}/${await sha256(handle)}`;
      assertEquals(JSON.parse(await Deno.readTextFile(`${b.root}/${staged}/vol_data.json`)), {
        driverName,
        volumeHandle: handle,
      });
      const [stage] = await b.driver.calls("NodeStageVolume");
      assertEquals(stage?.request, {
        volumeId: handle,
        publishContext: { attachment: `${handle} on this-node` },
        stagingTargetPath: `${b.root}/${staged}/globalmount`,
        volumeCapability: {
          mount: { fsType: "ext4", mountFlags: ["noatime"], volumeMountGroup: "" },
          accessMode: { mode: 7 },
        },
        secrets: {},
        volumeContext: { from: "pvc-1" },
      });
      const mount = (await host.mounts()).find((m) => m.path === hostPath)!;
      assert(mount.fsType === "ext4" && mount.options.includes("noatime"));
      assertEquals((await Deno.lstat(hostPath)).gid, 4321);
      await Deno.writeTextFile(`${hostPath}/file`, "kept");

      const second = await b.agent.persist(pv, "uid-2", { readonly: true });
      assertEquals([await b.asked(), second.readonly], [["NodePublishVolume"], true]);
      assertEquals(await Deno.readTextFile(`${second.hostPath}/file`), "kept");
      await assertRejects(() => Deno.writeTextFile(`${second.hostPath}/file`, "no"));

      assertEquals((await b.agent.csi.users()).sort(), ["uid-1", "uid-2"]);
      await b.agent.remove("uid-1");
      assertEquals(await b.asked(), ["NodeUnpublishVolume"]);
      assertEquals(await b.agent.csi.users(), ["uid-2"]);
      await b.agent.remove("uid-2");
      assertEquals(await b.asked(), [
        "NodeUnpublishVolume",
        "NodeUnstageVolume",
        "ControllerUnpublishVolume",
      ]);
      assertEquals(await b.mountsBelow(), []);
      assertEquals([await exists(`${b.root}/${staged}`), await host.list(`${b.root}/agent/csi`)], [
        false,
        [],
      ]);

      const again = await b.agent.persist(pv, "uid-3");
      assertEquals(await Deno.readTextFile(`${again.hostPath}/file`), "kept");
      await b.agent.remove("uid-3");
    }),
);

Deno.test(
  "each call gets its own Secret, read when it is made and written nowhere",
  needsRoot,
  () =>
    withBench({}, async (b) => {
      const pv = await b.provision("pvc-1");
      const ref = (name: string) => ({ name, namespace: "vault" });
      Object.assign(pv.spec!.csi!, {
        controllerPublishSecretRef: ref("attach"),
        nodeStageSecretRef: ref("stage"),
        nodePublishSecretRef: ref("publish"),
      });
      for (const name of ["attach", "stage"]) {
        put(b.objects.secrets, `vault/${name}`, secretOf(name, { key: `s3cr3t of ${name}` }));
      }
      const missing = 'fetching NodePublishSecretRef vault/publish failed: secrets "publish" not found';
      await assertRejects(() => b.agent.persist(pv, "uid-1"), AgentError, missing);
      put(b.objects.secrets, "vault/publish", secretOf("publish", { key: "s3cr3t of publish" }));
      await b.agent.persist(pv, "uid-1");
      await b.restart();
      await b.agent.remove("uid-1");
      for (
        const [method, name] of [
          ["ControllerPublishVolume", "attach"],
          ["NodeStageVolume", "stage"],
          ["NodePublishVolume", "publish"],
          ["ControllerUnpublishVolume", "attach"],
        ] as const
      ) {
        const [call] = await b.driver.calls(method);
        assertEquals(call?.request["secrets"], { key: `s3cr3t of ${name}` }, method);
      }
      const grep = await new Deno.Command("grep", {
        args: ["-rl", "s3cr3t", b.root, "--exclude=calls.jsonl"],
      }).output();
      assertEquals(new TextDecoder().decode(grep.stdout), "");
    }),
);

Deno.test(
  "attachRequired false, a driver that does not stage, one without controller: only what is due is asked",
  needsRoot,
  async () => {
    await withBench(
      { spec: { attachRequired: false }, driver: { without: ["PUBLISH_UNPUBLISH_VOLUME"] } },
      async (b) => {
        const pv = await b.provision("pvc-1");
        await b.agent.persist(pv, "uid-1");
        await b.agent.remove("uid-1");
        assertEquals((await b.asked()).slice(1), [
          "NodeStageVolume",
          "NodePublishVolume",
          "NodeUnpublishVolume",
          "NodeUnstageVolume",
        ]);
      },
    );
    await withBench({ driver: { without: ["STAGE_UNSTAGE_VOLUME"] } }, async (b) => {
      const pv = await b.provision("pvc-1");
      await b.agent.persist(pv, "uid-1");
      const [call] = await b.driver.calls("NodePublishVolume");
      assertEquals(call?.request["stagingTargetPath"], "");
      await b.restart();
      await b.agent.remove("uid-1");
      assertEquals((await b.asked()).slice(1), [
        "ControllerPublishVolume",
        "NodePublishVolume",
        "NodeUnpublishVolume",
        "ControllerUnpublishVolume",
      ]);
      assertEquals(await b.mountsBelow(), []);
    });
    await withBench({}, async (b) => {
      const pv = await b.provision("pvc-1");
      await b.driver.kill();
      const state = `${b.root}/driver/${driverName}`;
      await using plain = await startCsiDriver(b.root, { name: driverName, state, nodeOnly: true });
      await b.restart();
      await b.agent.persist(pv, "uid-1");
      await b.agent.remove("uid-1");
      assertEquals([plain.ended(), (await b.asked()).slice(1)], [false, [
        "NodeStageVolume",
        "NodePublishVolume",
        "NodeUnpublishVolume",
        "NodeUnstageVolume",
      ]]);
    });
  },
);

Deno.test(
  "whatever breaks at whatever step, the next life finishes it, and the removal leaves nothing",
  needsRoot,
  () =>
    withBench({ timeoutMs: 500 }, async (b) => {
      const knobs = [
        { hangAfter: true },
        { crash: "after" as const },
        { fail: { code: "FAILED_PRECONDITION" as const } },
      ];
      const breakAt = async (method: string, act: () => Promise<unknown>, knob: object) => {
        await b.driver.knobs({ [method]: knob });
        await assertRejects(act, AgentError);
        await b.driver.knobs({});
        if ("crash" in knob) await b.driver.kill().then(b.driver.start);
        await b.restart();
      };
      const pv = await b.provision("pvc-1");
      for (const knob of knobs) {
        for (const method of ["ControllerPublishVolume", "NodeStageVolume", "NodePublishVolume"]) {
          await breakAt(method, () => b.agent.persist(pv, "uid-1"), knob);
          // Half done, then not wanted any more.
          await b.agent.remove("uid-1");
          assertEquals([await b.mountsBelow(), await host.list(`${b.root}/agent/csi`)], [[], []], method);
          await breakAt(method, () => b.agent.persist(pv, "uid-1"), knob);
          await b.agent.persist(pv, "uid-1");
          await b.agent.remove("uid-1");
        }
        for (const method of ["NodeUnpublishVolume", "NodeUnstageVolume", "ControllerUnpublishVolume"]) {
          await b.agent.persist(pv, "uid-1");
          await breakAt(method, () => b.agent.remove("uid-1"), knob);
          await b.agent.remove("uid-1");
          assertEquals([await b.mountsBelow(), await host.list(`${b.root}/agent/csi`)], [[], []], method);
        }
      }
    }),
);

Deno.test(
  "a staged volume whose pods are gone, or whose records are lost, is taken from the node when its driver comes",
  needsRoot,
  () =>
    withBench({}, async (b) => {
      const pv = await b.provision("pvc-1");
      const kept = await b.provision("pvc-2");
      const lose = [
        () => Deno.remove(`${b.root}/agent/csi`, { recursive: true }),
        async () =>
          Deno.remove(
            `${b.root}/${plugin}/${driverName}/${await sha256(pv.spec!.csi!.volumeHandle)}/vol_data.json`,
          ),
      ];
      for (const forget of lose) {
        await b.agent.persist(pv, "uid-1");
        await b.agent.persist(kept, "uid-2");
        // As if the directory of the pod had been taken away by hand.
        await host.unmount(`${b.root}/${mountOf("uid-1", "pvc-1")}`);
        await Deno.remove(`${b.root}/pods/uid-1`, { recursive: true });
        await forget();
        await b.restart();
        await b.asked();
        await b.agent.csi.collect(driverName, signal);
        const asked = await b.asked();
        assertEquals(asked, ["NodeUnstageVolume", "ControllerUnpublishVolume"]);
        assertEquals((await b.mountsBelow()).filter((path) => !path.startsWith("pods/")).length, 1);
        assert(await exists(`${b.root}/${mountOf("uid-2", "pvc-2")}`));
        await b.agent.csi.collect(driverName, signal);
        assertEquals(await b.asked(), []);
        await b.agent.remove("uid-2");
      }
    }),
);

Deno.test(
  "after a reboot, when nothing is mounted any more, a volume is staged and published anew",
  needsRoot,
  () =>
    withBench({}, async (b) => {
      const pv = await b.provision("pvc-1");
      const { hostPath } = await b.agent.persist(pv, "uid-1");
      await Deno.writeTextFile(`${hostPath}/file`, "kept");
      for (const path of (await b.mountsBelow()).reverse()) await host.unmount(`${b.root}/${path}`);
      await b.restart();
      await b.asked();
      await b.agent.persist(pv, "uid-1");
      assertEquals([await b.asked(), await Deno.readTextFile(`${hostPath}/file`)], [
        ["NodeStageVolume", "NodePublishVolume"],
        "kept",
      ]);
      await b.agent.remove("uid-1");
    }),
);

Deno.test(
  "a driver that lost its memory fails what it does not know, and we go on when it knows again",
  needsRoot,
  () =>
    withBench({}, async (b) => {
      const pv = await b.provision("pvc-1");
      await b.driver.forget();
      await assertRejects(
        () => b.agent.persist(pv, "uid-1"),
        AgentError,
        "code = NotFound desc = there is no volume",
      );
      await b.provision("pvc-1");
      await b.agent.persist(pv, "uid-1");
      await b.driver.forget();
      await b.agent.remove("uid-1"); // what it does not know is as good as undone
      assertEquals(await b.mountsBelow(), []);
    }),
);

Deno.test(
  "a node takes only as many volumes of a driver as it says; the next one waits for a free place",
  needsRoot,
  () =>
    withBench({ driver: { maxVolumes: 1 } }, async (b) => {
      const [one, two] = [await b.provision("pvc-1"), await b.provision("pvc-2")];
      await b.agent.persist(one, "uid-1");
      await b.agent.persist(one, "uid-2");
      const error = await assertRejects(() => b.agent.persist(two, "uid-3"), AgentError);
      assertStringIncludes(error.message, "takes at most 1 volumes on this node");
      assertEquals(error.retry, true);
      await b.agent.remove("uid-1");
      await b.agent.remove("uid-2");
      await b.agent.persist(two, "uid-3");
      await b.agent.remove("uid-3");
    }),
);

Deno.test(
  "pods that come and go at once never see a volume that is half there",
  needsRoot,
  () =>
    withBench({}, async (b) => {
      const pv = await b.provision("pvc-1");
      const life = async (uid: string) => {
        for (let i = 0; i < 3; i++) {
          const { hostPath } = await b.agent.persist(pv, uid);
          assertEquals((await host.mounts()).filter((m) => m.path === hostPath).length, 1);
          await Deno.writeTextFile(`${hostPath}/${uid}`, "x");
          await b.agent.remove(uid);
        }
      };
      await Promise.all(["uid-1", "uid-2", "uid-3", "uid-4"].map(life));
      assertEquals(await b.mountsBelow(), []);
      const open = new Set<string>();
      for (const call of await b.driver.calls()) {
        if (call.request["volumeId"] !== pv.spec!.csi!.volumeHandle) continue;
        if (call.phase === "begin") assertEquals([...open], [], `${call.method} overlaps`);
        if (call.phase === "begin") open.add(call.method);
        else open.delete(call.method);
      }
    }),
);

Deno.test(
  "a block device is published as one, linked where the kubelet links it, and taken back",
  needsRoot,
  () =>
    withBench({}, async (b) => {
      const pv = await b.provision("pvc-1", { volumeMode: "Block" }, { kind: "ext4" });
      await b.asked();
      const published = await b.agent.persist(pv, "uid-1");
      const device = `${b.root}/${plugin}/volumeDevices/publish/pvc-1/uid-1`;
      assertEquals(published, { name: "vol", hostPath: "", readonly: false, device });
      assertEquals((await host.stat(device))?.kind, "block");
      assertEquals(await Deno.readLink(`${b.root}/pods/uid-1/volumeDevices/kubernetes.io~csi/pvc-1`), device);
      const kept = JSON.parse(
        await Deno.readTextFile(`${b.root}/${plugin}/volumeDevices/pvc-1/data/vol_data.json`),
      );
      assertEquals([kept.specVolID, kept.driverName], ["pvc-1", driverName]);
      const [call] = await b.driver.calls("NodeStageVolume");
      assertEquals(call?.request["volumeCapability"], { block: {}, accessMode: { mode: 7 } });
      assertEquals(call?.request["stagingTargetPath"], `${b.root}/${plugin}/volumeDevices/staging/pvc-1`);
      await b.agent.persist(pv, "uid-2");
      await b.restart();
      await b.agent.remove("uid-1");
      await b.agent.remove("uid-2");
      assertEquals((await b.asked()).slice(-2), ["NodeUnstageVolume", "ControllerUnpublishVolume"]);
      assertEquals([await b.mountsBelow(), await exists(`${b.root}/${plugin}/volumeDevices/pvc-1`)], [
        [],
        false,
      ]);
      const losetup = await new Deno.Command("losetup", { args: ["-l", "-n", "-O", "BACK-FILE"] }).output();
      assert(!new TextDecoder().decode(losetup.stdout).includes(b.root));
    }),
);

Deno.test(
  "volumeDevices.devicePath is the device of the claim that volumeDevices.name names, to be read only where the claim is",
  needsRoot,
  () =>
    withBench({}, async (b) => {
      const pv = await b.provision("pvc-1", { volumeMode: "Block" }, { kind: "ext4" });
      const pod = desire({}, "uid-1");
      const edits = async (readonly: boolean, name = "vol") => {
        const published = await b.agent.persist(pv, "uid-1", { readonly });
        const container = { name: "c", volumeDevices: [{ name, devicePath: "/dev/xvda" }] };
        const request = requestFor(container, { pod, published: new Map([["vol", published]]) });
        return (await b.agent.storage.containerEdits(request, signal)).devices;
      };
      const hostPath = `${b.root}/${plugin}/volumeDevices/publish/pvc-1/uid-1`;
      assertEquals(await edits(false), [{ hostPath, containerPath: "/dev/xvda", permissions: "rwm" }]);
      assertEquals(await edits(true), [{ hostPath, containerPath: "/dev/xvda", permissions: "r" }]);
      await assertRejects(
        () => edits(true, "other"),
        AgentError,
        'cannot find volume "other" to pass into container "c"',
      );
      await b.agent.remove("uid-1");
    }),
);
