import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { silentLog } from "../../../../agent/lib/log.ts";
import { deviceChecksum, parseCheckpoint } from "../../../../agent/model/device_checkpoint.ts";
import { idsOf } from "../../../../agent/model/devices.ts";
import { AgentError, type Problem } from "../../../../agent/model/errors.ts";
import type { Container } from "../../../../agent/model/gen/v1.ts";
import {
  emptyObservation,
  type ObservedContainer,
  type ObservedPod,
} from "../../../../agent/model/observed.ts";
import type { DesiredPod } from "../../../../agent/model/wish.ts";
import { createDeviceLedger, type DeviceLedger } from "../../../../agent/node/device_ledger.ts";
import { responseCodec } from "../../../../plugins/device/mod.ts";
import { createFakeDevices, devices, type FakeDevices } from "../../../fakes/devices.ts";
import { createFakeHost, type FakeHost } from "../../../fakes/host.ts";

const file = "/r/device-plugins/kubelet_internal_checkpoint";
const never = new AbortController().signal;
const x = "a.com/x";

const ask = (name: string, count: number, resource = x): Container => ({
  name,
  resources: { limits: { [resource]: String(count) } },
});
const podOf = (uid: string, containers: Container[], initContainers: Container[] = []): DesiredPod => ({
  pod: { metadata: { name: uid, uid }, spec: { containers, initContainers } },
  uid,
  source: "file",
  origin: "",
});

interface Lab {
  ledger: DeviceLedger;
  source: FakeDevices;
  host: FakeHost;
  problems: Problem[];
  /** Pods that were told of changes. */
  told: string[];
}

async function lab(
  source = createFakeDevices(),
  host = createFakeHost(),
  /** Null: it is not known yet. */
  running: ObservedPod[] | null = [],
): Promise<Lab> {
  const problems: Problem[] = [];
  const told: string[] = [];
  const ledger = createDeviceLedger({
    host,
    log: silentLog,
    sources: [source],
    directory: "/r/device-plugins",
    codec: responseCodec,
    waitMs: 60_000,
    report: (list) => problems.push(...list),
  });
  await ledger.load();
  if (running !== null) ledger.restore(running);
  ledger.subscribe((uids) => told.push(...uids), never);
  return { ledger, source, host, problems, told };
}

const idsIn = ({ ledger }: Lab, uid: string, container: string, resource = x) => {
  const grant = ledger.grants().get(uid)?.get(container)?.get(resource);
  return grant === undefined ? [] : idsOf(grant);
};
const first = ({ pod }: DesiredPod) => pod.spec!.containers[0]!;
const prepare = ({ ledger }: Lab, pod: DesiredPod, container = first(pod)) =>
  ledger.prepare(pod, container, never);

Deno.test("a container gets its devices once, keeps them over its restarts, and the next agent knows", async () => {
  const a = await lab();
  a.source.offer(x, { devices: devices(2), preStarts: true });
  const pod = podOf("p", [ask("app", 1)]);
  const edits = await prepare(a, pod);
  assertEquals(edits?.env, { A_COM_X: "d0" });
  assertEquals(parseCheckpoint(a.host.text(file)!).registered.get(x), ["d0", "d1"]);
  assertEquals(a.host.mode(file), 0o600);
  const writes = a.host.changes.length;
  assertEquals((await prepare(a, pod))?.env, { A_COM_X: "d0" });
  assertEquals(a.host.changes.length, writes, "nothing is written where nothing changed");
  const b = await lab(a.source, a.host);
  assertEquals((await prepare(b, pod))?.env, { A_COM_X: "d0" });
  assertEquals(a.source.calls, ["allocate a.com/x d0", ...Array(3).fill("preStart a.com/x d0")]);
  assertEquals(idsIn(b, "p", "app"), ["d0"]);
  assertEquals((await prepare(b, podOf("q", [ask("app", 1)])))?.env, { A_COM_X: "d1" });
});

