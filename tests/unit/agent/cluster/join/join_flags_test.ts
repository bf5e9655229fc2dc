/** The flags of `agent join` mean what kubeadm's mean. */
import { assertEquals } from "@std/assert";
import { joinOfFlags } from "../../../../../agent/cluster/join/join_flags.ts";
import type { JoinFlags } from "../../../../../agent/model/join_flags.ts";

const token = "abcdef.0123456789abcdef";
const pin = `sha256:${"a".repeat(64)}`;
const none = { pins: [], unsafeSkipCAVerification: false, ignorePreflightErrors: [], controlPlane: false };
const join = (flags: Partial<JoinFlags>) => {
  const read = joinOfFlags({ ...none, ...flags });
  return "join" in read ? read.join : read.wrong;
};

Deno.test("endpoint, token and pin, as kubeadm prints them", () => {
  assertEquals(join({ endpoint: "192.0.2.1:6443", token, pins: [pin], nodeName: "box" }), {
    discovery: { kind: "token", endpoint: "192.0.2.1:6443", token, pins: [pin] },
    tlsBootstrapToken: token,
    caCertPath: "/etc/kubernetes/pki/ca.crt",
    timeouts: { discovery: 300_000, tlsBootstrap: 300_000 },
    nodeName: "box",
    taints: [],
    kubeletArgs: [],
    ignorePreflightErrors: [],
    skipPhases: [],
    dryRun: false,
  });
});

Deno.test("a discovery file needs no token; with one the certificate is asked for by it", () => {
  const discoveryFile = "/c.conf";
  const found = (flags: Partial<JoinFlags>) => {
    const read = joinOfFlags({ ...none, discoveryFile, ...flags });
    return "join" in read ? [read.join.discovery.kind, read.join.tlsBootstrapToken] : read.wrong;
  };
  assertEquals(found({}), ["file", undefined]);
  assertEquals(found({ token }), ["file", token]);
  assertEquals(found({ tlsBootstrapToken: token }), ["file", token]);
});

Deno.test("what is wrong is said by its flag, all at once, and no token is shown", () => {
  assertEquals(join({ token: "s3cret", controlPlane: true, pins: ["md5:1"] }), [
    "--control-plane: not supported: the agent joins as a worker; a control plane node needs kubeadm and its kubelet",
    "--token: expected a bootstrap token: six, a dot, and sixteen small letters and digits",
    'ENDPOINT: expected HOST:PORT, got ""',
    "--discovery-token-ca-cert-hash: expected sha256: and 64 hexadecimal digits",
  ]);
  assertEquals(join({ endpoint: "a:1", token }), [
    "--discovery-token-ca-cert-hash: required: expected the pin of the cluster's CA, or --discovery-token-unsafe-skip-ca-verification",
  ]);
});
