import { assertEquals } from "@std/assert";
import { type AdmissionNode, admitPods, type Verdicts, whyNot } from "../../../../agent/model/admission.ts";
import type { Pod, PodSpec } from "../../../../agent/model/gen/v1.ts";
import type { DesiredPod } from "../../../../agent/model/wish.ts";
import { defaultPod } from "../../../../agent/model/defaults.ts";
import { matchesNode, nodeLabels } from "../../../../agent/model/node_affinity.ts";
import { checkSysctlPattern, isAllowedSysctl } from "../../../../agent/model/sysctls.ts";
import { parseLoadedProfiles } from "../../../../agent/model/apparmor.ts";

const node: AdmissionNode = {
  name: "box",
  labels: nodeLabels("box", "amd64", { disk: "ssd", gen: "7" }),
  maxPods: 3,
  allocatable: { cpu: 2, memory: 2 ** 30 },
  kernel: "6.1.0-18-amd64",
  allowedUnsafeSysctls: ["kernel.msg*", "net/core/somaxconn"],
};

const podOf = (spec: Partial<PodSpec> = {}, name = "web", labels: Record<string, string> = {}): Pod =>
  defaultPod({
    metadata: { name, namespace: "default", uid: name, labels },
    spec: { containers: [{ name: "main", image: "a:1" }], ...spec },
  });
const refusal = (spec: Partial<PodSpec>, more: Partial<AdmissionNode> = {}) => {
  const end = whyNot(podOf(spec), { ...node, ...more });
  return end && `${end.reason}: ${end.message}`;
};

Deno.test("nodeSelector, and nodeAffinity with every operator, decide by the node's labels and name", () => {
  const label = (key: string, operator: string, ...values: string[]) =>
    matches([{ matchExpressions: [{ key, operator, values }] }]);
  const name = (operator: string, ...values: string[]) =>
    matches([{ matchFields: [{ key: "metadata.name", operator, values }] }]);
  const matches = (nodeSelectorTerms: object[]) =>
    matchesNode(
      podOf({
        affinity: {
          nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } as never,
        },
      }),
      node,
    );
  assertEquals([label("disk", "In", "hdd", "ssd"), label("disk", "In", "hdd"), label("no", "In", "x")], [
    true,
    false,
    false,
  ]);
  assertEquals([label("disk", "NotIn", "ssd"), label("disk", "NotIn", "hdd"), label("no", "NotIn", "x")], [
    false,
    true,
    true,
  ]);
  assertEquals([label("disk", "Exists"), label("no", "Exists")], [true, false]);
  assertEquals([label("disk", "DoesNotExist"), label("no", "DoesNotExist")], [false, true]);
  assertEquals([label("gen", "Gt", "6"), label("gen", "Gt", "7"), label("disk", "Gt", "1")], [
    true,
    false,
    false,
  ]);
  assertEquals([label("gen", "Lt", "8"), label("gen", "Lt", "7"), label("no", "Lt", "1")], [
    true,
    false,
    false,
  ]);
  assertEquals([name("In", "box"), name("In", "other"), name("NotIn", "box")], [true, false, false]);
  const yes = { matchExpressions: [{ key: "disk", operator: "Exists" }] };
  const no = { matchExpressions: [{ key: "no", operator: "Exists" }] };
  assertEquals([matches([no, yes]), matches([no]), matches([]), matches([{}])], [true, false, false, false]);
  assertEquals(matches([{ matchExpressions: [...yes.matchExpressions, ...no.matchExpressions] }]), false);
  const selects = (nodeSelector: Record<string, string>) => matchesNode(podOf({ nodeSelector }), node);
  assertEquals([selects({ disk: "ssd" }), selects({ disk: "ssd", no: "" }), selects({})], [
    true,
    false,
    true,
  ]);
  assertEquals(selects({ "kubernetes.io/hostname": "box", "kubernetes.io/os": "linux" }), true);
  assertEquals(selects({ "kubernetes.io/arch": "arm64" }), false);
  assertEquals(
    refusal({ nodeSelector: { disk: "hdd" } }),
    "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
  );
});