Deno.test("all containers of a pod are given devices with the first, init containers leave theirs to others", async () => {
  const a = await lab();
  a.source.offer(x, { devices: devices(3) });
  const pod = podOf("p", [ask("one", 1), ask("two", 1)], [ask("init", 2)]);
  await prepare(a, pod, pod.pod.spec!.initContainers![0]!);
  assertEquals([idsIn(a, "p", "init"), idsIn(a, "p", "one"), idsIn(a, "p", "two")], [
    ["d0", "d1"],
    ["d0"],
    ["d1"],
  ]);
  const other = podOf("q", [ask("app", 2)]);
  assertStringIncludes(a.ledger.outlook(other)!.held.message, "a.com/x: 2 asked for, 1 free");
  await assertRejects(() => prepare(a, other), AgentError, "2 asked for, 1 free");
  assertEquals(a.ledger.grants().has("q"), false);
});

Deno.test("a pod waits for a resource that nobody offers, is refused after a while, and taken once somebody does", async () => {
  const a = await lab();
  const pod = podOf("p", [ask("app", 1)]);
  const look = () => a.ledger.outlook(pod);
  assertEquals(look()?.left, 60_000);
  assertEquals(look()?.held.reason, "WaitingForDevices");
  assertEquals([...look()!.held.containers], ["app"]);
  await a.host.advance(59_999);
  assertEquals([look()?.left, look()?.rejected], [1, undefined]);
  await a.host.advance(1);
  assertEquals(look()?.rejected?.reason, "UnexpectedAdmissionError");
  a.ledger.release("p");
  assertEquals(look()?.rejected?.reason, "UnexpectedAdmissionError", "it does not begin to wait anew");
  assertEquals(a.told, []);
  a.source.offer(x, { devices: devices(1) });
  assertEquals(a.told, ["p"]);
  assertEquals(look(), undefined);
});

Deno.test("a pod that has devices waits for their source as long as it takes", async () => {
  const a = await lab();
  a.source.offer(x, { devices: devices(1) });
  const pod = podOf("p", [ask("app", 1)]);
  await prepare(a, pod);
  a.source.offer(x, { devices: devices(1), connected: false });
  await a.host.advance(3_600_000);
  assertEquals([a.ledger.outlook(pod)?.left, a.ledger.outlook(pod)?.rejected], [undefined, undefined]);
  assertEquals(a.ledger.health("p").get("app"), [{
    name: x,
    resources: [{ resourceID: "d0", health: "Unknown" }],
  }]);
  const b = await lab(createFakeDevices(), a.host);
  assertStringIncludes(b.ledger.outlook(pod)!.held.message, "has not registered again yet");
  assertEquals(idsIn(b, "p", "app"), ["d0"]);
});

Deno.test("the wait of a pod begins anew when a source goes away", async () => {
  const a = await lab();
  const pod = podOf("p", [ask("app", 2)]);
  a.source.offer(x, { devices: devices(1) });
  assertEquals(a.ledger.outlook(pod)?.left, undefined, "too few are waited for without an end");
  await a.host.advance(50_000);
  a.source.offer(x, undefined);
  assertEquals(a.ledger.outlook(pod)?.left, 60_000);
});

Deno.test("devices that a pod gives back wake those that wait for them", async () => {
  const a = await lab();
  a.source.offer(x, { devices: devices(1) });
  const [p, q] = [podOf("p", [ask("app", 1)]), podOf("q", [ask("app", 1)])];
  await prepare(a, p);
  assertEquals(a.ledger.outlook(q)?.held.reason, "WaitingForDevices");
  a.ledger.outlook(p);
  a.ledger.release("p", new Set(["app"]));
  assertEquals(a.told, []);
  a.ledger.release("p");
  assertEquals(a.told, ["q"]);
  assertEquals(a.ledger.outlook(q), undefined);
  await prepare(a, q);
  a.ledger.sweep(new Set(["q"]));
  assertEquals([idsIn(a, "p", "app"), idsIn(a, "q", "app")], [[], ["d0"]]);
  a.ledger.sweep(new Set());
  await a.host.settle();
  assertEquals(parseCheckpoint(a.host.text(file)!).entries, []);
});

