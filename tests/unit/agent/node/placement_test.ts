import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createMetrics } from "../../../../agent/lib/metrics.ts";
import { parseCpuCheckpoint } from "../../../../agent/model/cpu_checkpoint.ts";
import { formatCpuSet, parseCpuSet } from "../../../../agent/model/cpu_set.ts";
import { allCpus } from "../../../../agent/model/cpu_topology.ts";
import type { Problem } from "../../../../agent/model/errors.ts";
import { assignedTo, type CpuNode, sharedCpus } from "../../../../agent/model/exclusive_cpus.ts";
import type { Container } from "../../../../agent/model/gen/v1.ts";
import type { DesiredPod } from "../../../../agent/model/wish.ts";
import { createPlacement } from "../../../../agent/node/placement.ts";
import { createFakeHost, type FakeHost } from "../../../fakes/host.ts";
import { machine, type MachineName } from "../model/machines/mod.ts";
import { randomOf } from "../model/random.ts";

const path = "/cpu_manager_state";
const container = (name: string, cpu: string): Container => ({
  name,
  resources: { limits: { cpu, memory: "1Mi" } },
});
const podOf = (uid: string, ...containers: Container[]): DesiredPod => ({
  pod: { metadata: { name: uid, uid }, spec: { containers } },
  uid,
  source: "file",
  origin: "",
});

async function lab(
  name: MachineName,
  reserved: string,
  host: FakeHost,
  policy: "static" | "none" = "static",
) {
  const topology = machine(name);
  const node: CpuNode = {
    topology,
    reserved: parseCpuSet(reserved)!,
    options: { wholeCores: false, distribute: false, bySocket: false, strictReservation: false },
  };
  const problems: Problem[] = [];
  const told: (string | undefined)[] = [];
  const metrics = createMetrics();
  const ledger = createPlacement({
    host,
    node: {
      policy: { name: "none", scope: "container", preferClosest: false },
      numa: topology.numa,
      ...(policy === "static" && { cpus: node }),
    },
    all: allCpus(topology),
    path,
    devices: { offers: () => new Map(), grants: () => new Map() },
    metrics,
    report: (list) => problems.push(...list),
    logError: () => {},
  });
  ledger.subscribe((uid) => told.push(uid));
  await ledger.load();
  const shared = () => formatCpuSet(sharedCpus(node, ledger.assignments()));
  return { ledger, problems, told, metrics, node, shared };
}

Deno.test("a pod gets its CPUs once, the others share what is left, and all is on disk", async () => {
  const host = createFakeHost();
  const { ledger, told, shared } = await lab("vm-2-cpus", "0", host);
  const pod = podOf("p", container("a", "1"));
  assertEquals(ledger.place(pod), undefined);
  assertEquals(ledger.cpusOf("p", "a"), { cpus: "1", own: true });
  assertEquals(ledger.cpusOf("other", "a"), { cpus: "0", own: false });
  assertEquals(ledger.facts("p"), { all: "0-1", shared: "0", own: new Map([["a", "1"]]) });
  assertEquals(told, [undefined], "everybody looks where to run now");
  await ledger.saved();
  assertEquals(host.mode(path), 0o600);
  assertEquals(parseCpuCheckpoint(host.text(path)!), {
    policy: "static",
    shared: new Set([0]),
    assignments: new Map([["p", new Map([["a", new Set([1])]])]]),
  });
  const writes = host.changes.length;
  assertEquals(ledger.place(pod), undefined);
  await ledger.saved();
  assertEquals([host.changes.length, told.length], [writes, 1], "the same again is nothing new");
  ledger.release("p");
  ledger.release("p");
  await ledger.saved();
  assertEquals([shared(), parseCpuCheckpoint(host.text(path)!).assignments.size], ["0-1", 0]);
});

Deno.test("who gets none is told why, and again when another pod gives its own back", async () => {
  const { ledger, told, metrics } = await lab("vm-2-cpus", "0", createFakeHost());
  ledger.place(podOf("p", container("a", "1")));
  const late = podOf("q", container("a", "1"));
  assertStringIncludes(ledger.place(late)?.message ?? "", "requested=1, available=0");
  assertEquals(ledger.cpusOf("q", "a")?.own, false);
  told.length = 0;
  ledger.release("q");
  assertEquals(told, [], "a pod without anything wakes nobody, not even itself");
  ledger.release("p");
  assert(told.includes("q"), told.join());
  assertEquals(ledger.place(late), undefined);
  const page = metrics.render();
  assertStringIncludes(page, "kubelet_cpu_manager_pinning_requests_total 2\n");
  assertStringIncludes(page, "kubelet_cpu_manager_pinning_errors_total 1\n");
  assertStringIncludes(page, "kubelet_cpu_manager_shared_pool_size_millicores 1000\n");
});