Deno.test("os.name, the kubernetes.io/os label and supplementalGroupsPolicy Strict are refused where they cannot be kept", () => {
  assertEquals(
    refusal({ os: { name: "windows" } }),
    "PodOSNotSupported: Failed to admit pod as the OS field doesn't match node OS",
  );
  assertEquals(refusal({ os: { name: "linux" } }), undefined);
  assertEquals(
    whyNot(podOf({}, "web", { "kubernetes.io/os": "windows" }), node)?.reason,
    "PodOSSelectorNodeLabelDoesNotMatch",
  );
  const strict = { securityContext: { supplementalGroupsPolicy: "Strict" } };
  assertEquals(refusal(strict, { supplementalGroupsPolicy: true }), undefined);
  assertEquals(
    refusal(strict, { supplementalGroupsPolicy: false }),
    "SupplementalGroupsPolicyNotSupported: SupplementalGroupsPolicy=Strict is not supported in this node: " +
      "the container runtime lacks it",
  );
});

Deno.test("sysctls: the safe ones of this kernel, and allowedUnsafeSysctls with prefixes and slashes", () => {
  const allowed = (name: string, kernel = node.kernel) =>
    isAllowedSysctl(name, kernel, node.allowedUnsafeSysctls);
  assertEquals(allowed("net.ipv4.tcp_syncookies"), true);
  assertEquals(allowed("net/ipv4/tcp_syncookies"), true);
  assertEquals([allowed("net.ipv4.tcp_rmem"), allowed("net.ipv4.tcp_rmem", "4.9.1")], [true, false]);
  assertEquals([allowed("kernel.msgmax"), allowed("kernel.shmmax")], [true, false]);
  assertEquals([allowed("net.core.somaxconn"), allowed("net.core.rmem_max")], [true, false]);
  assertEquals(
    refusal({ securityContext: { sysctls: [{ name: "kernel.shmmax", value: "1" }] } }),
    'SysctlForbidden: forbidden sysctl: "kernel.shmmax" not allowlisted ' +
      "(allowedUnsafeSysctls in the configuration allows more)",
  );
  assertEquals(
    ["net.*", "kernel.sem", "fs.mqueue.*", "net/ipv4/conf/eth0.1/rp_filter"].map(checkSysctlPattern),
    [
      undefined,
      undefined,
      undefined,
      undefined,
    ],
  );
  assertEquals(
    ["vm.*", "*", "net.**", "Net.x"].map((p) => checkSysctlPattern(p) !== undefined),
    [true, true, true, true],
  );
});

Deno.test("AppArmor: refused where the host has none or the profile is not loaded, Unconfined never", () => {
  const apparmor = parseLoadedProfiles("cri-containerd.apparmor.d (enforce)\nmine (complain)\n");
  const of = (type: string, localhostProfile?: string) => ({
    securityContext: { appArmorProfile: { type, ...(localhostProfile && { localhostProfile }) } },
  });
  const off = "AppArmor: Cannot enforce AppArmor: AppArmor is not enabled on the host";
  assertEquals([refusal(of("RuntimeDefault")), refusal(of("Localhost", "mine"))], [off, off]);
  assertEquals(refusal(of("Unconfined")), undefined);
  assertEquals(refusal(of("RuntimeDefault"), { apparmor }), undefined);
  assertEquals(refusal(of("Localhost", "mine"), { apparmor }), undefined);
  assertEquals(
    refusal(of("Localhost", "other"), { apparmor }),
    'AppArmor: Cannot enforce AppArmor: profile "other" is not loaded',
  );
});

/** Verdicts of pods in the order of their names, `ok` for those that are taken. */
function judge(
  pods: Record<string, Partial<PodSpec>>,
  options: {
    taken?: string[];
    before?: Verdicts;
    finished?: string[];
    was?: Record<string, Partial<PodSpec>>;
  } = {},
) {
  const desired = Object.entries(pods).map(([name, spec]) => ({
    pod: podOf(spec, name),
    uid: name,
    source: "file" as const,
    origin: `${name}.yaml`,
  }));
  const verdicts = options.before ?? new Map(options.taken?.map((uid) => [uid, undefined]));
  const was = new Map(Object.entries(options.was ?? {}).map(([name, spec]) => [name, podOf(spec, name)]));
  return admitPods(desired, { verdicts, pods: was }, (uid) => options.finished?.includes(uid) === true, node);
}
const told = (verdicts: Verdicts) =>
  Object.fromEntries([...verdicts].sort().map(([uid, end]) => [uid, end === undefined ? "ok" : end.reason]));