Deno.test("an edit that asks for more keeps what there is; one that asks for less gives the rest back", async () => {
  const a = await lab();
  a.source.offer(x, { devices: devices(3) });
  await prepare(a, podOf("other", [ask("app", 1)]));
  await prepare(a, podOf("p", [ask("app", 1)]));
  await prepare(a, podOf("p", [ask("app", 2)]));
  assertEquals(idsIn(a, "p", "app"), ["d1", "d2"]);
  await prepare(a, podOf("p", [ask("app", 1)]));
  assertEquals(idsIn(a, "p", "app"), ["d1"]);
  await prepare(a, podOf("p", [{ name: "app" }, ask("more", 1)]), ask("more", 1));
  assertEquals([idsIn(a, "p", "app"), idsIn(a, "p", "more")], [["d1"], ["d2"]], "until it is started again");
});

Deno.test("a source that fails leaves nothing behind; while it thinks its devices are not given twice", async () => {
  const a = await lab();
  a.source.offer(x, { devices: devices(1) });
  const gate = Promise.withResolvers<void>();
  a.source.onAllocate = () => gate.promise;
  const [p, q] = [podOf("p", [ask("app", 1)]), podOf("q", [ask("app", 1)])];
  const slow = prepare(a, p);
  await assertRejects(() => prepare(a, q), AgentError, "1 asked for, 0 free");
  assertEquals(parseCheckpoint(a.host.text(file)!).entries, [], "what is not given yet is not on record");
  gate.reject(new AgentError("UnexpectedAdmissionError", "broken"));
  await assertRejects(() => slow, AgentError, "broken");
  a.source.onAllocate = () => {};
  assertEquals((await prepare(a, q))?.env, { A_COM_X: "d0" });
});

Deno.test("a preference is heard where there is a choice", async () => {
  const a = await lab();
  a.source.offer(x, { devices: devices(3), prefers: true });
  a.source.prefer = ["d2", "d9"];
  await prepare(a, podOf("p", [ask("app", 1)]));
  assertEquals(idsIn(a, "p", "app"), ["d2"]);
  assertEquals(a.source.calls[0], "prefer a.com/x d0,d1,d2 must  size 1");
  await prepare(a, podOf("q", [ask("app", 2)]));
  assertEquals(a.source.calls.slice(2), ["allocate a.com/x d0,d1"]);
});

Deno.test("a pod that wants it gets another device when one turns unhealthy, and keeps the others", async () => {
  const a = await lab();
  const ill = (...ids: string[]) => devices(4).map((d) => ({ ...d, healthy: !ids.includes(d.id) }));
  const plain = podOf("plain", [ask("app", 1)]);
  const wants = podOf("wants", [ask("app", 2)]);
  wants.pod.metadata!.annotations = { "agent/replace-unhealthy-devices": "true" };
  a.source.offer(x, { devices: ill() });
  await prepare(a, plain);
  await prepare(a, wants);
  a.source.offer(x, { devices: ill("d0", "d1") });
  assertEquals([...a.ledger.ailing(plain)], []);
  assertEquals([...a.ledger.ailing(wants)], ["app"]);
  assertEquals([a.ledger.outlook(plain), a.ledger.outlook(wants)], [undefined, undefined]);
  assertEquals((await prepare(a, plain))?.env, { A_COM_X: "d0" });
  assertEquals((await prepare(a, wants))?.env, { A_COM_X: "d2,d3" });
  assertEquals([...a.ledger.ailing(wants)], []);
  a.source.offer(x, { devices: ill("d0", "d1", "d3") });
  assertEquals([...a.ledger.ailing(wants)], ["app"]);
  assertEquals([...a.ledger.outlook(wants)!.held.containers], ["app"], "there is no other one");
  assertEquals(idsIn(a, "wants", "app"), ["d2", "d3"]);
});

Deno.test("two pods that each want a part of what the other has keep nothing back", async () => {
  const a = await lab();
  const y = "b.com/y";
  a.source.offer(x, { devices: devices(1) });
  a.source.offer(y, { devices: devices(1) });
  const both = (name: string, limits: Record<string, string>) =>
    podOf(name, [{ name: "app", resources: { limits } }]);
  const [p, q] = [both("p", { [x]: "1", [y]: "1" }), both("q", { [y]: "1", [x]: "1" })];
  const outcomes = await Promise.allSettled([prepare(a, p), prepare(a, q)]);
  assertEquals(outcomes.map((o) => o.status), ["rejected", "rejected"]);
  assertEquals(a.ledger.grants(), new Map());
  assertEquals((await prepare(a, p))?.env, { A_COM_X: "d0", B_COM_Y: "d0" });
});

