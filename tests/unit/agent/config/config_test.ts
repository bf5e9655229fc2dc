// parseConfig as a whole: precedence, defaults, private instances; and what formatConfig prints of it.
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { type ConfigInput, parseConfig } from "../../../../agent/config/config.ts";
import { formatConfig, kubeletConfiguration } from "../../../../agent/config/format.ts";

const kubelet = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
const agent = "apiVersion: agent/v1alpha1\nkind: AgentConfiguration\n";

const parse = (input: Partial<ConfigInput> & { text?: string } = {}) =>
  parseConfig({
    files: input.text === undefined ? [] : [{ path: "/etc/agent.yaml", text: input.text }],
    dropIns: [],
    flags: {},
    env: {},
    hostname: "Node-1.Example",
    ...input,
  });

Deno.test("nothing given: the defaults of a node's one agent", () => {
  const { config, origin, problems } = parse();
  assertEquals(problems, []);
  assertEquals(config, {
    rootDir: "/var/lib/kubelet",
    isPrivate: false,
    instanceId: "default",
    nodeName: "node-1.example",
    nodeIPs: [],
    cluster: {
      kubeconfig: "",
      bootstrapKubeconfig: "",
      certDir: "/var/lib/kubelet/pki",
      eventRate: { qps: 50, burst: 100 },
      rotateCertificates: true,
      requestRate: { qps: 50, burst: 100 },
    },
    node: {
      register: true,
      taints: [],
      providerID: "",
      reportFrequency: 300_000,
      leaseDurationSeconds: 40,
      maxImages: 50,
      controllerAttaches: true,
      evictionHard: [
        { signal: "memory.available", amount: 100 * 2 ** 20 },
        { signal: "nodefs.available", part: 0.1 },
        { signal: "nodefs.inodesFree", part: 0.05 },
        { signal: "imagefs.available", part: 0.15 },
        { signal: "imagefs.inodesFree", part: 0.05 },
      ],
      evictionSoft: [],
      evictionMaxPodGrace: 0,
      pressureTransition: 300_000,
      images: { minimumAge: 120_000, maximumAge: 0, high: 85, low: 80 },
    },
    offline: { keyFile: "", maxSize: 64 * 1024 ** 2, maxSilence: 0, obeyTolerations: false },
    stateDir: "/var/lib/kubelet/agent",
    imagesDir: "/var/lib/kubelet/agent/images",
    pluginsDir: "/etc/kubernetes/plugins.d",
    pluginLogsDir: "/var/log/plugins",
    imageCredentialProviders: { path: "", binDir: "" },
    volumesDir: "/var/lib/agent/volumes",
    socket: "/run/agent/agent.sock",
    podLogsDir: "/var/log/pods",
    containerLogsDir: "/var/log/containers",
    hostDevices: [],
    builtinDevices: true,
    cdi: { specDirs: ["/etc/cdi", "/var/run/cdi"], resources: true, appliedBy: "auto" },
    staticPodPath: "/etc/kubernetes/manifests",
    fileCheckFrequency: 20_000,
    nodeStatusUpdateFrequency: 10_000,
    volumeStatsAggPeriod: 60_000,
    containerRuntimeEndpoint: "",
    imageServiceEndpoint: "",
    network: { write: false, bandwidth: false, collectLeaks: true },
    managedRuntime: {
      root: "/var/lib/kubelet/agent/containerd",
      state: "/run/agent/containerd",
      socket: "/run/agent/containerd/containerd.sock",
      configPath: "/var/lib/kubelet/agent/containerd/config.toml",
      logPath: "/var/lib/kubelet/agent/containerd/containerd.log",
      binDirs: [],
      cniConfDir: "/etc/cni/net.d",
      cniBinDirs: [],
      registryConfigDir: "/etc/containerd/certs.d",
      runtimes: {},
    },
    deviceWait: 300_000,
    cgroupRoot: "/",
    cgroupDriver: "",
    podPidsLimit: -1,
    cpu: { enforced: true, period: 100_000 },
    kubeletApi: {
      enabled: true,
      address: "0.0.0.0",
      port: 10250,
      readOnlyPort: 0,
      certFile: "",
      keyFile: "",
      minVersion: "TLSv1.2",
      serverTLSBootstrap: false,
      clientCAFile: "",
      tokens: true,
      tokenTTL: 120_000,
      anonymous: false,
      alwaysAllow: false,
      allowTTL: 300_000,
      denyTTL: 30_000,
      debugging: true,
      systemLogs: true,
      sessionIdle: 4 * 3_600_000,
    },
    healthzBindAddress: "127.0.0.1",
    healthzPort: 10248,
    clusterDNS: [],
    clusterDomain: "",
    resolvConf: "/etc/resolv.conf",
    seccompDefault: false,
    topology: { name: "none", scope: "container", preferClosest: false, maxNodes: 8 },
    reserved: { cpu: 0, memory: 0, ephemeralStorage: 0 },
    userNamespaceIds: 65536,
    nodeLabels: {},
    maxPods: 110,
    podsPerCore: 0,
    allowedUnsafeSysctls: [],
    serializeImagePulls: false,
    maxParallelImagePulls: 3,
    backOff: { base: 10_000, cap: 300_000, resetAfter: 600_000 },
    evictionBackOff: { base: 300_000, cap: 3_600_000 },
    containerLogMaxSize: 10 * 2 ** 20,
    containerLogMaxFiles: 5,
    verbosity: 0,
    logFormat: "text",
  });
  assertEquals(new Set(Object.values(origin)), new Set(["default"]));
});

