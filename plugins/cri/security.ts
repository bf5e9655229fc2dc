/**
 * Security contexts: the pod's and the container's joined (the container wins), and said in CRI's words, by the
 * kubelet's rules (pkg/securitycontext, pkg/kubelet/kuberuntime/security_context*.go). Pure.
 */
import { apparmorProfileOf } from "../../agent/model/apparmor.ts";
import type { ContainerSpec, SandboxSpec } from "../../agent/model/container.ts";
import { AgentError } from "../../agent/model/errors.ts";
import type {
  AppArmorProfile,
  Container,
  Pod,
  PodSecurityContext,
  SeccompProfile,
  SecurityContext,
  SELinuxOptions,
} from "../../agent/model/gen/v1.ts";
import type { IdRange } from "../../agent/model/user_namespace.ts";
import {
  type IDMapping,
  type Int64Value,
  LinuxContainerSecurityContext,
  NamespaceMode,
  type NamespaceOption,
  SecurityProfile,
  SecurityProfile_ProfileType as ProfileType,
  type SELinuxOption,
  SupplementalGroupsPolicy,
  type UserNamespace,
} from "../rpc/gen/cri.ts";

export interface SecurityOptions {
  /** Directory of Localhost seccomp profiles. */
  seccompRoot: string;
  /** Containers that name no profile get the runtime's own instead of none (KubeletConfiguration seccompDefault). */
  seccompDefault: boolean;
}

/** What the runtimes hide in /proc and /sys when procMount is Default (kubelet pkg/securitycontext/util.go). */
const MASKED_PATHS = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];
const READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** The container's context with the pod's values where it has none of its own. */
export function effectiveSecurity(pod: Pod, container: Container): SecurityContext {
  const of: PodSecurityContext = pod.spec?.securityContext ?? {};
  const inherited: SecurityContext = {};
  if (of.runAsUser !== undefined) inherited.runAsUser = of.runAsUser;
  if (of.runAsGroup !== undefined) inherited.runAsGroup = of.runAsGroup;
  if (of.runAsNonRoot !== undefined) inherited.runAsNonRoot = of.runAsNonRoot;
  if (of.seLinuxOptions !== undefined) inherited.seLinuxOptions = of.seLinuxOptions;
  if (of.seccompProfile !== undefined) inherited.seccompProfile = of.seccompProfile;
  return { ...inherited, ...container.securityContext };
}

/** Every container of a pod, init containers first, ephemeral ones last. */
export function containersOf(pod: Pod): Container[] {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {};
  return [...initContainers, ...containers, ...ephemeralContainers];
}

export const isPrivileged = (container: Container): boolean => container.securityContext?.privileged === true;

export function toNamespaceOption({ pod, userNamespace }: SandboxSpec): NamespaceOption {
  const spec = pod.spec;
  const shared = spec?.shareProcessNamespace === true ? NamespaceMode.POD : NamespaceMode.CONTAINER;
  return {
    network: spec?.hostNetwork === true ? NamespaceMode.NODE : NamespaceMode.POD,
    pid: spec?.hostPID === true ? NamespaceMode.NODE : shared,
    ipc: spec?.hostIPC === true ? NamespaceMode.NODE : NamespaceMode.POD,
    targetId: "",
    ...(userNamespace && { usernsOptions: toUserNamespace(userNamespace) }),
  };
}

/** The processes of another container; where all of the pod share them that is so anyway. */
const withTarget = (options: NamespaceOption, targetId: string | undefined): NamespaceOption =>
  targetId === undefined || options.pid !== NamespaceMode.CONTAINER
    ? options
    : { ...options, pid: NamespaceMode.TARGET, targetId };
/** The pod's ids from 0 on are those of the host from `first` on, for users and groups alike. */
export const toIdMappings = ({ first, length }: IdRange): IDMapping[] => [
  { hostId: first, containerId: 0, length },
];

const toUserNamespace = (range: IdRange): UserNamespace => ({
  mode: NamespaceMode.POD,
  uids: toIdMappings(range),
  gids: toIdMappings(range),
});

export const int64 = (value: number | undefined): Int64Value | undefined =>
  value === undefined ? undefined : { value: BigInt(value) };

export function supplementalGroups(pod: Pod): bigint[] {
  const of = pod.spec?.securityContext;
  const groups = [...(of?.fsGroup === undefined ? [] : [of.fsGroup]), ...(of?.supplementalGroups ?? [])];
  return groups.map(BigInt);
}

export function supplementalGroupsPolicy(pod: Pod): SupplementalGroupsPolicy {
  const strict = pod.spec?.securityContext?.supplementalGroupsPolicy === "Strict";
  return strict ? SupplementalGroupsPolicy.Strict : SupplementalGroupsPolicy.Merge;
}

