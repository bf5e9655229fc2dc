// Rules of the configuration, patterns, and what found nodes come to.
import { assertEquals } from "@std/assert";
import { takesCdiNames } from "../../../../agent/model/cdi_runtime.ts";
import { deviceNumbers } from "../../../../agent/model/device_node.ts";
import { namePattern, patternProblem, watchOf } from "../../../../agent/model/glob.ts";
import {
  builtinDevices,
  type FoundNode,
  readHostDevices,
  shareIds,
  unitsOf,
  withBuiltins,
} from "../../../../agent/model/host_devices.ts";

Deno.test("a rule of the configuration is read, or what is wrong with it is said", () => {
  const rule = { resource: "agent.local/serial", paths: ["/dev/ttyUSB*"], share: 3, permissions: "rwm" };
  assertEquals(readHostDevices([rule, { ...rule, group: "device" }]), {
    rules: [rule, { ...rule, group: "device" }],
  });
  assertEquals(readHostDevices(builtinDevices), { rules: [...builtinDevices] });
  const wrong = (change: Record<string, unknown>) => {
    const read = readHostDevices([rule, { ...rule, ...change }]);
    return "wrong" in read ? read.wrong : "";
  };
  const serial = "expected one such as agent.local/serial";
  const cases: [Record<string, unknown>, string][] = [
    [{ resource: "cpu" }, `[1].resource: cpu is no name of a resource: ${serial}`],
    [
      { resource: "x.kubernetes.io/a" },
      `[1].resource: x.kubernetes.io/a is no name of a resource: ${serial}`,
    ],
    [{ resource: "requests.a/b" }, `[1].resource: requests.a/b is no name of a resource: ${serial}`],
    [{ paths: [] }, "[1].paths: expected at least one path"],
    [
      { paths: ["/dev/a", "dev/b"] },
      "[1].paths[1]: expected an absolute path, with *, ? or [...] in its names, got dev/b",
    ],
    [
      { paths: ["/dev/../etc/*"] },
      "[1].paths[0]: expected an absolute path, with *, ? or [...] in its names, got /dev/../etc/*",
    ],
    [
      { paths: ["/dev/[z-a]"] },
      "[1].paths[0]: expected a pattern whose [...] are well formed, got /dev/[z-a]",
    ],
    [{ share: 0 }, "[1].share: expected an integer from 1 to 1000"],
    [{ permissions: "x" }, "[1].permissions: expected letters of rwm"],
    [{ group: "card" }, "[1].group: expected none, device or all"],
    [{ shares: 2 }, '[1].shares: unknown field "shares"; did you mean "share"?'],
    [{ paths: "/dev/a" }, '[1].paths: expected a list of texts, got "/dev/a"'],
  ];
  for (const [change, text] of cases) assertEquals(wrong(change), text);
});

Deno.test("a rule of the configuration replaces the built-in one of its resource", () => {
  const mine = { resource: "agent.local/kvm", paths: ["/dev/kvm"] };
  const names = withBuiltins([mine], true).map((rule) => rule.resource);
  assertEquals(names.length, builtinDevices.length);
  assertEquals(withBuiltins([mine], true)[0], mine);
  assertEquals(withBuiltins([mine], false), [mine]);
});

Deno.test("patterns fit names as a shell's do", () => {
  const fits = (pattern: string, ...names: string[]) =>
    names.filter((name) => namePattern(pattern).test(name));
  assertEquals(fits("ttyUSB*", "ttyUSB0", "ttyUSB", "xttyUSB0", "ttyUSB1/a"), ["ttyUSB0", "ttyUSB"]);
  assertEquals(fits("*", "a", ".hidden", ""), ["a", ""]);
  assertEquals(fits("card[0-9]", "card1", "carda", "card10"), ["card1"]);
  assertEquals(fits("card[!0]", "card0", "card1"), ["card1"]);
  assertEquals(fits("a?c", "abc", "ac"), ["abc"]);
  assertEquals(fits("a.b+(c)", "a.b+(c)", "axb+(c)"), ["a.b+(c)"]);
  assertEquals(patternProblem("/dev/*"), undefined);
});

Deno.test("a pattern is watched in the directory before its first wildcard", () => {
  const of = (pattern: string) => {
    const { directory, only } = watchOf(pattern);
    return [directory, only?.source];
  };
  assertEquals(of("/dev/kvm"), ["/dev", "^kvm$"]);
  assertEquals(of("/dev/serial/by-id/*")[0], "/dev/serial/by-id");
  assertEquals(of("/dev/bus/usb/*/*"), ["/dev/bus/usb", undefined]);
  assertEquals(of("/*")[0], "/");
});

const node = (path: string, number: string, hardware?: string, numaNode?: number): FoundNode => ({
  path,
  node: number,
  ...(hardware !== undefined && { hardware }),
  ...(numaNode !== undefined && { numaNode }),
});

Deno.test("found nodes are devices one by one, by their hardware, or together", () => {
  const card = "/sys/devices/pci0000:00/0000:00:02.0";
  const found = [
    node("/dev/dri/renderD128", "char/226:128", card, 0),
    node("/dev/dri/card0", "char/226:0", card, 0),
    node("/dev/dri/card1", "char/226:1"),
    node("/dev/dri/by-path/first", "char/226:0", card, 0),
  ];
  const of = (group: "none" | "device" | "all") =>
    unitsOf({ resource: "a/dri", paths: ["/dev/dri/*"], group }, found).map((
      u,
    ) => [u.id, u.paths, u.numaNodes]);
  assertEquals(of("none"), [
    ["/dev/dri/renderD128", ["/dev/dri/renderD128"], [0]],
    ["/dev/dri/card0", ["/dev/dri/card0"], [0]],
    ["/dev/dri/card1", ["/dev/dri/card1"], []],
  ]);
  assertEquals(of("device"), [
    ["0000:00:02.0", ["/dev/dri/renderD128", "/dev/dri/card0"], [0]],
    ["/dev/dri/card1", ["/dev/dri/card1"], []],
  ]);
  const all = ["/dev/dri/renderD128", "/dev/dri/card0", "/dev/dri/card1"];
  assertEquals(of("all"), [["/dev/dri/*", all, [0]]]);
  assertEquals(shareIds("/dev/kvm", 2), ["/dev/kvm::0", "/dev/kvm::1"]);
  assertEquals(shareIds("/dev/kvm", 1), ["/dev/kvm"]);
});

Deno.test("device numbers are split as Linux does", () => {
  assertEquals(deviceNumbers(0x103), { major: 1, minor: 3 });
  // makedev(259, 1048575) and makedev(4096, 300)
  assertEquals(deviceNumbers(0xfff103ff), { major: 259, minor: 1048575 });
  assertEquals(deviceNumbers(0x10000010002c), { major: 4096, minor: 300 });
});

Deno.test("which runtimes take names of CDI devices", () => {
  const cases: [string, string, boolean | undefined, boolean][] = [
    ["containerd", "1.6.20~ds1", undefined, false],
    ["containerd", "v1.7.13", undefined, false],
    ["containerd", "v1.7.13", true, true],
    ["containerd", "v1.7.13", false, false],
    ["containerd", "v1.7.1", true, false],
    ["containerd", "v2.1.4", undefined, true],
    ["containerd", "v2.0.0", false, false],
    ["cri-o", "1.27.3", undefined, false],
    ["cri-o", "1.30.0", undefined, true],
    ["other", "3.0", undefined, false],
  ];
  for (const [name, version, told, takes] of cases) {
    assertEquals(takesCdiNames(name, version, told), takes, `${name} ${version} ${told}`);
  }
});