const asks = (requests: Record<string, string>, more: Partial<PodSpec> = {}): Partial<PodSpec> => ({
  containers: [{ name: "main", image: "a:1", resources: { requests } }],
  ...more,
});

Deno.test("requests must fit into what is allocatable, maxPods into the node; what has ended takes no place", () => {
  const pods = {
    a: asks({ cpu: "1500m" }),
    b: asks({ cpu: "600m" }),
    c: asks({ cpu: "500m", memory: "2Gi" }),
  };
  assertEquals(told(judge(pods)), { a: "ok", b: "OutOfcpu", c: "OutOfmemory" });
  assertEquals(
    judge(pods).get("b")?.message,
    "Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000",
  );
  assertEquals(told(judge(pods, { taken: ["b"] })), { a: "OutOfcpu", b: "ok", c: "OutOfmemory" });
  assertEquals(told(judge(pods, { taken: ["a"], finished: ["a"] })), { a: "ok", b: "ok", c: "OutOfmemory" });
  const four = { a: {}, b: {}, c: {}, d: {} };
  assertEquals(told(judge(four)), { a: "ok", b: "ok", c: "ok", d: "OutOfpods" });
  assertEquals(told(judge({ a: asks({ cpu: "1" }, { overhead: { cpu: "1500m" } }) })), { a: "OutOfcpu" });
});

Deno.test("pressure keeps new pods of the API server out, and what was taken before stays", () => {
  const of = (uid: string): DesiredPod => {
    const { metadata, ...pod } = podOf({}, uid);
    const annotations = { "kubernetes.io/config.source": "api" };
    return { pod: { ...pod, metadata: { ...metadata, annotations } }, uid, source: "api", origin: "API" };
  };
  const before = { verdicts: new Map([["old", undefined]]), pods: new Map<string, Pod>() };
  const short: AdmissionNode = { ...node, pressures: new Set(["MemoryPressure"]) };
  const verdicts = admitPods([of("old"), of("new")], before, () => false, short);
  assertEquals(told(verdicts), { old: "ok", new: "Evicted" });
  const later = admitPods([of("old"), of("new")], { ...before, verdicts }, () => false, node);
  assertEquals(told(later), { old: "ok", new: "Evicted" }, "the API server has been told");
});

Deno.test("a pod that runs keeps its place, whatever its edit asks for, unless priorityClassName or priority needs it", () => {
  assertEquals(told(judge({ a: asks({ cpu: "9" }) }, { taken: ["a"] })), { a: "ok" });
  const urgent = asks({ cpu: "2" }, { priorityClassName: "system-node-critical" });
  const first = judge({ a: asks({ cpu: "1" }), b: urgent, c: asks({}) }, { taken: ["a", "c"] });
  assertEquals(told(first), { a: "Preempting", b: "ok", c: "ok" });
  const again = judge({ a: asks({ cpu: "1" }), b: urgent, c: asks({}) }, { before: first });
  assertEquals(told(again), told(first));
  assertEquals(told(judge({ a: asks({ cpu: "1" }), c: asks({}) }, { before: again })), { a: "ok", c: "ok" });
  const same = asks({ cpu: "2" }, { priority: 0 });
  assertEquals(told(judge({ a: asks({ cpu: "1" }), b: same }, { taken: ["a"] })), { a: "ok", b: "OutOfcpu" });
});

