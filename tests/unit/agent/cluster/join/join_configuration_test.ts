/** JoinConfigurations: what is taken, and every error at once. */
import { assert, assertEquals } from "@std/assert";
import { isEndpoint, parseJoinConfiguration } from "../../../../../agent/cluster/join/join_configuration.ts";

const pin = `sha256:${"ab".repeat(32)}`;
const token = "abcdef.0123456789abcdef";

const discovery = `discovery:
  bootstrapToken:
    token: ${token}
    apiServerEndpoint: "192.0.2.1:6443"
    caCertHashes: ["${pin}"]
`;
const head = (version: string) => `apiVersion: kubeadm.k8s.io/${version}\nkind: JoinConfiguration\n`;

const problemsOf = (text: string) =>
  parseJoinConfiguration("/join.yaml", text).problems.map((p) => `${p.field ?? ""}: ${p.message}`);

Deno.test("both versions of kubeadm's form say the same; other documents are left alone", () => {
  const expected = {
    discovery: { kind: "token", endpoint: "192.0.2.1:6443", token, pins: [pin] },
    tlsBootstrapToken: token,
    caCertPath: "/etc/kubernetes/pki/ca.crt",
    timeouts: { discovery: 60_000, tlsBootstrap: 300_000 },
    nodeName: "box",
    taints: [{ key: "a", effect: "NoSchedule" }],
    kubeletArgs: [{ name: "node-ip", value: "192.0.2.7" }],
    ignorePreflightErrors: ["Swap"],
    skipPhases: [],
    dryRun: false,
  };
  const registration = `nodeRegistration:
  name: box
  taints: [{ key: a, effect: NoSchedule }]
  ignorePreflightErrors: [Swap]
`;
  const v4 = "---\nkind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\n---\n" +
    head("v1beta4") + discovery +
    registration + "  kubeletExtraArgs: [{ name: node-ip, value: 192.0.2.7 }]\ntimeouts: { discovery: 1m }\n";
  const v3 = head("v1beta3") + discovery + "  timeout: 1m\n" + registration +
    "  kubeletExtraArgs: { node-ip: 192.0.2.7 }\n";
  assertEquals(
    parseJoinConfiguration("/join.yaml", v4),
    { join: expected, problems: [] } as unknown as ReturnType<typeof parseJoinConfiguration>,
  );
  assertEquals(
    parseJoinConfiguration("/join.yaml", v3).join,
    expected as unknown as ReturnType<typeof parseJoinConfiguration>["join"],
  );
});

Deno.test("discovery by file needs no token where the file has credentials", () => {
  const { join } = parseJoinConfiguration(
    "/j",
    head("v1beta4") + "discovery: { file: { kubeConfigPath: /etc/info.conf } }\n",
  );
  assertEquals([join?.discovery, join?.tlsBootstrapToken], [
    { kind: "file", path: "/etc/info.conf" },
    undefined,
  ]);
});

Deno.test("all that is wrong is told at once, with its field, and no token is shown", () => {
  assertEquals(problemsOf(""), [": is empty: expected a JoinConfiguration"]);
  assertEquals(problemsOf(head("v1beta5") + discovery), [
    ": expected JoinConfiguration of kubeadm.k8s.io/v1beta4 or kubeadm.k8s.io/v1beta3, got JoinConfiguration of " +
    'kubeadm.k8s.io/v1beta5; did you mean "kubeadm.k8s.io/v1beta4"?',
  ]);
  assertEquals(problemsOf(head("v1beta4") + discovery.replace("caCertHashes", "caCertHash")), [
    'discovery.bootstrapToken.caCertHash: unknown field "caCertHash"; did you mean "caCertHashes"?',
  ]);
  const wrong = problemsOf(
    head("v1beta4") +
      "controlPlane: {}\nskipPhases: [preflight, etcd]\ndiscovery:\n  bootstrapToken: { token: s3cret, apiServerEndpoint: a }\n" +
      "timeouts: { discovery: soon }\n",
  );
  assertEquals(wrong.map((w) => w.slice(0, w.indexOf(":"))), [
    "controlPlane",
    "skipPhases[1]",
    "discovery.bootstrapToken.token",
    "discovery.bootstrapToken.apiServerEndpoint",
    "discovery.bootstrapToken.caCertHashes",
    "timeouts.discovery",
  ]);
  assert(!wrong.join().includes("s3cret"));
  assertEquals(problemsOf(head("v1beta4") + "discovery: {}\n"), [
    "discovery: expected exactly one of bootstrapToken and file",
  ]);
});

Deno.test("endpoints are a host and a port", () => {
  for (const good of ["192.0.2.1:6443", "api.example:443", "[2001:db8::1]:6443"]) {
    assert(isEndpoint(good), good);
  }
  for (const bad of ["", "a", "https://a:1", "a:1/x", "2001:db8::1:6443", "a:b", "a:999999"]) {
    assert(!isEndpoint(bad), bad);
  }
});