/** Every path, and what else two agents must not share. */
function claims(flags: Record<string, unknown>): string[] {
  const { config: c, problems } = parse({ flags });
  assertEquals(problems, []);
  const { registryConfigDir: _, ...managed } = c.managedRuntime; // only read
  return [
    c.rootDir,
    c.stateDir,
    c.imagesDir,
    c.volumesDir,
    c.socket,
    c.podLogsDir,
    c.containerLogsDir,
    c.staticPodPath,
    c.pluginsDir,
    c.pluginLogsDir,
    c.cgroupRoot,
    c.instanceId,
    ...c.healthzPort === 0 ? [] : [`port ${c.healthzPort}`],
    ...Object.values(managed).filter((v) => typeof v === "string"),
  ];
}

Deno.test("a root directory alone makes an instance that shares nothing with any other", () => {
  const all = [{}, { "root-dir": "/x" }, { "root-dir": "/x/y" }, { "root-dir": "/srv/b" }].map(claims);
  const flat = all.flat();
  assertEquals(flat.length, new Set(flat).size, "no claim occurs twice");
  for (const claim of all[1]!) assert(/^\/x\/|^\/x$|[0-9a-f]{8}/.test(claim), claim);
  assertEquals(parse({ flags: { "root-dir": "/x" } }).origin.socket, "default of a private instance");
  assertEquals(claims({ "root-dir": "/x/" }), all[1], "a trailing slash is the same directory");
  assertEquals(claims({ "root-dir": "//var/lib/kubelet/" }), all[0], "the default by another spelling");
});

Deno.test("sockets of a private instance fit however deep its root is", () => {
  const { config, problems } = parse({ flags: { "root-dir": "/very".repeat(60) } });
  assertEquals(problems, []);
  assert(config.managedRuntime.socket.length < 101);
});

Deno.test("what is given stays given in a private instance; what follows from it follows", () => {
  const { config } = parse({
    flags: { "root-dir": "/x", "pod-logs-dir": "/logs/p", "healthz-port": "10248" },
  });
  assertEquals([config.podLogsDir, config.containerLogsDir, config.healthzPort], [
    "/logs/p",
    "/logs/containers",
    10248,
  ]);
});

Deno.test("later wins: file, drop-ins by name, environment, flags", () => {
  const drop = (path: string, text: string) => ({ path, text: kubelet + text });
  const { config, origin, problems } = parse({
    text: `${kubelet}clusterDomain: a\nclusterDNS: [10.0.0.1, 10.0.0.2]\nhealthzPort: 1\n` +
      `containerLogMaxFiles: 7\n---\n${agent}socket: /a.sock\nrootDir: /a\n`,
    dropIns: [
      drop("/etc/d/20.conf", "healthzPort: 3\n"),
      drop("/etc/d/10.conf", "clusterDNS: [fd00::1]\nhealthzPort: 2\nclusterDomain: b\n"),
      drop("/etc/d/30.yaml", "healthzPort: 9\n"),
    ],
    env: { AGENT_SOCKET: "/env.sock", AGENT_ROOT_DIR: "/env" },
    flags: { "root-dir": "/flag", "cluster-domain": "c" },
  });
  assertEquals(problems, []);
  assertEquals(config.clusterDNS, ["fd00::1"], "a list is replaced as a whole");
  assertEquals([config.healthzPort, config.clusterDomain, config.containerLogMaxFiles], [3, "c", 7]);
  assertEquals([config.socket, config.rootDir], ["/env.sock", "/flag"]);
  assertEquals(
    ["clusterDNS", "healthzPort", "clusterDomain", "containerLogMaxFiles", "socket", "rootDir", "resolvConf"]
      .map((k) => origin[k]),
    [
      "/etc/d/10.conf:3",
      "/etc/d/20.conf:3",
      "flag --cluster-domain",
      "/etc/agent.yaml:6",
      "environment AGENT_SOCKET",
      "flag --root-dir",
      "default",
    ],
  );
});