Deno.test("the next agent goes on with the file, as a kubelet would leave it, as far as it fits the machine", async () => {
  const host = createFakeHost();
  const entries = { old: { a: "8-9" }, gone: { a: "70" }, clash: { a: "9-10" }, kept: { a: "0" } };
  const file = { policyName: "static", defaultCpuSet: "0-63", entries, checksum: 0 };
  await host.writeFile(path, JSON.stringify(file));
  const { ledger, problems } = await lab("amd-4-sockets-8-nodes", "0", host);
  assertEquals([...ledger.assignments().keys()], ["old"]);
  assertEquals(problems.length, 1);
  for (const says of ["70 of pod gone are not online", "9-10 of pod clash", "0 of pod kept are reserved"]) {
    assertStringIncludes(problems[0]!.message, says);
  }
  assertEquals(ledger.place(podOf("old", container("a", "2"))), undefined);
  assertEquals(ledger.cpusOf("old", "a"), { cpus: "8-9", own: true });
  ledger.sweep(new Set());
  await ledger.saved();
  assertEquals(parseCpuCheckpoint(host.text(path)!).assignments.size, 0);
});

Deno.test("a file that is none is put aside and told of", async () => {
  const host = createFakeHost();
  await host.writeFile(path, '{"policyName":"static","defaultCpuSet":"0-1","checksum":7}');
  const { problems } = await lab("vm-2-cpus", "0", host);
  assertStringIncludes(problems[0]!.message, "checksum");
  assert(host.text(`${path}.unreadable`) !== undefined);
});

Deno.test("once nobody is to have CPUs any more, all may run anywhere, and a kubelet finds the file it expects", async () => {
  const host = createFakeHost();
  const before = await lab("vm-2-cpus", "0", host);
  before.ledger.place(podOf("p", container("a", "1")));
  await before.ledger.saved();
  const { ledger } = await lab("vm-2-cpus", "0", host, "none");
  assertEquals(ledger.place(podOf("p", container("a", "1"))), undefined);
  assertEquals(ledger.cpusOf("p", "a"), undefined);
  assertEquals(ledger.facts("p"), { all: "0-1", shared: "0-1", own: new Map() });
  assertEquals(host.text(path), '{"policyName":"none","defaultCpuSet":"","checksum":1353318690}');
});

Deno.test("pods that come and go over many agents: no CPU is anybody's twice, none is lost, reserved ones are nobody's", async () => {
  const random = randomOf(3);
  const host = createFakeHost();
  const reserved = "0-1,17";
  let { ledger, node } = await lab("amd-4-sockets-8-nodes", reserved, host);
  const pods = new Map<string, DesiredPod>();
  for (let round = 0; round < 3000; round++) {
    const uid = `p${random(12)}`;
    if (random(3) === 0) {
      ledger.release(uid);
      pods.delete(uid);
    } else if (!pods.has(uid)) {
      const containers = Array.from(
        { length: 1 + random(3) },
        (_, i) => container(`c${i}`, ["500m", "1", "2", "3", "7"][random(5)]!),
      );
      const pod = podOf(uid, ...containers);
      const free = node.topology.cpus.size - 3 - assignedTo(ledger.assignments()).size;
      const wanted = containers.reduce(
        (n, c) => n + Math.floor(Number(c.resources!.limits!["cpu"]!.replace("500m", "0"))),
        0,
      );
      const refused = ledger.place(pod);
      assertEquals(refused === undefined, wanted <= free, `${wanted} of ${free}`);
      if (refused === undefined) pods.set(uid, pod);
    }
    if (random(20) === 0) {
      await ledger.saved();
      const before = ledger.assignments();
      ({ ledger, node } = await lab("amd-4-sockets-8-nodes", reserved, host));
      assertEquals(ledger.assignments(), before);
      for (const pod of pods.values()) assertEquals(ledger.place(pod), undefined);
    }
    const all = [...ledger.assignments().values()].flatMap((own) => [...own.values()]);
    const sum = assignedTo(ledger.assignments());
    assertEquals(all.reduce((n, set) => n + set.size, 0), sum.size, "twice");
    assert(sum.isDisjointFrom(node.reserved));
    assertEquals(sum.size + sharedCpus(node, ledger.assignments()).size, 64);
  }
});