export function toSelinux(options: SELinuxOptions | undefined): SELinuxOption | undefined {
  if (options === undefined) return undefined;
  const { user = "", role = "", type = "", level = "" } = options;
  return { user, role, type, level };
}

export const runtimeDefaultProfile = (): SecurityProfile =>
  SecurityProfile.fromPartial({ profileType: ProfileType.RuntimeDefault });

export function toSeccomp(profile: SeccompProfile | undefined, options: SecurityOptions): SecurityProfile {
  const unconfined = SecurityProfile.fromPartial({ profileType: ProfileType.Unconfined });
  switch (profile?.type) {
    case undefined:
      return options.seccompDefault ? runtimeDefaultProfile() : unconfined;
    case "RuntimeDefault":
      return runtimeDefaultProfile();
    case "Localhost": {
      const path = profile.localhostProfile ?? "";
      if (path === "") {
        throw configError('localhostProfile must be set if seccompProfile type is "Localhost"');
      }
      return { profileType: ProfileType.Localhost, localhostRef: `${options.seccompRoot}/${path}` };
    }
    default:
      return unconfined;
  }
}

/** `undefined` leaves the choice to the runtime, which takes its default profile where AppArmor is on. */
export function toApparmor(profile: AppArmorProfile | undefined): SecurityProfile | undefined {
  switch (profile?.type) {
    case "RuntimeDefault":
      return runtimeDefaultProfile();
    case "Unconfined":
      return SecurityProfile.fromPartial({ profileType: ProfileType.Unconfined });
    case "Localhost":
      return { profileType: ProfileType.Localhost, localhostRef: profile.localhostProfile ?? "" };
    default:
      return undefined;
  }
}

/** Numeric uid, a user's name, or root where the image says nothing. */
function parseImageUser(imageUser: string): { uid?: number; name: string } {
  const user = imageUser.split(":")[0]!;
  if (user === "") return { uid: 0, name: "" };
  return /^\d+$/.test(user) ? { uid: Number(user), name: "" } : { name: user };
}

/** Throws CreateContainerConfigError, in the kubelet's words, when runAsNonRoot is asked for and cannot be kept. */
function checkNonRoot(spec: ContainerSpec, security: SecurityContext): void {
  if (security.runAsNonRoot !== true) return;
  const { name, namespace } = spec.sandbox.pod.metadata ?? {};
  const where = `(pod: "${name}_${namespace}(${spec.sandbox.uid})", container: ${spec.container.name})`;
  if (security.runAsUser !== undefined) {
    if (security.runAsUser === 0) throw configError(`container's runAsUser breaks non-root policy ${where}`);
    return;
  }
  const user = parseImageUser(spec.imageUser);
  if (user.uid === 0) throw configError(`container has runAsNonRoot and image will run as root ${where}`);
  if (user.uid === undefined) {
    throw configError(
      `container has runAsNonRoot and image has non-numeric user (${user.name}), ` +
        `cannot verify user is non-root ${where}`,
    );
  }
}

/** containerd takes a name with its prefix for another capability, and leaves it out. */
const toCapability = (name: string): string => name.toUpperCase().replace(/^CAP_/, "");

const configError = (message: string): AgentError => new AgentError("CreateContainerConfigError", message);

export function toContainerSecurity(
  spec: ContainerSpec,
  options: SecurityOptions,
): LinuxContainerSecurityContext {
  const { pod } = spec.sandbox;
  const security = effectiveSecurity(pod, spec.container);
  checkNonRoot(spec, security);
  const imageUser = parseImageUser(spec.imageUser);
  const unmasked = security.procMount === "Unmasked";
  return LinuxContainerSecurityContext.fromPartial({
    capabilities: {
      addCapabilities: (security.capabilities?.add ?? []).map(toCapability),
      dropCapabilities: (security.capabilities?.drop ?? []).map(toCapability),
    },
    privileged: security.privileged === true,
    namespaceOptions: withTarget(toNamespaceOption(spec.sandbox), spec.targetId),
    selinuxOptions: toSelinux(security.seLinuxOptions),
    runAsUser: int64(security.runAsUser ?? imageUser.uid),
    runAsUsername: security.runAsUser === undefined ? imageUser.name : "",
    runAsGroup: int64(security.runAsGroup),
    readonlyRootfs: security.readOnlyRootFilesystem === true,
    supplementalGroups: [...supplementalGroups(pod), ...(spec.edits.groups ?? []).map(BigInt)],
    supplementalGroupsPolicy: supplementalGroupsPolicy(pod),
    noNewPrivs: security.allowPrivilegeEscalation === false,
    maskedPaths: unmasked ? [] : MASKED_PATHS,
    readonlyPaths: unmasked ? [] : READONLY_PATHS,
    seccomp: toSeccomp(security.seccompProfile, options),
    apparmor: toApparmor(apparmorProfileOf(pod, spec.container)),
  });
}