Deno.test("host ports belong to whom they were given; other addresses and protocols are other ports", () => {
  const port = (hostPort: number, more: object = {}): Partial<PodSpec> => ({
    containers: [{ name: "main", image: "a:1", ports: [{ containerPort: 80, hostPort, ...more }] }],
  });
  assertEquals(told(judge({ a: port(8080), b: port(8080) })), { a: "ok", b: "NodePorts" });
  assertEquals(told(judge({ a: port(8080), b: port(8080) }, { taken: ["b"] })), { a: "NodePorts", b: "ok" });
  assertEquals(
    judge({ a: port(8080), b: port(8080) }).get("b")?.message,
    "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports (default/a has 8080/TCP)",
  );
  assertEquals(told(judge({ a: port(8080), b: port(8080, { protocol: "UDP" }) })), { a: "ok", b: "ok" });
  const [one, two] = [{ hostIP: "192.0.2.1" }, { hostIP: "192.0.2.2" }];
  assertEquals(told(judge({ a: port(8080, one), b: port(8080, two) })), { a: "ok", b: "ok" });
  const running = { taken: ["a", "b"], was: { a: {}, b: port(8080) } };
  assertEquals(told(judge({ a: port(8080), b: port(8080) }, running)), { a: "NodePorts", b: "ok" });
  assertEquals(told(judge({ a: port(8080), b: port(8081) }, running)), { a: "ok", b: "ok" });
  const urgent = { ...port(8080), priorityClassName: "system-node-critical" };
  assertEquals(told(judge({ a: urgent, b: port(8080) }, { taken: ["b"] })), { a: "NodePorts", b: "ok" });
  const ended = { taken: ["b"], finished: ["b"] };
  assertEquals(told(judge({ a: port(8080), b: port(8080) }, ended)), { a: "ok", b: "ok" });
  const onHost = { hostNetwork: true, ...port(80) };
  assertEquals(told(judge({ a: onHost, b: port(80, one) })), { a: "ok", b: "NodePorts" });
});

Deno.test("labels decide on pods of the API server only before they run, and once they are known", () => {
  const pod = podOf({ nodeSelector: { disk: "hdd" } });
  const verdict = (source: "api" | "file", wasTaken: boolean, labelsKnown = true) => {
    const desired = { pod, uid: "web", source, origin: "o" };
    const verdicts: Verdicts = wasTaken ? new Map([["web", undefined]]) : new Map();
    return admitPods([desired], { verdicts, pods: new Map() }, () => false, { ...node, labelsKnown })
      .get("web")?.reason;
  };
  assertEquals([verdict("api", false), verdict("api", true), verdict("api", false, false)], [
    "NodeAffinity",
    undefined,
    undefined,
  ]);
  assertEquals([verdict("file", true), verdict("file", false, false)], ["NodeAffinity", "NodeAffinity"]);
});

Deno.test("what the API server was told of its pods is never judged anew, and the ended take no place", () => {
  const big = { resources: { requests: { cpu: "2" } } } as const;
  const of = (name: string, more: object = {}) => {
    const pod = podOf({ containers: [{ name: "main", image: "a:1", ...big }] }, name);
    const metadata = { ...pod.metadata, annotations: { "kubernetes.io/config.source": "api" }, ...more };
    return { pod: { ...pod, metadata }, uid: name, source: "api" as const, origin: "o" };
  };
  const judge = (pods: ReturnType<typeof of>[], verdicts: Verdicts, finished: string[] = []) =>
    [...admitPods(pods, { verdicts, pods: new Map() }, (uid) => finished.includes(uid), node)]
      .map(([uid, end]) => [uid, end?.reason]);
  const refused = judge([of("a"), of("b")], new Map());
  assertEquals(refused, [["a", undefined], ["b", "OutOfcpu"]]);
  const before: Verdicts = new Map([["b", { reason: "OutOfcpu", message: "" }]]);
  assertEquals(judge([of("b"), of("c")], before), [["b", "OutOfcpu"], ["c", undefined]]);
  assertEquals(judge([of("a"), of("c")], new Map(), ["a"]), [["a", undefined], ["c", undefined]]);
  const leaving = of("a", { deletionTimestamp: "2026-01-01T00:00:00Z" });
  assertEquals(judge([leaving, of("c")], new Map()), [["a", undefined], ["c", undefined]]);
  assertEquals(judge([leaving, of("c")], new Map([["a", undefined]])), [["a", undefined], ["c", "OutOfcpu"]]);
  assertEquals(
    refusal({ resourceClaims: [{ name: "gpu" }] })?.split(":")[0],
    "ResourceClaimsNotSupported",
  );
});