Deno.test("a checkpoint that cannot be read is moved aside and told of", async () => {
  const host = createFakeHost({ files: { [file]: "{}" } });
  const a = await lab(createFakeDevices(), host);
  assertEquals(a.problems.map((p) => [p.severity, p.file]), [["warning", file]]);
  assertStringIncludes(a.problems[0]!.message, "Data: expected an object");
  assertEquals(host.text(`${file}.unreadable`), "{}");
});

const seen = (uid: string, state: ObservedContainer["state"], granted: Record<string, string[]>) => ({
  ...emptyObservation(uid, "default", uid),
  containers: [{
    ...{ id: `of ${uid}`, name: "app", sandboxId: "box", attempt: 0, state, createdAt: 1, logPath: "" },
    ...{ image: "", imageRef: "", hash: "", backOff: 0, graceSeconds: 1, devices: granted },
  }],
});

for (const content of [undefined, "{}"]) {
  const how = content === undefined ? "lost" : "unreadable";
  Deno.test(`with a checkpoint that is ${how} what runs keeps its devices, and nobody else is given them`, async () => {
    const source = createFakeDevices();
    source.offer(x, { devices: devices(3) });
    const host = createFakeHost({ files: content === undefined ? {} : { [file]: content } });
    const a = await lab(source, host, [
      seen("p", "running", { [x]: ["d0"] }),
      seen("ended", "exited", { [x]: ["d1"] }),
    ]);
    assertEquals((await prepare(a, podOf("q", [ask("app", 2)])))?.granted, { [x]: ["d1", "d2"] });
    assertEquals(a.ledger.outlook(podOf("r", [ask("app", 1)]))?.held.reason, "WaitingForDevices");
    assertEquals((await prepare(a, podOf("p", [ask("app", 1)])))?.env, { A_COM_X: "d0" });
    assertEquals(source.calls, ["allocate a.com/x d1,d2", "allocate a.com/x d0"]);
    const b = await lab(source, host);
    assertEquals([idsIn(b, "p", "app"), idsIn(b, "q", "app")], [["d0"], ["d1", "d2"]]);
  });
}

Deno.test("nobody is given devices before it is known what runs", async () => {
  const { ledger, source } = await lab(createFakeDevices(), createFakeHost(), null);
  source.offer(x, { devices: devices(2) });
  const pod = podOf("q", [ask("app", 1)]);
  const given = ledger.prepare(pod, first(pod), never);
  const giveUp = new AbortController();
  const abandoned = ledger.prepare(pod, first(pod), giveUp.signal);
  giveUp.abort(new Error("given up"));
  await assertRejects(() => abandoned, Error, "given up");
  assertEquals(source.calls, []);
  ledger.restore([seen("p", "running", { [x]: ["d0"] })]);
  assertEquals((await given)?.env, { A_COM_X: "d1" });
});

Deno.test("what a kubelet gave is kept", async () => {
  const entry = {
    uid: "p",
    container: "app",
    resource: x,
    devices: new Map([[0, ["d1"]]]),
    response: responseCodec.encode({ owner: "", env: { BY: "a kubelet" } }),
  };
  const registered = new Map([[x, ["d0", "d1"]]]);
  const content = JSON.stringify({
    Data: {
      PodDeviceEntries: [{
        PodUID: "p",
        ContainerName: "app",
        ResourceName: x,
        DeviceIDs: { 0: ["d1"] },
        AllocResp: entry.response.toBase64(),
      }],
      RegisteredDevices: { [x]: ["d0", "d1"] },
    },
    Checksum: deviceChecksum({ entries: [entry], registered }),
  });
  const a = await lab(createFakeDevices(), createFakeHost({ files: { [file]: content } }));
  a.source.offer(x, { devices: devices(2) });
  assertEquals((await prepare(a, podOf("p", [ask("app", 1)])))?.env, { BY: "a kubelet" });
  assertEquals(a.source.calls, []);
});
