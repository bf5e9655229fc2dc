import { assertEquals } from "@std/assert";
import { toSandboxConfig } from "../../../../plugins/cri/translate_sandbox.ts";
import { NamespaceMode, Protocol, SecurityProfile_ProfileType } from "../../../../plugins/rpc/gen/cri.ts";
import { createSandboxSpec } from "../../../contract/specs.ts";

Deno.test("toSandboxConfig: identity, labels and annotations are the kubelet's and ours; the pod cannot forge them", () => {
  const spec = createSandboxSpec({
    name: "web",
    uid: "u1",
    attempt: 2,
    hash: "h",
    annotations: {
      team: "a",
      "agent/sandbox-hash": "forged",
      "kubernetes.io/config.seen": "2026-01-01T00:00:00Z",
    },
  });
  spec.pod.metadata!.labels!["agent/instance"] = "forged";
  const config = toSandboxConfig(spec, "one");
  assertEquals(config.metadata, { name: "web", namespace: "default", uid: "u1", attempt: 2 });
  assertEquals(config.labels, {
    app: "web",
    "io.kubernetes.pod.name": "web",
    "io.kubernetes.pod.namespace": "default",
    "io.kubernetes.pod.uid": "u1",
    "agent/instance": "one",
  });
  assertEquals(config.annotations, {
    team: "a",
    "kubernetes.io/config.source": "file",
    "kubernetes.io/config.hash": "u1",
    "kubernetes.io/config.seen": "2026-01-01T00:00:00Z",
    "agent/sandbox-hash": "h",
    "agent/resources": '{"own":{},"requests":{},"limits":{}}',
    "agent/pod-start": "1700000000000",
  });
  assertEquals(config.dnsConfig, spec.dns);
  assertEquals([config.hostname, config.logDirectory], ["web", spec.logDirectory]);
});

Deno.test("toSandboxConfig: host ports of containers and sidecars, not of init containers, none with the host's network", () => {
  const port = (containerPort: number, hostPort?: number) => ({
    containerPort,
    ...(hostPort ? { hostPort } : {}),
  });
  const containers = [
    { name: "a", ports: [{ ...port(80, 8080), hostIP: "127.0.0.1" }, port(81)] },
    { name: "b", ports: [{ ...port(53, 5353), protocol: "UDP" }] },
  ];
  const initContainers = [
    { name: "init", ports: [port(1, 1001)] },
    { name: "sidecar", restartPolicy: "Always", ports: [{ ...port(2, 1002), protocol: "SCTP" }] },
  ];
  const config = toSandboxConfig(createSandboxSpec({ spec: { containers, initContainers } }), "one");
  assertEquals(config.portMappings, [
    { protocol: Protocol.SCTP, containerPort: 2, hostPort: 1002, hostIp: "" },
    { protocol: Protocol.TCP, containerPort: 80, hostPort: 8080, hostIp: "127.0.0.1" },
    { protocol: Protocol.UDP, containerPort: 53, hostPort: 5353, hostIp: "" },
  ]);
  const host = toSandboxConfig(createSandboxSpec({ spec: { containers, hostNetwork: true } }), "one");
  assertEquals(host.portMappings, []);
});

Deno.test("toSandboxConfig: namespaces", () => {
  const of = (spec: Record<string, boolean>) => {
    const options = toSandboxConfig(createSandboxSpec({ spec }), "one").linux?.securityContext
      ?.namespaceOptions;
    return [options?.network, options?.pid, options?.ipc];
  };
  const { POD, CONTAINER, NODE } = NamespaceMode;
  assertEquals(of({}), [POD, CONTAINER, POD]);
  assertEquals(of({ shareProcessNamespace: true }), [POD, POD, POD]);
  assertEquals(of({ hostNetwork: true, hostPID: true, hostIPC: true }), [NODE, NODE, NODE]);
});

Deno.test("toSandboxConfig: the pod's security context, with the sandbox itself always under the runtime's seccomp profile", () => {
  const securityContext = {
    runAsUser: 1000,
    runAsGroup: 2000,
    fsGroup: 3000,
    supplementalGroups: [4000, 5000],
    supplementalGroupsPolicy: "Strict",
    seccompProfile: { type: "Unconfined" },
    seLinuxOptions: { level: "s0:c1" },
  };
  const spec = createSandboxSpec({ spec: { securityContext } });
  const linux = toSandboxConfig(
    { ...spec, cgroupParent: "/pods/u1", sysctls: { "net.core.somaxconn": "1" } },
    "one",
  )
    .linux!;
  assertEquals([linux.cgroupParent, linux.sysctls], ["/pods/u1", { "net.core.somaxconn": "1" }]);
  const security = linux.securityContext!;
  assertEquals([security.runAsUser, security.runAsGroup], [{ value: 1000n }, { value: 2000n }]);
  assertEquals([security.supplementalGroups, security.supplementalGroupsPolicy], [[3000n, 4000n, 5000n], 1]);
  assertEquals(security.seccomp?.profileType, SecurityProfile_ProfileType.RuntimeDefault);
  assertEquals(security.selinuxOptions, { user: "", role: "", type: "", level: "s0:c1" });
  assertEquals(security.privileged, false);
});

Deno.test("toSandboxConfig: a group without a user, which runtimes refuse, is left out; one privileged container is enough", () => {
  const spec = createSandboxSpec({
    spec: {
      securityContext: { runAsGroup: 2000 },
      containers: [{ name: "a" }, { name: "b", securityContext: { privileged: true } }],
    },
  });
  const security = toSandboxConfig(spec, "one").linux!.securityContext!;
  assertEquals([security.runAsGroup, security.privileged], [undefined, true]);
});
