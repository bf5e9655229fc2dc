import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { PersistentVolume, Pod, Volume } from "../../../../agent/model/gen/v1.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import { until } from "../../../fakes/until.ts";
import { claimOf, classOf, volumeOf } from "../model/claims_lab.ts";
import { memoryDriver, noDrivers, open, podOf, volume } from "./claims_lab.ts";
import { host, inDirectory, signal } from "./sandbox.ts";

const claim = (...args: Parameters<typeof claimOf>) => ({
  kind: "PersistentVolumeClaim",
  ...claimOf(...args),
});
const storageClass = (...args: Parameters<typeof classOf>) => ({ kind: "StorageClass", ...classOf(...args) });
const pathOf = (found: PersistentVolume) => found.spec?.local?.path ?? "";

Deno.test("a claim without any class gets a directory when its first pod comes, and keeps it over kills", () =>
  inDirectory(async (root) => {
    const web = podOf("web", [volume("data")]);
    const first = open(root, noDrivers);
    first.want([claim("data")], [web]);
    await until("it waits", () => first.show().includes("default/data Pending"));
    assertEquals(await first.directories(), []);
    await first.begin(web);
    const path = pathOf(await first.claims.volumeFor(web, volume("data"), signal));
    assertMatch(path, /volumes\/pvc-[0-9a-f]{8}-/);
    assertEquals((await host.stat(path))!.mode & 0o7777, 0o777);
    await Deno.writeTextFile(`${path}/file`, "kept");
    first.kill();
    const second = open(root, noDrivers);
    second.want([], []);
    await until(
      "it is terminating, since the pod is still there",
      () => second.show()[0] === "default/data Terminating",
    );
    await second.begin(web);
    second.want([claim("data")], [web]);
    assertEquals(pathOf(await second.claims.volumeFor(web, volume("data"), signal)), path);
    assertEquals(await Deno.readTextFile(`${path}/file`), "kept");
    second.want([claim("data")], []);
    await second.end(web);
    second.kill();
    const third = open(root, noDrivers);
    third.want([claim("data")], []);
    await until("it is bound", () => third.show().includes("default/data Bound"));
    third.want([], []);
    await until("all of it is gone", () => third.show().length === 0);
    assertEquals(await third.directories(), []);
    third.kill();
  }));

Deno.test("a claim with a volume that is edited is a problem of its file", () =>
  inDirectory(async (root) => {
    const lab = open(root, noDrivers);
    const web = podOf("web", [volume("data")]);
    lab.want([claim("data")], [web]);
    await lab.begin(web);
    await lab.claims.volumeFor(web, volume("data"), signal);
    const edited = claim("data");
    edited.spec = { ...edited.spec, accessModes: ["ReadOnlyMany"] };
    lab.want([edited], [web], new Map([["PersistentVolumeClaim default/data", "/manifests/data.yaml"]]));
    await until("it is told", () => lab.store.problems().length > 0);
    assertEquals(lab.store.problems().map(({ file, object, field }) => [file, object, field]), [
      ["/manifests/data.yaml", "PersistentVolumeClaim default/data", "spec.accessModes"],
    ]);
    lab.kill();
  }));

Deno.test("a directory is deleted neither through a link nor while its disk is away", () =>
  inDirectory(async (root) => {
    const lab = open(root, noDrivers);
    const web = podOf("web", [volume("data")]);
    lab.want([claim("data")], [web]);
    await lab.begin(web);
    const path = pathOf(await lab.claims.volumeFor(web, volume("data"), signal));
    await Deno.rename(`${root}/volumes`, `${root}/away`);
    lab.want([], []);
    await lab.end(web);
    await until("the volume has failed", () => lab.show().includes("pvc- Failed"));
    assertEquals((await host.list(`${root}/away`))?.length, 1);
    lab.kill();
    await Deno.mkdir(`${root}/volumes`);
    await Deno.mkdir(`${root}/precious`);
    await Deno.symlink(`${root}/precious`, path);
    const next = open(root, noDrivers);
    next.want([], []);
    await until("it still does", () => next.show().includes("pvc- Failed"));
    assert(await host.stat(`${root}/precious`) !== undefined);
    const { status } = [...next.store.objects().persistentVolumes.values()][0]!;
    assertMatch(status?.message ?? "", /is no directory/);
    next.kill();
  }));