Deno.test("zero values that Go programs write are nobody's wish; an empty resolver and no manifests are", () => {
  const { config, problems } = parse({
    text: `${kubelet}fileCheckFrequency: 0s\nruntimeRequestTimeout: 0s\npodLogsDir: ""\nsyncFrequency: 0s\n` +
      `cpuManagerReconcilePeriod: 0s\nstaticPodPath: ""\nresolvConf: ""\nmemorySwap: {}\nlogging:\n  flushFrequency: 0\n`,
  });
  assertEquals(config.fileCheckFrequency, 20_000);
  assertEquals([config.podLogsDir, config.staticPodPath, config.resolvConf], ["/var/log/pods", "", ""]);
  assertEquals(problems.map((p) => p.field), []);
});

Deno.test("pulls: several at once are not one by one", () => {
  const pulls = (text: string) => {
    const { config, problems } = parse({ text: kubelet + text });
    return [config.serializeImagePulls, config.maxParallelImagePulls, problems.length];
  };
  assertEquals(pulls("maxParallelImagePulls: 5"), [false, 5, 0]);
  assertEquals(pulls("serializeImagePulls: false"), [false, 3, 0]);
  assertEquals(pulls("serializeImagePulls: true"), [true, 1, 0]);
  assertEquals(pulls("serializeImagePulls: no\nmaxParallelImagePulls: 2"), [false, 2, 0]);
  assertEquals(pulls("serializeImagePulls: true\nmaxParallelImagePulls: 2"), [true, 1, 1]);
});

Deno.test("CPUs of their own: what is kept for the host, options and what contradicts them", () => {
  const { config, problems } = parse({
    text: `${kubelet}cpuManagerPolicy: static\nsystemReserved: {cpu: 500m, memory: 1Gi}\n` +
      `kubeReserved: {cpu: 250m}\ncpuManagerPolicyOptions: {full-pcpus-only: "true"}\n` +
      `topologyManagerPolicy: restricted\ntopologyManagerPolicyOptions: {max-allowable-numa-nodes: "12"}\n`,
  });
  assertEquals(problems, []);
  assertEquals(config.reserved, { cpu: 0.75, memory: 2 ** 30, ephemeralStorage: 0 });
  assertEquals(config.exclusiveCpus, {
    wholeCores: true,
    distribute: false,
    bySocket: false,
    strictReservation: false,
  });
  assertEquals([config.topology.name, config.topology.maxNodes], ["restricted", 12]);
  const named = parse({ flags: { "reserved-cpus": "0,2-3", "cpu-manager-policy": "static" } });
  assertEquals(named.config.reserved, { cpus: new Set([0, 2, 3]), cpu: 3, memory: 0, ephemeralStorage: 0 });
  const wrong = (text: string) =>
    parse({ text: kubelet + text }).problems.map((p) => `${p.field} ${p.message}`);
  const reserved = "cpuManagerPolicy: static\nreservedSystemCPUs: '0'\n";
  for (
    const [text, says] of [
      ["cpuManagerPolicy: static", "no CPU is kept for the host"],
      ["reservedSystemCPUs: 3-1", 'is "3-1": expected CPUs'],
      ["cpuManagerPolicyOptions: {full-pcpus-only: 'true'}", "expected cpuManagerPolicy: static"],
      [`${reserved}cpuManagerPolicyOptions: {full-pcpus-only: 'yes'}`, "holds full-pcpus-only,yes"],
      [`${reserved}cpuManagerPolicyOptions: {other: 'true'}`, "holds other,true: expected full-pcpus-only"],
      [
        `${reserved}topologyManagerPolicy: single-numa-node\ncpuManagerPolicyOptions: {align-by-socket: 'true'}`,
        "may need several nodes",
      ],
      ["topologyManagerPolicyOptions: {max-allowable-numa-nodes: '17'}", "8 to 16"],
    ] as const
  ) {
    const found = wrong(text);
    assertEquals(found.length, 1, found.join());
    assert(found[0]!.includes(says.replace(",", "=")) || found[0]!.includes(says), found[0]);
  }
});

Deno.test("a silence that is shorter than the Lease's pauses is refused", () => {
  const wrong = (silence: string, lease = 40) =>
    parse({
      text: `${kubelet}nodeLeaseDurationSeconds: ${lease}\n---\n${agent}offline:\n  maxSilence: ${silence}\n`,
    }).problems.map((p) => `${p.field} ${p.message}`);
  assertEquals([wrong("0s"), wrong("20s"), wrong("5s", 8)], [[], [], []]);
  const [said] = wrong("19s");
  assert(said?.startsWith("offline.maxSilence is 19s: expected 0s, or at least 20s"), said);
});

