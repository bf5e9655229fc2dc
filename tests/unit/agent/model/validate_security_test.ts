import { assertEquals } from "@std/assert";
import type { PodSecurityContext, PodSpec, SecurityContext } from "../../../../agent/model/gen/v1.ts";
import { parseManifest } from "../../../../agent/model/manifest.ts";

function fields(spec: Partial<PodSpec>, container: SecurityContext = {}, annotations: object = {}): string[] {
  const text = JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web", annotations },
    spec: { containers: [{ name: "main", image: "a:1", securityContext: container }], ...spec },
  });
  return parseManifest("f", text).problems.map((p) =>
    `${p.severity} ${p.field?.replace("spec.containers[0].securityContext", "C")}: ${p.message}`
  );
}
const ofPod = (securityContext: PodSecurityContext, spec: Partial<PodSpec> = {}) =>
  fields({ ...spec, securityContext });

Deno.test("procMount Unmasked, hostUsers and the host's namespaces exclude each other as in the API", () => {
  assertEquals(fields({}, { procMount: "Unmasked" }), [
    "error C.procMount: Unmasked is for pods whose hostUsers is false",
  ]);
  assertEquals(
    fields({ hostUsers: false, hostPID: true, hostIPC: true }).filter((f) => f.includes("beside")),
    [
      "error spec.hostPID: may not stand beside hostUsers: false",
      "error spec.hostIPC: may not stand beside hostUsers: false",
    ],
  );
  assertEquals(fields({ shareProcessNamespace: true, hostPID: true }), [
    "error spec.shareProcessNamespace: stands beside hostPID; expected one of them",
  ]);
});

Deno.test("privileged and the capability SYS_ADMIN cannot do without allowPrivilegeEscalation", () => {
  const wrong = "error C.allowPrivilegeEscalation: may not be false ";
  assertEquals(fields({}, { allowPrivilegeEscalation: false, privileged: true }), [
    wrong + "in a privileged container",
  ]);
  assertEquals(fields({}, { allowPrivilegeEscalation: false, capabilities: { add: ["SYS_ADMIN"] } }), [
    wrong + "with the capability SYS_ADMIN",
  ]);
  assertEquals(fields({}, { capabilities: { add: ["NET_ADMIN"], drop: ["ALL", "no-such"] } }), [
    'error C.capabilities.drop[1]: expected a capability such as NET_ADMIN, or ALL; got "no-such"',
  ]);
});

Deno.test("sysctls: a name, once, and none that hostNetwork or hostIPC makes the host's", () => {
  const net = { name: "net.ipv4.ip_forward", value: "1" };
  assertEquals(ofPod({ sysctls: [net, net, { name: "NO", value: "" }] }), [
    'error spec.securityContext.sysctls[1].name: the sysctl "net.ipv4.ip_forward" stands twice; expected unique ones',
    'error spec.securityContext.sysctls[2].name: expected a sysctl like net.ipv4.ip_forward, got "NO"',
  ]);
  assertEquals(
    ofPod({ sysctls: [net, { name: "kernel/shmmax", value: "1" }] }, { hostNetwork: true, hostIPC: true }),
    [
      "error spec.securityContext.sysctls[0].name: may not be set with hostNetwork: it would be the host's",
      "error spec.securityContext.sysctls[1].name: may not be set with hostIPC: it would be the host's",
    ],
  );
});

Deno.test("profiles: localhostProfile of seccomp is a path below a directory, AppArmor's a name", () => {
  const seccomp = (type: string, localhostProfile?: string) =>
    ofPod({ seccompProfile: { type, ...(localhostProfile !== undefined && { localhostProfile }) } });
  assertEquals(seccomp("Localhost", "a/b.json"), []);
  const at = "error spec.securityContext.seccompProfile";
  const only = `${at}.localhostProfile: expected with type Localhost, and only with it`;
  assertEquals([seccomp("Localhost"), seccomp("Unconfined", "a")], [[only], [only]]);
  const below =
    `${at}.localhostProfile: expected a path below the node's directory of seccomp profiles, got `;
  assertEquals(seccomp("Localhost", "../x"), [below + '"../x"']);
  assertEquals(seccomp("Localhost", "/x"), [below + '"/x"']);
  assertEquals(seccomp("None"), [
    `${at}.type: expected one of RuntimeDefault, Unconfined, Localhost, got "None"`,
  ]);
  assertEquals(ofPod({ appArmorProfile: { type: "Localhost", localhostProfile: " x" } }), [
    "error spec.securityContext.appArmorProfile.localhostProfile: expected the name of a profile, at most 4095 " +
    "characters, without spaces around it",
  ]);
});

Deno.test("AppArmor annotations name containers and profiles, and agree with appArmorProfile", () => {
  const key = (name: string) => `container.apparmor.security.beta.kubernetes.io/${name}`;
  assertEquals(fields({}, {}, { [key("other")]: "unconfined" }), [
    `error metadata.annotations["${key("other")}"]: there is no container "other"`,
  ]);
  assertEquals(fields({}, {}, { [key("main")]: "mine" }), [
    `error metadata.annotations["${key("main")}"]: expected runtime/default, unconfined or localhost/PROFILE`,
  ]);
  const field = { appArmorProfile: { type: "Unconfined" } };
  assertEquals(fields({}, field, { [key("main")]: "unconfined" }), []);
  assertEquals(fields({}, field, { [key("main")]: "runtime/default" }), [
    "error C.appArmorProfile: says something else than the annotation: expected the same, or one of them",
  ]);
});

Deno.test("windowsOptions are an error in a pod for Linux, else without effect; policies have their words", () => {
  const windowsOptions = { runAsUserName: "x" };
  assertEquals(ofPod({ windowsOptions }), [
    "warning spec.securityContext.windowsOptions: windowsOptions has no effect on Linux",
  ]);
  assertEquals(ofPod({ windowsOptions }, { os: { name: "linux" } }).filter((f) => f.startsWith("error")), [
    "error spec.securityContext.windowsOptions: may not stand in a pod whose os is linux",
  ]);
  const policies = { fsGroupChangePolicy: "x", supplementalGroupsPolicy: "x", seLinuxChangePolicy: "x" };
  assertEquals(
    ofPod(policies).filter((f) => f.startsWith("error")).map((f) => f.split(":")[0]),
    Object.keys(policies).map((name) => `error spec.securityContext.${name}`),
  );
});

Deno.test("hostnameOverride stands alone and fits into the kernel; searches fit into resolv.conf", () => {
  assertEquals(fields({ hostnameOverride: "a.example" }), []);
  assertEquals(fields({ hostnameOverride: `${"a".repeat(40)}.${"b".repeat(40)}`, setHostnameAsFQDN: true }), [
    "error spec.hostnameOverride: expected at most 64 characters, as many as the kernel keeps",
    "error spec.hostnameOverride: may not stand beside setHostnameAsFQDN",
  ]);
  const searches = (...list: string[]) => fields({ dnsConfig: { searches: list } });
  assertEquals(searches(".", "example.", "_tcp.example"), []);
  assertEquals(searches("no_.-"), [
    "error spec.dnsConfig.searches[0]: expected at most 253 lowercase letters, digits, '-' and '.', starting and " +
    'ending with a letter or digit, got "no_.-"',
  ]);
  assertEquals(searches(...Array.from({ length: 11 }, (_, i) => `${i}${".a".repeat(100)}`)), [
    "error spec.dnsConfig.searches: expected at most 2048 characters together, with the spaces between them",
  ]);
});