Deno.test("ReadWriteOncePod: the second pod waits with the scheduler's words, and tries again when the first is gone or done", () =>
  inDirectory(async (root) => {
    const lab = open(root, noDrivers);
    const [one, two] = [podOf("one", [volume("data")]), podOf("two", [volume("data")])];
    lab.want([claim("data", { accessModes: ["ReadWriteOncePod"] })], [one, two]);
    for (const pod of [one, two]) await lab.begin(pod);
    await lab.claims.volumeFor(one, volume("data"), signal);
    const waits = () => assertRejects(() => lab.claims.volumeFor(two, volume("data"), signal), AgentError);
    assertMatch((await waits()).message, /node has pod using PersistentVolumeClaim with the same name/);
    lab.store.putPod({ ...one.pod, status: { phase: "Succeeded" } } as Pod);
    assertEquals(lab.retried, ["uid-two"]);
    await lab.claims.volumeFor(two, volume("data"), signal);
    assertMatch(
      (await assertRejects(
        () => lab.claims.volumeFor(podOf("three", []), volume("data"), signal),
        AgentError,
      )).message,
      /ReadWriteOncePod/,
    );
    lab.kill();
  }));

Deno.test("a pod lets go of the claim that an edit took from it, and of all with its directory", () =>
  inDirectory(async (root) => {
    const lab = open(root, noDrivers);
    const both: Volume[] = ["a", "b"].map((claimName) => ({
      name: `v-${claimName}`,
      persistentVolumeClaim: { claimName },
    }));
    const web = podOf("web", both);
    lab.want([claim("a"), claim("b")], [web]);
    await lab.begin(web);
    await Promise.all(both.map((v) => lab.claims.volumeFor(web, v, signal)));
    const edited = podOf("web", [both[0]!]);
    lab.want([claim("a")], [edited]);
    await until("b is held by the pod", () => lab.show().includes("default/b Terminating"));
    assertEquals([lab.claims.isStale(web), lab.claims.isStale(edited)], [false, true]);
    await lab.claims.sweep(edited);
    await until("b is gone", () => lab.show().length === 2);
    assertEquals((await lab.directories()).length, 1);
    lab.kill();
  }));

Deno.test("ephemeral: a claim of the pod's own, refused where the name is somebody else's", () =>
  inDirectory(async (root) => {
    const own: Volume = { name: "data", ephemeral: { volumeClaimTemplate: { spec: claimOf("x").spec! } } };
    const web = podOf("web", [own]);
    const lab = open(root, noDrivers);
    lab.want([], [web]);
    await lab.begin(web);
    await lab.claims.volumeFor(web, own, signal);
    assertEquals(lab.show()[0], "default/web-data Bound");
    lab.want([], []);
    await until("it waits for the pod", () => lab.show()[0] === "default/web-data Terminating");
    await lab.end(web);
    await until("it is gone with the pod", () => lab.show().length === 0);
    assertEquals(await lab.directories(), []);
    lab.want([claim("web-data")], [web]);
    await lab.begin(web);
    const refused = await assertRejects(() => lab.claims.volumeFor(web, own, signal), AgentError);
    assertMatch(refused.message, /was not created for pod default\/web \(pod is not owner\)/);
    lab.kill();
  }));

Deno.test("a driver makes, lets grow and deletes a claim's volume; secrets reach it and nothing else", () =>
  inDirectory(async (root) => {
    const { drivers, state } = memoryDriver();
    const lab = open(root, drivers);
    const parameters = {
      type: "ssd",
      "csi.storage.k8s.io/provisioner-secret-name": "${pvc.name}-key",
      "csi.storage.k8s.io/provisioner-secret-namespace": "${pvc.namespace}",
    };
    const fast = storageClass("fast", { parameters, allowVolumeExpansion: true });
    const secret = {
      kind: "Secret",
      metadata: { name: "data-key", namespace: "default" },
      data: { k: btoa("hidden") },
    };
    const web = podOf("web", [volume("data")]);
    state.register(false);
    lab.want([fast, claim("data", { storageClassName: "fast" })], [web]);
    await lab.begin(web);
    const early = await assertRejects(() => lab.claims.volumeFor(web, volume("data"), signal), AgentError);
    assertMatch(early.message, /waiting for CSI driver csi.example.com to be registered/);
    state.register(true);
    await until(
      "the claim is tried",
      () => lab.store.events().some((e) => e.reason === "ProvisioningFailed"),
    );
    const later = await assertRejects(() => lab.claims.volumeFor(web, volume("data"), signal), AgentError);
    assertMatch(
      later.message,
      /fetching provisioner secret default\/data-key failed: secrets "data-key" not found/,
    );
    lab.want([fast, secret, claim("data", { storageClassName: "fast" })], [web]);
    state.register(true);
    await until("it is bound", () => lab.show()[0] === "default/data Bound");
    assert(lab.retried.includes("uid-web"));
    const found = await lab.claims.volumeFor(web, volume("data"), signal);
    assertEquals(found.spec?.csi?.volumeAttributes, { k: "v" });
    assertEquals(found.spec?.nodeAffinity?.required?.nodeSelectorTerms[0]?.matchExpressions?.[0]?.values, [
      "a",
    ]);
    assertEquals([...state.volumes.values()], [{
      bytes: 2 ** 30,
      secrets: { k: "hidden" },
      parameters: { type: "ssd" },
    }]);
    assert(!(await Deno.readTextFile(`${root}/volumes.json`)).includes("hidden"));
    const grow = async (size: string) => {
      lab.want([fast, secret, claim("data", { storageClassName: "fast" }, size)], [web]);
      const claims = () => lab.store.objects().persistentVolumeClaims;
      await until("it has grown", () => claims().get("default/data")?.status?.capacity?.["storage"] === size);
      const { metadata } = await lab.claims.volumeFor(web, volume("data"), signal);
      return metadata?.annotations?.["agent/grown-unused"];
    };
    lab.node.used = false;
    assertEquals(await grow("2Gi"), "true");
    lab.node.used = true;
    assertEquals(await grow("3Gi"), undefined);
    assertEquals(lab.expanded.length, 2);
    lab.want([fast, secret], []);
    await lab.end(web);
    await until("it is deleted", () => lab.show().length === 0);
    assertEquals(state.volumes.size, 0);
    lab.kill();
  }));

