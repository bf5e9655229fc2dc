// What parseConfig says about wrong input: every problem at once, with its place and what was expected.
import { assert, assertEquals } from "@std/assert";
import { type ConfigInput, parseConfig } from "../../../../agent/config/config.ts";
import { formatProblem } from "../../../../agent/model/errors.ts";

const kubelet = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
const agent = "apiVersion: agent/v1alpha1\nkind: AgentConfiguration\n";

const parse = ({ text, flags = {} }: { text?: string; flags?: ConfigInput["flags"] }) =>
  parseConfig({
    files: text === undefined ? [] : [{ path: "/etc/agent.yaml", text }],
    dropIns: [],
    flags,
    env: {},
    hostname: "node",
  });
const lines = (input: Parameters<typeof parse>[0]) => parse(input).problems.map(formatProblem);

Deno.test("all problems at once, each with its place and what was expected", () => {
  const text = `# node
${kubelet}staticPodPaht: /x
healthzPort: 70000
clusterDNS:
  - 10.0.0.10
  - 10.0.0.300
authentication:
  anonymous:
    enable: true
  webhook: 5
runtimeRequestTimeout: 2 minutes
socket: /x.sock
containerLogMaxSize: 10XB
runOnce: true
logging:
  format: xml
---
${agent}nodeIPs: [10.0.0.1, 10.0.0.2]
hostnameOverride: "bad name"
`;
  assertEquals(
    lines({ text, flags: { "fail-swap-on": "perhaps", "cloud-provider": "external", "runonce": true } }),
    [
      '/etc/agent.yaml:4:1: staticPodPaht: is no key of KubeletConfiguration; did you mean "staticPodPath"?',
      "/etc/agent.yaml:5:1: healthzPort: 70000 is not valid: expected a port from 0 to 65535",
      '/etc/agent.yaml:6:1: clusterDNS: "10.0.0.300" is not valid: expected a list of IP addresses',
      '/etc/agent.yaml:11:5: authentication.anonymous.enable: is no key of KubeletConfiguration; did you mean "authentication.anonymous.enabled"?',
      "/etc/agent.yaml:12:3: authentication.webhook: 5 is not valid: expected a mapping",
      '/etc/agent.yaml:13:1: runtimeRequestTimeout: "2 minutes" is not valid: expected a duration such as 10s or 2m30s',
      "/etc/agent.yaml:14:1: socket: belongs into a document of kind AgentConfiguration",
      '/etc/agent.yaml:15:1: containerLogMaxSize: "10XB" is not valid: expected a quantity such as 10Mi',
      '/etc/agent.yaml:18:3: logging.format: "xml" is not valid: expected one of text, json',
      'flag --fail-swap-on: "perhaps" is not valid: expected true or false',
      "flag --cloud-provider: warning: is not supported yet and has no effect",
      "/etc/agent.yaml:16:1: warning: runOnce: is not supported yet and has no effect",
      "flag --runonce: warning: runOnce: is not supported yet and has no effect",
      "/etc/agent.yaml:22:1: nodeIPs: holds 10.0.0.1, 10.0.0.2: expected at most one IPv4 and one IPv6 address",
      '/etc/agent.yaml:23:1: hostnameOverride: makes the node\'s name "bad name": expected letters, digits, "-" and "." (at most 253)',
    ],
  );
});

Deno.test("what asks for nothing, or for what is done anyway, is no problem: kubeadm writes such things", () => {
  const logging = (size: string) => `logging:\n  options: { json: { infoBufferSize: "${size}" } }\n`;
  assertEquals(lines({ text: `${kubelet}failSwapOn: false\nfailCgroupV1: false\n${logging("0")}` }), []);
  assertEquals(lines({ text: kubelet + logging("8Ki") }), [
    "/etc/agent.yaml:4:3: warning: logging.options: is not supported yet and has no effect",
  ]);
});

const broken: [string, string, string][] = [
  ["not YAML", `${kubelet}a: [1\n`, "/etc/agent.yaml:4:1: is not YAML: Cannot read flow collection"],
  ["a tab", `${kubelet}logging:\n\tformat: json\n`, "/etc/agent.yaml:4:1: a tab indents this line"],
  [
    "a key twice",
    `${kubelet}port: 1\nport: 2\n`,
    "/etc/agent.yaml:4:1: is not YAML: Cannot store mapping pair: duplicated key",
  ],
  [
    "another kind",
    "apiVersion: v1\nkind: Pod\n",
    '/etc/agent.yaml:2:1: is "Pod" of "v1": expected KubeletConfiguration of',
  ],
  ["no mapping", "- a\n", "/etc/agent.yaml: is a list: expected KubeletConfiguration of"],
  ["text", "hello\n", '/etc/agent.yaml: is "hello": expected KubeletConfiguration of'],
];
for (const [name, text, expected] of broken) {
  Deno.test(`a file with ${name} is refused, and a good document beside it is used`, () => {
    const both = parse({ text: `${text}---\n${agent}socket: /good.sock\n` });
    assertEquals(both.problems.length, 1);
    assertEquals(formatProblem(both.problems[0]!).slice(0, expected.length), expected);
    assertEquals(both.config.socket, "/good.sock");
  });
}

Deno.test("an empty file, comments and empty documents say nothing", () => {
  for (const text of ["", "# nothing\n", "---\n---\n# x\n", `---\n${kubelet}\n---\n`]) {
    assertEquals(lines({ text }), []);
  }
});

Deno.test("JSON is YAML, and places are found in it", () => {
  const text = `{"apiVersion":"kubelet.config.k8s.io/v1beta1","kind":"KubeletConfiguration",
  "logging": {"format": "json", "verbosity": -1}, "healthzPort": 5}`;
  const { config, origin, problems } = parse({ text });
  assertEquals([config.logFormat, config.healthzPort, origin.healthzPort], ["json", 5, "/etc/agent.yaml:2"]);
  assertEquals(problems.map(formatProblem), [
    "/etc/agent.yaml:2:33: logging.verbosity: -1 is not valid: expected a whole number, 0 or more",
  ]);
});

const wrongFlags: [string, unknown, string][] = [
  ["root-dir", "relative", "expected an absolute path"],
  ["root-dir", "/a/../b", "expected an absolute path"],
  ["root-dir", "/", "expected a directory of the agent's own"],
  [
    "container-runtime-endpoint",
    "tcp://1.2.3.4:5",
    "expected a unix socket (unix:///run/x.sock), or managed",
  ],
  ["image-service-endpoint", "managed", "expected a unix socket"],
  ["system-reserved", "cpu", "expected NAME=VALUE, separated by commas"],
  ["container-log-max-files", "1", "expected a whole number, 2 or more"],
  ["image-gc-high-threshold", "101", "expected a whole number from 0 to 100"],
  ["pod-cidr", "10.0.0.0/8,10.1.0.0/16", "one IPv4, one IPv6"],
  ["socket", "/" + "s".repeat(107), "has 108 bytes: expected at most 107"],
  ["cgroup-root", "a/../b", "expected a path below the cgroup root"],
];
for (const [flag, value, expected] of wrongFlags) {
  Deno.test(`--${flag}=${String(value).slice(0, 30)} is refused`, () => {
    const problems = parse({ flags: { [flag]: value } }).problems.filter((p) => p.severity === "error");
    assertEquals(problems.map((p) => p.file), [`flag --${flag}`]);
    assert(problems[0]!.message.includes(expected), problems[0]!.message);
  });
}
