/** Kubeconfig files: what is understood, what is refused and where, and that ours are read again. */
import { assert, assertEquals } from "@std/assert";
import {
  formatKubeconfig,
  type Kubeconfig,
  parseKubeconfig,
} from "../../../../../agent/cluster/client/kubeconfig.ts";

const pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const keyPem = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";

const text = (cluster: string, user: string) => `
apiVersion: v1
kind: Config
preferences: {}
clusters:
- name: other
  cluster: { server: "https://other.example:6443" }
- name: here
  cluster: { ${cluster} }
users:
- name: me
  user: { ${user} }
contexts:
- name: ctx
  context: { cluster: here, user: me, namespace: x }
current-context: ctx
`;

const problemsOf = (content: string) =>
  parseKubeconfig("/etc/kubernetes/kubelet.conf", content).problems.map((p) =>
    `${p.field ?? ""}: ${p.message}`
  );

Deno.test("the current context's cluster and user are taken; files lie beside the kubeconfig", () => {
  const server = 'server: "https://192.0.2.1:6443/"';
  const { kubeconfig, problems } = parseKubeconfig(
    "/etc/kubernetes/kubelet.conf",
    text(
      `${server}, certificate-authority-data: ${btoa(pem)}, proxy-url: "http://proxy:3128"`,
      "client-certificate: pki/current.pem, client-key: /var/key.pem, tokenFile: token",
    ),
  );
  assertEquals(problems, []);
  assertEquals(kubeconfig, {
    server: "https://192.0.2.1:6443",
    ca: { pem },
    proxyUrl: "http://proxy:3128",
    certificate: { file: "/etc/kubernetes/pki/current.pem" },
    key: { file: "/var/key.pem" },
    tokenFile: "/etc/kubernetes/token",
  });
  const exec =
    `exec: { apiVersion: client.authentication.k8s.io/v1, command: ./get, args: [a], env: [{name: X, value: y}] }`;
  assertEquals(parseKubeconfig("/etc/k/c", text(server, exec)).kubeconfig?.exec, {
    apiVersion: "client.authentication.k8s.io/v1",
    command: "/etc/k/get",
    args: ["a"],
    env: { X: "y" },
    provideClusterInfo: false,
  });
});

Deno.test("a kubeconfig of one cluster without contexts, as cluster-info is, needs no user", () => {
  const info =
    `apiVersion: v1\nkind: Config\nclusters:\n- name: ""\n  cluster: {server: "https://a:6443"}\n` +
    `contexts: null\ncurrent-context: ""\npreferences: {}\nusers: null\n`;
  assertEquals(parseKubeconfig("cluster-info", info), {
    kubeconfig: { server: "https://a:6443" },
    problems: [],
  });
});

Deno.test("what cannot be used is refused with its field", () => {
  const good = 'server: "https://a:6443"';
  assertEquals(problemsOf(""), [": is empty: expected a kubeconfig"]);
  assertEquals(problemsOf(text(`sever: "https://a", ${good}`, "token: t")), [
    'clusters[1].cluster.sever: unknown field "sever"; did you mean "server"?',
  ]);
  assertEquals(problemsOf(text(`${good}, insecure-skip-tls-verify: true`, "username: u, password: p")), [
    "clusters[1].cluster.insecure-skip-tls-verify: the agent never talks to an API server unverified: in its place set " +
    "certificate-authority to the path of the cluster's ca.crt, or certificate-authority-data to its base64",
    "users[0].user.username: not supported: expected a client certificate, a token, tokenFile or exec",
    "users[0].user.password: not supported: expected a client certificate, a token, tokenFile or exec",
  ]);
  assertEquals(problemsOf(text('server: "http://a"', `client-certificate-data: ${btoa("x")}`)), [
    'clusters[1].cluster.server: expected an address such as https://192.0.2.1:6443, got "http://a"',
    "users[0].user.client-certificate-data: expected base64 of PEM with a CERTIFICATE",
    "users[0].user: expected client-certificate and client-key together",
  ]);
  assertEquals(problemsOf(text(good, "token: t").replace("current-context: ctx", "current-context: no")), [
    'current-context: expected the name of a context (there are ctx), got "no"',
    "clusters: expected one cluster, or a current-context",
  ]);
  const [secret] = problemsOf(text(good, "token: [s3cret]"));
  assert(secret !== undefined && !secret.includes("s3cret"), secret);
});

Deno.test("what is written is read again, by another reader of YAML, too", async () => {
  const written: Kubeconfig[] = [
    { server: "https://[2001:db8::1]:6443", ca: { pem }, certificate: { pem }, key: { pem: keyPem } },
    {
      server: "https://a",
      ca: { file: "/ca.crt" },
      proxyUrl: "socks5://p:1",
      token: 'a"b: #c',
      tokenFile: "/t",
    },
    {
      server: "https://a",
      exec: {
        apiVersion: "client.authentication.k8s.io/v1",
        command: "get-token",
        args: ["--x", "a b"],
        env: { A: "b" },
        installHint: "install it",
        provideClusterInfo: true,
      },
    },
    { server: "https://a" },
  ];
  for (const kubeconfig of written) {
    assertEquals(parseKubeconfig("/k", formatKubeconfig(kubeconfig)), { kubeconfig, problems: [] });
  }
  const { default: yaml } = await import("yaml");
  assertEquals(yaml.parse(formatKubeconfig(written[1]!)).users[0].user.token, 'a"b: #c');
});
