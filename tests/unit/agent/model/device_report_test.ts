import { assertEquals } from "@std/assert";
import { deviceReports } from "../../../../agent/model/device_report.ts";
import type { DeviceOffer, Grants } from "../../../../agent/model/devices.ts";

const offer = (ids: string[], connected = true): DeviceOffer => ({
  devices: ids.map((id) => ({ id, healthy: !id.startsWith("bad"), numaNodes: id === "a" ? [0] : [] })),
  connected,
  prefers: false,
  preStarts: false,
});
const source = (name: string, offers: Record<string, DeviceOffer>) => ({
  name,
  offers: () => new Map(Object.entries(offers)),
});
const grant = (...ids: string[]) => ({ devices: new Map([[-1, ids]]) });

Deno.test("devices are reported by resource, shares as one, with who has them", () => {
  const sources = [
    source("plugins", {
      "v/gone": offer(["a"], false),
      "v/both": offer(["a", "bad"]),
      "v/late": offer(["x"], false),
    }),
    source("host", {
      "v/both": offer(["other"]),
      "v/late": offer(["y"]),
      "a/kvm": offer(["/k::0", "/k::1"]),
    }),
  ];
  const grants: Grants = new Map([
    ["u1", new Map([["one", new Map([["a/kvm", grant("/k::1")], ["v/both", grant("bad")]])]])],
    ["u2", new Map([["two", new Map([["v/lost", grant("z")]])]])],
  ]);
  const told = deviceReports(sources, grants).map((r) =>
    [r.resource, r.id, r.source, r.health, r.numaNodes.join(), r.shares, r.users.map((u) => u.uid).join()]
      .join(" ")
  );
  assertEquals(told, [
    "a/kvm /k host Healthy  2 u1",
    "v/both a plugins Healthy 0 1 ",
    "v/both bad plugins Unhealthy  1 u1",
    "v/gone a plugins Unknown 0 1 ",
    "v/late y host Healthy  1 ",
    "v/lost z  Unknown  1 u2",
  ]);
});
