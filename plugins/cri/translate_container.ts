/**
 * ContainerSpec → ContainerConfig, by the kubelet's rules (pkg/kubelet/kuberuntime/kuberuntime_container*.go). Pure.
 * Not for: expansion of $(VAR), volumes and devices, which the spec brings resolved.
 */
import type { ContainerSpec } from "../../agent/model/container.ts";
import type { MountEdit } from "../../agent/model/edits.ts";
import type { IdRange } from "../../agent/model/user_namespace.ts";
import { ContainerConfig, LinuxContainerConfig, Mount, MountPropagation, Signal } from "../rpc/gen/cri.ts";
import { containerAnnotations, containerLabels } from "./labels.ts";
import { toCriResources } from "./resources.ts";
import { type SecurityOptions, toContainerSecurity, toIdMappings } from "./security.ts";

/** @throws AgentError CreateContainerConfigError when what the pod asks for cannot be kept (runAsNonRoot). */
export function toContainerConfig(
  spec: ContainerSpec,
  instance: string,
  options: SecurityOptions,
): ContainerConfig {
  const { container, edits } = spec;
  return ContainerConfig.fromPartial({
    metadata: { name: container.name, attempt: spec.attempt },
    image: { image: spec.imageRef, userSpecifiedImage: container.image ?? "" },
    command: spec.command,
    args: spec.args,
    workingDir: container.workingDir ?? "",
    envs: withEdits(spec).map(({ name, value }) => ({ key: name, value })),
    mounts: (edits.mounts ?? []).map((mount) => toMount(mount, spec.sandbox.userNamespace)),
    devices: edits.devices ?? [],
    CDIDevices: (edits.cdiDevices ?? []).map((name) => ({ name })),
    labels: containerLabels(spec, instance),
    annotations: containerAnnotations(spec),
    logPath: spec.logPath,
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    tty: container.tty === true,
    stopSignal: toSignal(container.lifecycle?.stopSignal),
    linux: LinuxContainerConfig.fromPartial({
      resources: toCriResources(spec.linux),
      securityContext: toContainerSecurity(spec, options),
    }),
  });
}

/** The container's own words win over what devices and volumes contribute. */
function withEdits(spec: ContainerSpec): { name: string; value: string }[] {
  const own = new Set(spec.env.map((e) => e.name));
  const contributed = Object.entries(spec.edits.env ?? {}).map(([name, value]) => ({ name, value }));
  return [...contributed.filter((e) => !own.has(e.name)), ...spec.env];
}

/** Files of the host bear the host's ids: what the pod's root owns there is to be root's inside, too. */
function toMount(edit: MountEdit, userNamespace: IdRange | undefined): Mount {
  const mappings = userNamespace === undefined ? [] : toIdMappings(userNamespace);
  return Mount.fromPartial({
    hostPath: edit.hostPath,
    containerPath: edit.containerPath,
    readonly: edit.readonly,
    propagation: toPropagation(edit.propagation),
    recursiveReadOnly: edit.recursiveReadOnly === true,
    selinuxRelabel: edit.selinuxRelabel === true,
    uidMappings: mappings,
    gidMappings: mappings,
    ...(edit.image && { image: { image: edit.image.ref }, imageSubPath: edit.image.subPath }),
  });
}

function toPropagation(propagation: MountEdit["propagation"]): MountPropagation {
  if (propagation === "HostToContainer") return MountPropagation.PROPAGATION_HOST_TO_CONTAINER;
  if (propagation === "Bidirectional") return MountPropagation.PROPAGATION_BIDIRECTIONAL;
  return MountPropagation.PROPAGATION_PRIVATE;
}

/** `SIGTERM`, `SIGRTMIN+1` as lifecycle.stopSignal says them; anything else is the image's own. */
export function toSignal(name: string | undefined): Signal {
  const key = `SIGNAL_${(name ?? "").replace("+", "PLUS").replace("-", "MINUS")}`;
  const value = (Signal as unknown as Record<string, Signal | string | undefined>)[key];
  return typeof value === "number" ? value : Signal.SIGNAL_RUNTIME_DEFAULT;
}
