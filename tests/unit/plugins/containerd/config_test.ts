import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  type ContainerdConfig,
  generateConfig,
  parseContainerdVersion,
} from "../../../../plugins/containerd/config.ts";

const CONFIG: ContainerdConfig = {
  version: { major: 1, minor: 6, patch: 20 },
  root: "/var/lib/agent/containerd",
  state: "/run/agent/containerd",
  socket: "/run/agent/containerd.sock",
  runc: "/usr/sbin/runc",
  cniBinDir: "/usr/lib/cni",
  cniConfDir: "/etc/cni/net.d",
  sandboxImage: "localhost/agent/pause:1",
  cgroupDriver: "cgroupfs",
  restrictOomScoreAdj: false,
  snapshotter: "overlayfs",
  registryConfigDir: "/etc/agent/certs.d",
  cdiSpecDirs: ["/etc/cdi", "/run/cdi"],
  runtimes: {},
  maxConcurrentDownloads: 3,
  logLevel: "warn",
};

/** Tables to their `key = value` lines. */
function tables(text: string): Map<string, string[]> {
  const result = new Map<string, string[]>([["", []]]);
  let name = "";
  for (const line of text.split("\n").filter((l) => l !== "" && !l.startsWith("#"))) {
    const header = /^\[(.*)\]$/.exec(line)?.[1];
    if (header === undefined) result.get(name)!.push(line);
    else {
      assert(!result.has(header), `table ${header} twice`);
      result.set(name = header, []);
    }
  }
  return result;
}

Deno.test("versions as distributions print them", () => {
  const said: [string, ReturnType<typeof parseContainerdVersion>][] = [
    ["containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", {
      major: 1,
      minor: 6,
      patch: 20,
    }],
    ["containerd containerd.io 1.7.27 05044ec0a9a75232cad458027ca83437aae3f4da\n", {
      major: 1,
      minor: 7,
      patch: 27,
    }],
    ["containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7", { major: 2, minor: 1, patch: 4 }],
    ["containerd github.com/containerd/containerd/v2 v2.2.0-rc.0 abc", { major: 2, minor: 2, patch: 0 }],
    ["runc version 1.1.5", undefined],
    ["", undefined],
  ];
  for (const [text, version] of said) assertEquals(parseContainerdVersion(text), version);
});

Deno.test("containerd 1.6: version 2, everything of CRI in one plugin", () => {
  const t = tables(generateConfig(CONFIG));
  assert(t.get("")!.includes("version = 2"));
  assert(t.get("")!.includes("oom_score = -999"));
  const cri = t.get('plugins."io.containerd.grpc.v1.cri"')!;
  assert(cri.includes('sandbox_image = "localhost/agent/pause:1"'));
  assert(cri.includes("restrict_oom_score_adj = false"));
  assert(!cri.some((l) => l.startsWith("enable_cdi")), "1.6 does not know CDI");
  assert(!cri.some((l) => l.startsWith("cdi_spec_dirs")));
  assertEquals(t.get('plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options'), [
    'BinaryName = "/usr/sbin/runc"',
    'Root = "/run/agent/containerd/runc"',
    "SystemdCgroup = false",
  ]);
  assertEquals(t.get('plugins."io.containerd.grpc.v1.cri".cni')?.[0], 'bin_dir = "/usr/lib/cni"');
});

Deno.test("containerd 1.7: CDI on, NRI's shared socket off", () => {
  const t = tables(generateConfig({ ...CONFIG, version: { major: 1, minor: 7, patch: 0 } }));
  assert(t.get('plugins."io.containerd.grpc.v1.cri"')!.includes("enable_cdi = true"));
  const dirs = 'cdi_spec_dirs = ["/etc/cdi", "/run/cdi"]';
  assert(t.get('plugins."io.containerd.grpc.v1.cri"')!.includes(dirs));
  assertEquals(t.get('plugins."io.containerd.nri.v1.nri"'), ["disable = true"]);
});

Deno.test("containerd 2.x: version 3, split plugins, several CNI directories from 2.1", () => {
  const of = (minor: number) => tables(generateConfig({ ...CONFIG, version: { major: 2, minor, patch: 0 } }));
  const t = of(0);
  const dirs = 'cdi_spec_dirs = ["/etc/cdi", "/run/cdi"]';
  assert(t.get('plugins."io.containerd.cri.v1.runtime"')!.includes(dirs));
  assert(t.get("")!.includes("version = 3"));
  assertEquals(t.get('plugins."io.containerd.cri.v1.images".pinned_images'), [
    'sandbox = "localhost/agent/pause:1"',
  ]);
  assertEquals(t.get('plugins."io.containerd.cri.v1.runtime".cni')?.[0], 'bin_dir = "/usr/lib/cni"');
  assertEquals(of(1).get('plugins."io.containerd.cri.v1.runtime".cni')?.[0], 'bin_dirs = ["/usr/lib/cni"]');
  assert(![...t.keys()].some((k) => k.includes('grpc.v1.cri".')), "the old plugin keeps streaming only");
});

Deno.test("what the machine demands is in the file", () => {
  const text = generateConfig({
    ...CONFIG,
    cgroupDriver: "systemd",
    restrictOomScoreAdj: true,
    snapshotter: "native",
  });
  assertStringIncludes(text, "SystemdCgroup = true");
  assertStringIncludes(text, "restrict_oom_score_adj = true");
  assertStringIncludes(text, 'snapshotter = "native"');
  assert(!text.includes("oom_score = -999"));
  const disabled = /^disabled_plugins = (\[.*\])$/m.exec(text)![1]!;
  assert(!JSON.parse(disabled).includes("io.containerd.snapshotter.v1.native"));
});

Deno.test("a path cannot break out of its string", () => {
  const root = 'a"\nversion = 1\\';
  const line = generateConfig({ ...CONFIG, root }).split("\n").find((l) => l.startsWith("root = "))!;
  assertEquals(JSON.parse(line.slice("root = ".length)), root);
});

Deno.test("further OCI runtimes are handlers of their own, each with its own state", () => {
  for (
    const [version, plugin] of [[CONFIG.version, "grpc.v1.cri"], [
      { major: 2, minor: 1, patch: 0 },
      "cri.v1.runtime",
    ]] as const
  ) {
    const t = tables(generateConfig({ ...CONFIG, version, runtimes: { crun: "/usr/bin/crun" } }));
    const options = (name: string) =>
      t.get(`plugins."io.containerd.${plugin}".containerd.runtimes.${name}.options`);
    assertEquals(options("crun")?.slice(0, 2), [
      'BinaryName = "/usr/bin/crun"',
      'Root = "/run/agent/containerd/crun"',
    ]);
    assertEquals(options("runc")?.slice(0, 2), [
      'BinaryName = "/usr/sbin/runc"',
      'Root = "/run/agent/containerd/runc"',
    ]);
  }
});