Deno.test("flags of every shape", () => {
  const { config, problems } = parse({
    flags: {
      "cluster-dns": ["10.0.0.10,fd00::10", "10.0.0.11"],
      "node-ip": "10.0.0.1,fd00::1",
      "pod-cidr": "10.1.0.0/16,fd01::/64",
      "serialize-image-pulls": "false",
      "v": 4,
      "container-runtime-endpoint": "/run/containerd/containerd.sock",
      "image-service-endpoint": "unix:///run/images.sock",
      "eviction-hard":
        "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%",
      "fail-swap-on": true,
      "output": "left to the caller",
    },
  });
  assertEquals(problems, [], "the defaults of what is unsupported are no news");
  assertEquals(config.clusterDNS, ["10.0.0.10", "fd00::10", "10.0.0.11"]);
  assertEquals(config.nodeIPs, ["10.0.0.1", "fd00::1"]);
  assertEquals([config.managedRuntime.podCIDR, config.managedRuntime.podCIDRv6], [
    "10.1.0.0/16",
    "fd01::/64",
  ]);
  assertEquals([config.serializeImagePulls, config.verbosity], [false, 4]);
  assertEquals(config.containerRuntimeEndpoint, "unix:///run/containerd/containerd.sock");
  assertEquals(config.imageServiceEndpoint, "unix:///run/images.sock");
});

Deno.test("what is printed as YAML or JSON, read again, is the same configuration", () => {
  const flags = {
    "root-dir": "/x",
    "cluster-dns": "fd00::1",
    "pod-cidr": "10.1.0.0/16,fd01::/64",
    "hostname-override": "n",
    "logging-format": "json",
  };
  const first = parse({ flags });
  assertNotEquals(first.config, parse().config);
  const again = parse({ text: formatConfig(first, "yaml") });
  assertEquals(again.problems, []);
  assertEquals(again.config, first.config);
  const items: unknown[] = JSON.parse(formatConfig(first, "json")).items;
  const json = parse({ text: items.map((i) => JSON.stringify(i)).join("\n---\n") });
  assertEquals([json.problems, json.config], [[], first.config]);
});

Deno.test("what the kubelet's API shows is whole, and may be changed and written back", () => {
  const first = parse({ text: `${kubelet}maxPods: 7\nfailSwapOn: false\n` });
  const shown = kubeletConfiguration(Object.fromEntries(first.values));
  assertEquals([shown.maxPods, shown.hairpinMode, shown.kind], [
    7,
    "promiscuous-bridge",
    "KubeletConfiguration",
  ]);
  const again = parse({ text: JSON.stringify({ ...shown, maxPods: 8 }) });
  assertEquals([again.problems, again.config.maxPods], [[], 8]);
});

Deno.test("the table says where values come from", () => {
  const table = formatConfig(parse({ text: `${kubelet}clusterDNS: [10.0.0.1, 10.0.0.2]\n` }), "table").split(
    "\n",
  );
  const row = (key: string) => table.find((l) => l.startsWith(key + " "))?.split(/ {2,}/);
  assertEquals(row("KEY"), ["KEY", "VALUE", "FROM"]);
  assertEquals(row("clusterDNS"), ["clusterDNS", "10.0.0.1,10.0.0.2", "/etc/agent.yaml:3"]);
  assertEquals(row("nodeIPs"), ["nodeIPs", "-", "default"]);
  assertEquals(row("clusterDomain"), ["clusterDomain", '""', "default"]);
});

Deno.test("in the kubelet's place its defaults count where ours are others, under everything that is said", () => {
  const { config, origin } = parse({ asKubelet: true });
  assertEquals(
    [
      config.staticPodPath,
      config.maxParallelImagePulls,
      config.cluster.rotateCertificates,
      origin.staticPodPath,
    ],
    ["", 1, false, "default of the kubelet"],
  );
  const said = parse({
    asKubelet: true,
    text: `${kubelet}rotateCertificates: true\nserializeImagePulls: false\n`,
  });
  assertEquals([said.config.cluster.rotateCertificates, said.config.maxParallelImagePulls], [true, 3]);
});

Deno.test("a file that was made for a newer kubelet warns of keys that are not known, and is used", () => {
  const text = `${kubelet}newKey: 1\nmaxPods: 9\nmemorySwap: { swapBehavior: NewWord }\n`;
  const { config, problems } = parse({ files: [{ path: "/c.yaml", text, lenient: true }] });
  assertEquals(config.maxPods, 9);
  assertEquals(problems.map((p) => [p.severity, p.line, p.field]), [
    ["warning", 3, "newKey"],
    ["warning", 5, "memorySwap.swapBehavior"],
  ]);
  assertEquals(parse({ text }).problems.filter((p) => p.severity === "error").length, 2);
});