Deno.test("killed between a volume and its record: the next run finds the same volume, also when its claim is gone", () =>
  inDirectory(async (root) => {
    const { drivers, state } = memoryDriver();
    const objects = [storageClass("fast"), claim("data", { storageClassName: "fast" })];
    state.after = () => new Promise(() => {});
    const first = open(root, drivers);
    first.want(objects);
    await until("the driver has made it", () => state.volumes.size === 1);
    first.kill();
    state.after = () => Promise.resolve();
    const second = open(root, drivers);
    second.want(objects.slice(0, 1));
    await until("it is found and deleted", () => second.show().length === 0 && state.volumes.size === 0);
    second.kill();
    const lost = open(root, drivers);
    lost.want(objects);
    await until("another is made", () => lost.show()[0] === "default/data Bound");
    lost.kill();
    await Deno.remove(`${root}/volumes.json`);
    const third = open(root, drivers);
    third.want(objects);
    await until("a lost record leads to the same volume", () => third.show()[0] === "default/data Bound");
    assertEquals(state.volumes.size, 1);
    third.kill();
  }));

Deno.test("a deletion that fails is shown and tried again; one that hangs holds up no other claim", () =>
  inDirectory(async (root) => {
    const { drivers, state } = memoryDriver();
    const lab = open(root, drivers);
    lab.want([storageClass("fast"), claim("a", { storageClassName: "fast" })]);
    await until("it is bound", () => lab.show()[0] === "default/a Bound");
    let failures = 0;
    state.before = (call) =>
      call !== "delete"
        ? Promise.resolve()
        : failures++ === 0
        ? Promise.reject(new Error("busy"))
        : Promise.resolve();
    lab.want([storageClass("fast")]);
    await until("it is shown", () => lab.show().includes("pvc- Failed"));
    assertMatch(lab.store.events().find((e) => e.reason === "VolumeFailedDelete")?.message ?? "", /busy/);
    await until("it is deleted in the end", () => state.volumes.size === 0);
    state.before = (call) => call === "create" ? new Promise(() => {}) : Promise.resolve();
    const web = podOf("web", [volume("plain")]);
    lab.want([storageClass("fast"), claim("hangs", { storageClassName: "fast" }), claim("plain")], [web]);
    await lab.begin(web);
    await lab.claims.volumeFor(web, volume("plain"), signal);
    lab.kill();
  }));

Deno.test("volumes of manifests are bound, and told of when they are missing", () =>
  inDirectory(async (root) => {
    const lab = open(root, noDrivers);
    const web = podOf("web", [volume("data")]);
    lab.want([claim("data", { storageClassName: "" })], [web]);
    await lab.begin(web);
    const early = await assertRejects(() => lab.claims.volumeFor(web, volume("data"), signal), AgentError);
    assertMatch(early.message, /no persistent volumes available for this claim/);
    lab.want([claim("data", { storageClassName: "" }), {
      kind: "PersistentVolume",
      ...volumeOf("pv-1", "1Gi"),
    }], [web]);
    await until("the pod is told", () => lab.retried.length > 0);
    assertEquals((await lab.claims.volumeFor(web, volume("data"), signal)).metadata?.name, "pv-1");
    const missing = await assertRejects(() => lab.claims.volumeFor(web, volume("other"), signal), AgentError);
    assertEquals(missing.message, 'persistentvolumeclaim "other" not found');
    lab.kill();
  }));
