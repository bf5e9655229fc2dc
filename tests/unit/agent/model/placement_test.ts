import { assertEquals } from "@std/assert";
import { formatCpuSet, parseCpuSet } from "../../../../agent/model/cpu_set.ts";
import type { Device, DeviceOffer, Grants, Offers } from "../../../../agent/model/devices.ts";
import type { CpuNode } from "../../../../agent/model/exclusive_cpus.ts";
import type { Container, Pod } from "../../../../agent/model/gen/v1.ts";
import { type Place, placePod, type Standing } from "../../../../agent/model/placement.ts";
import type { TopologyPolicy } from "../../../../agent/model/topology.ts";
import { machine } from "./machines/mod.ts";

const x = "a.com/x";
const topology = machine("intel-4-nodes-interleaved");
const cpus: CpuNode = {
  topology,
  reserved: new Set([0]),
  options: { wholeCores: false, distribute: false, bySocket: false, strictReservation: false },
};
const on = (name: TopologyPolicy["name"], scope: TopologyPolicy["scope"] = "container") => ({
  policy: { name, scope, preferClosest: false },
  numa: topology.numa,
  cpus,
});
const container = (name: string, cpu: number, devices = 0): Container => {
  const limits = { cpu: String(cpu), memory: "1Mi", ...(devices === 0 ? {} : { [x]: String(devices) }) };
  return { name, resources: { limits } };
};
const podOf = (...containers: Container[]): Pod => ({ spec: { containers } });

/** One device `dN` for each node that is named, near to it; -1 is near to none. */
const offersOf = (...nodes: number[]): Offers => {
  const devices = nodes.map((node, i): Device => ({
    id: `d${i}`,
    healthy: true,
    numaNodes: node < 0 ? [] : [node],
  }));
  const offer: DeviceOffer = { devices, connected: true, prefers: false, preStarts: false };
  return new Map([[x, offer]]);
};
const standing = (offers: Offers, more: Partial<Standing> = {}): Standing => ({
  assignments: new Map(),
  grants: new Map(),
  offers,
  ...more,
});
const granted = (uid: string, name: string, ...ids: string[]): Grants =>
  new Map([[uid, new Map([[name, new Map([[x, { devices: new Map([[-1, ids]]) }]])]])]]);

const told = (result: ReturnType<typeof placePod>) =>
  "reason" in result ? result.reason : Object.fromEntries([...result].map(([name, p]) => [name, text(p)]));
const text = ({ cpus, nodes }: Place) =>
  `${cpus === undefined ? "shared" : formatCpuSet(cpus)}${nodes ? ` near ${[...nodes]}` : ""}`;

Deno.test("CPUs and devices of a container come from one NUMA node", () => {
  const pod = podOf(container("a", 2, 1));
  const single = on("single-numa-node");
  assertEquals(told(placePod(single, standing(offersOf(2)), pod, "u")), { a: "2,6 near 2" });
  assertEquals(told(placePod(on("none"), standing(offersOf(2)), pod, "u")), { a: "4,8" });
  const taken = standing(offersOf(2, 3), { grants: granted("other", "c", "d0") });
  assertEquals(told(placePod(single, taken, pod, "u")), { a: "3,7 near 3" });
  assertEquals(told(placePod(single, standing(offersOf(-1)), pod, "u")), { a: "4,8 near 0" }, "anywhere");
});

Deno.test("where no node has all of it, restricted and single-numa-node refuse, best-effort does its best", () => {
  const pod = podOf(container("a", 2, 1));
  const assignments = new Map([["other", new Map([["c", parseCpuSet("2,6,10,14,18,22,26,30,34")!]])]]);
  const apart = standing(offersOf(2), { assignments });
  assertEquals(told(placePod(on("single-numa-node"), apart, pod, "u")), "TopologyAffinityError");
  assertEquals(told(placePod(on("restricted"), apart, pod, "u")), "TopologyAffinityError");
  assertEquals(told(placePod(on("best-effort"), apart, pod, "u")), { a: "4,8 near 0" });
  const wide = podOf(container("a", 12));
  assertEquals(
    told(placePod(on("single-numa-node"), standing(offersOf()), wide, "u")),
    "TopologyAffinityError",
  );
  const restricted = told(placePod(on("restricted"), standing(offersOf()), wide, "u"));
  assertEquals(restricted, { a: "1,4-5,8-9,13,17,21,25,29,33,37 near 0,1" });
});

Deno.test("each container for itself, or the pod as a whole", () => {
  const pod = podOf(container("a", 6), container("b", 6, 1));
  const offers = offersOf(3);
  assertEquals(told(placePod(on("single-numa-node"), standing(offers), pod, "u")), {
    a: "4,8,12,16,20,24 near 0",
    b: "3,7,11,15,19,23 near 3",
  });
  assertEquals(
    told(placePod(on("single-numa-node", "pod"), standing(offers), pod, "u")),
    "TopologyAffinityError",
  );
  const small = podOf(container("a", 2), container("b", 2, 1));
  assertEquals(told(placePod(on("single-numa-node", "pod"), standing(offers), small, "u")), {
    a: "3,7 near 3",
    b: "11,15 near 3",
  });
});

Deno.test("containers of a pod do not count on the same device, nor on the same CPUs", () => {
  const pod = podOf(container("a", 1, 1), container("b", 1, 1));
  const two = told(placePod(on("single-numa-node"), standing(offersOf(1, 2)), pod, "u"));
  assertEquals(two, { a: "1 near 1", b: "2 near 2" });
  assertEquals(
    told(
      placePod(
        on("restricted"),
        standing(offersOf(1, 1)),
        podOf(container("a", 9, 1), container("b", 2, 1)),
        "u",
      ),
    ),
    "TopologyAffinityError",
  );
});

Deno.test("what a pod has it keeps, and it is judged by that", () => {
  const pod = podOf(container("a", 2, 1));
  const assignments = new Map([["u", new Map([["a", parseCpuSet("2,6")!]])]]);
  const had = standing(offersOf(1, 2), { assignments, grants: granted("u", "a", "d1") });
  assertEquals(told(placePod(on("single-numa-node"), had, pod, "u")), { a: "2,6 near 2" });
  const torn = standing(offersOf(1, 2), { assignments, grants: granted("u", "a", "d0") });
  assertEquals(told(placePod(on("restricted"), torn, pod, "u")), "TopologyAffinityError");
  const fewer = standing(offersOf(), { assignments: new Map([["u", new Map([["gone", new Set([1])]])]]) });
  assertEquals(told(placePod(on("none"), fewer, podOf(container("a", 1)), "u")), { a: "4" });
});

Deno.test("devices alone are aligned, too; init containers leave theirs to the others", () => {
  const pod: Pod = {
    spec: { initContainers: [container("i", 0, 1)], containers: [container("a", 0, 1)] },
  };
  const { cpus: _, ...alone } = on("single-numa-node");
  assertEquals(told(placePod(alone, standing(offersOf(3)), pod, "u")), {
    i: "shared near 3",
    a: "shared near 3",
  });
});
