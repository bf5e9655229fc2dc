/**
 * SandboxSpec → PodSandboxConfig, by the kubelet's rules (pkg/kubelet/kuberuntime/kuberuntime_sandbox*.go). Pure.
 * Not for: what must be resolved before (DNS, hostname, cgroup parent, sysctls), which the spec brings.
 */
import type { SandboxSpec } from "../../agent/model/container.ts";
import type { ContainerPort, Pod } from "../../agent/model/gen/v1.ts";
import {
  LinuxPodSandboxConfig,
  type LinuxSandboxSecurityContext,
  PodSandboxConfig,
  type PortMapping,
  Protocol,
} from "../rpc/gen/cri.ts";
import { sandboxAnnotations, sandboxLabels } from "./labels.ts";
import {
  containersOf,
  int64,
  isPrivileged,
  runtimeDefaultProfile,
  supplementalGroups,
  supplementalGroupsPolicy,
  toApparmor,
  toNamespaceOption,
  toSelinux,
} from "./security.ts";

export function toSandboxConfig(spec: SandboxSpec, instance: string): PodSandboxConfig {
  const { name = "", namespace = "" } = spec.pod.metadata ?? {};
  return PodSandboxConfig.fromPartial({
    metadata: { name, namespace, uid: spec.uid, attempt: spec.attempt },
    hostname: spec.hostname,
    logDirectory: spec.logDirectory,
    dnsConfig: spec.dns,
    portMappings: portMappings(spec.pod),
    labels: sandboxLabels(spec, instance),
    annotations: sandboxAnnotations(spec),
    linux: LinuxPodSandboxConfig.fromPartial({
      cgroupParent: spec.cgroupParent,
      sysctls: spec.sysctls,
      securityContext: sandboxSecurity(spec),
    }),
  });
}

/** Host ports of the containers that live as long as the pod; with the host's network there is nothing to map. */
function portMappings(pod: Pod): PortMapping[] {
  if (pod.spec?.hostNetwork === true) return [];
  const sidecars = (pod.spec?.initContainers ?? []).filter((c) => c.restartPolicy === "Always");
  return [...sidecars, ...(pod.spec?.containers ?? [])]
    .flatMap((c) => c.ports ?? [])
    .filter((port) => (port.hostPort ?? 0) > 0)
    .map(toPortMapping);
}

function toPortMapping(port: ContainerPort): PortMapping {
  return {
    protocol: toProtocol(port.protocol),
    containerPort: port.containerPort,
    hostPort: port.hostPort ?? 0,
    hostIp: port.hostIP ?? "",
  };
}

function toProtocol(name: string | undefined): Protocol {
  if (name === "UDP") return Protocol.UDP;
  return name === "SCTP" ? Protocol.SCTP : Protocol.TCP;
}

/** The sandbox's own process always runs under the runtime's seccomp profile, whatever the containers ask for. */
function sandboxSecurity(spec: SandboxSpec): LinuxSandboxSecurityContext {
  const { pod } = spec;
  const of = pod.spec?.securityContext;
  return {
    namespaceOptions: toNamespaceOption(spec),
    selinuxOptions: toSelinux(of?.seLinuxOptions),
    runAsUser: int64(of?.runAsUser),
    // The runtimes refuse a group without a user.
    runAsGroup: of?.runAsUser === undefined ? undefined : int64(of.runAsGroup),
    readonlyRootfs: false,
    supplementalGroups: supplementalGroups(pod),
    supplementalGroupsPolicy: supplementalGroupsPolicy(pod),
    privileged: containersOf(pod).some(isPrivileged),
    seccomp: runtimeDefaultProfile(),
    apparmor: toApparmor(of?.appArmorProfile),
  };
}
