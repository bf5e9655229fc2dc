/**
 * Which pods this node takes: the kubelet's reasons to refuse one, before anything of it runs. Pure; judged anew
 * whenever pods or the node change. Not for: manifests that are wrong in any Kubernetes (validate_*.ts), ending what was
 * refused (end.ts).
 *
 * Source: kubernetes pkg/kubelet/lifecycle, pkg/kubelet/preemption, pkg/kubelet/sysctl, pkg/security/apparmor.
 */
import { isOfApi } from "./api_pod.ts";
import { apparmorProfileOf } from "./apparmor.ts";
import type { PodEnd } from "./end.ts";
import { whyUnderPressure } from "./eviction.ts";
import type { Pressure } from "./eviction_thresholds.ts";
import type { Pod } from "./gen/v1.ts";
import { exclude, type HostPort, hostPortsOf, isSame } from "./host_ports.ts";
import { matchesNode, type NodeIdentity } from "./node_affinity.ts";
import { priorityOf } from "./priority.ts";
import { podResources } from "./qos.ts";
import { isAllowedSysctl } from "./sysctls.ts";
import { type DesiredPod, isTerminating } from "./wish.ts";

export interface AdmissionNode extends NodeIdentity {
  maxPods: number;
  /** What it gives to pods, in base units (cores, bytes). */
  allocatable: Readonly<Record<string, number>>;
  /** Devices that may be given, by resource; one that is not here is waited for. */
  devices?: Readonly<Record<string, number>>;
  /** Pods that have been given devices: by uid. */
  holders?: ReadonlySet<string>;
  /** False: its labels are at the API server, which has not told them yet. Absent: they are known. */
  labelsKnown?: boolean;
  /** As uname tells it. */
  kernel: string;
  allowedUnsafeSysctls: readonly string[];
  /** What it is short of. */
  pressures?: ReadonlySet<Pressure>;
  /** Profiles that are loaded; absent: AppArmor is off. */
  apparmor?: ReadonlySet<string>;
  /** Absent while the runtime has not told. */
  supplementalGroupsPolicy?: boolean;
}

/** What was said of each pod the last time, by uid; `undefined`: it was taken. */
export type Verdicts = ReadonlyMap<string, PodEnd | undefined>;

/** How things stood before. */
export interface Before {
  verdicts: Verdicts;
  /** What the pods were when that was said; an absent one was as it is now. */
  pods: ReadonlyMap<string, Pod>;
}

const refusal = (reason: string, message: string): PodEnd => ({ reason, message });
const preemption: PodEnd = {
  ...refusal("Preempting", "Preempted in order to admit critical pod"),
  disruption: "Pod was preempted by Kubelet to accommodate a critical pod.",
};

/** What the pods that were taken so far have. */
interface Taken {
  pods: DesiredPod[];
  requests: Record<string, number>;
  ports: Claim[];
}

interface Claim {
  holder: DesiredPod;
  port: HostPort;
}

/**
 * A verdict for each pod. Pods of higher priority come first, then those that were taken before: what runs stays unless
 * something more important needs its place. `finished` are pods whose containers have all ended for good: they take no
 * place, and nothing is to be judged about them. What was refused of the API server's pods stays refused.
 */
export function admitPods(
  pods: readonly DesiredPod[],
  before: Before,
  finished: (uid: string) => boolean,
  node: AdmissionNode,
): Map<string, PodEnd | undefined> {
  const old = before.verdicts;
  const wasTaken = ({ uid }: DesiredPod) => old.has(uid) && old.get(uid) === undefined;
  /** Ports that a pod has had and still wants: no edit of another one takes them away. */
  const keptPorts = (desired: DesiredPod) => {
    if (!wasTaken(desired) || finished(desired.uid)) return [];
    const had = hostPortsOf(before.pods.get(desired.uid) ?? desired.pod);
    return hostPortsOf(desired.pod).filter((port) => had.some((h) => isSame(h, port)));
  };
  const order = [...pods].sort((a, b) =>
    priorityOf(b.pod) - priorityOf(a.pod) || Number(wasTaken(b)) - Number(wasTaken(a)) ||
    (a.origin + a.uid < b.origin + b.uid ? -1 : 1)
  );
  const verdicts = new Map<string, PodEnd | undefined>();
  const ports = pods.flatMap((holder) => keptPorts(holder).map((port) => ({ holder, port })));
  const taken: Taken = { pods: [], requests: {}, ports };
  for (const desired of order) {
    const { uid, pod } = desired;
    if (wasTaken(desired) && finished(uid)) {
      verdicts.set(uid, undefined);
      continue;
    }
    // The API server has been told, or will be: no second judgement.
    const isLeaving = isTerminating(desired) && !wasTaken(desired);
    if (isOfApi(pod) && (finished(uid) || isLeaving || old.get(uid) !== undefined)) {
      verdicts.set(uid, old.get(uid));
      continue;
    }
    const newcomer = taken.pods.some((p) => priorityOf(p.pod) > priorityOf(pod) && !wasTaken(p));
    const stays = wasTaken(desired) && !newcomer;
    const equipped = stays && (node.holders?.has(uid) ?? true);
    // A scheduler has judged: it does so anew for none that runs, whatever becomes of the node's labels.
    const placed = desired.source === "api" && (wasTaken(desired) || node.labelsKnown === false);
    const squeezed = wasTaken(desired) ? undefined : whyUnderPressure(pod, node.pressures ?? new Set());
    const verdict = squeezed ?? whyNot(pod, node, placed) ?? whyNoPort(desired, taken) ??
      (stays ? undefined : whyNoRoom(pod, taken, node, wasTaken(desired) || old.get(uid)?.reason)) ??
      (equipped ? undefined : whyNoDevices(pod, taken, node.devices ?? {}));
    verdicts.set(uid, verdict);
    if (verdict === undefined) take(taken, desired);
  }
  return verdicts;
}

function take(taken: Taken, desired: DesiredPod): void {
  taken.pods.push(desired);
  taken.ports.push(...hostPortsOf(desired.pod).map((port) => ({ holder: desired, port })));
  for (const [name, amount] of Object.entries(podResources(desired.pod).requests)) {
    taken.requests[name] = (taken.requests[name] ?? 0) + units(name, amount);
  }
}

/** What the pod alone is refused for. `placed`: it is on the right node, whatever it asks for. */
export function whyNot(pod: Pod, node: AdmissionNode, placed = false): PodEnd | undefined {
  const spec = pod.spec!;
  const os = pod.metadata?.labels?.["kubernetes.io/os"];
  if (os !== undefined && os !== "linux") {
    return refusal(
      "PodOSSelectorNodeLabelDoesNotMatch",
      "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
    );
  }
  if (spec.os !== undefined && spec.os.name !== "linux") {
    return refusal("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS");
  }
  if (
    spec.securityContext?.supplementalGroupsPolicy === "Strict" && node.supplementalGroupsPolicy === false
  ) {
    return refusal(
      "SupplementalGroupsPolicyNotSupported",
      "SupplementalGroupsPolicy=Strict is not supported in this node: the container runtime lacks it",
    );
  }
  // Manifests that ask for them are wrong here; the API server does not know that.
  if ((spec.resourceClaims ?? []).length > 0) {
    return refusal("ResourceClaimsNotSupported", "This node has no devices for resource claims (DRA)");
  }
  for (const { name } of spec.securityContext?.sysctls ?? []) {
    if (isAllowedSysctl(name, node.kernel, node.allowedUnsafeSysctls)) continue;
    const hint = "allowedUnsafeSysctls in the configuration allows more";
    return refusal("SysctlForbidden", `forbidden sysctl: "${name}" not allowlisted (${hint})`);
  }
  if (!placed && !matchesNode(pod, node)) {
    const message = "node(s) didn't match Pod's node affinity/selector";
    return refusal("NodeAffinity", `Predicate NodeAffinity failed: ${message}`);
  }
  return whyNoProfile(pod, node);
}

/** Where a profile other than none is asked for, and cannot be enforced. */
function whyNoProfile(pod: Pod, node: AdmissionNode): PodEnd | undefined {
  const spec = pod.spec!;
  for (const container of [...spec.initContainers ?? [], ...spec.containers]) {
    const profile = apparmorProfileOf(pod, container);
    if (profile === undefined || profile.type === "Unconfined") continue;
    const because = node.apparmor === undefined
      ? "AppArmor is not enabled on the host"
      : profile.type === "Localhost" && !node.apparmor.has(profile.localhostProfile ?? "")
      ? `profile ${JSON.stringify(profile.localhostProfile)} is not loaded`
      : undefined;
    if (because !== undefined) return refusal("AppArmor", `Cannot enforce AppArmor: ${because}`);
  }
  return undefined;
}

function whyNoPort(desired: DesiredPod, taken: Taken): PodEnd | undefined {
  const own = taken.ports.filter((claim) => claim.holder === desired);
  const wanted = hostPortsOf(desired.pod).filter((port) => !own.some((claim) => isSame(claim.port, port)));
  const clash = taken.ports.find((claim) =>
    claim.holder !== desired && wanted.some((port) => exclude(port, claim.port))
  );
  if (clash === undefined) return undefined;
  const { namespace, name } = clash.holder.pod.metadata ?? {};
  const message = "node(s) didn't have free ports for the requested pod ports";
  return refusal(
    "NodePorts",
    `Predicate NodePorts failed: ${message} (${namespace}/${name} has ${clash.port.port})`,
  );
}

/** In the scheduler's units: thousandths of a core, bytes, pieces. */
const units = (name: string, amount: number) => name === "cpu" ? Math.ceil(amount * 1000) : Math.ceil(amount);

function whyNoDevices(pod: Pod, taken: Taken, devices: Readonly<Record<string, number>>): PodEnd | undefined {
  for (const [name, requested] of Object.entries(podResources(pod).requests)) {
    const [used, capacity] = [taken.requests[name] ?? 0, devices[name]];
    if (capacity === undefined || requested <= capacity - used) continue;
    const amounts = `requested: ${requested}, used: ${used}, capacity: ${capacity}`;
    return refusal(`OutOf${name}`, `Node didn't have enough resource: ${name}, ${amounts}`);
  }
  return undefined;
}

/** `before`: true when the pod was taken, else why it was not. */
function whyNoRoom(
  pod: Pod,
  taken: Taken,
  node: AdmissionNode,
  before: true | string | undefined,
): PodEnd | undefined {
  const lack = (name: string, requested: number, used: number, capacity: number) => {
    if (requested <= capacity - used) return undefined;
    if (before === true || before === preemption.reason) return preemption;
    const amounts = `requested: ${requested}, used: ${used}, capacity: ${capacity}`;
    return refusal(`OutOf${name}`, `Node didn't have enough resource: ${name}, ${amounts}`);
  };
  const full = lack("pods", 1, taken.pods.length, node.maxPods);
  if (full !== undefined) return full;
  for (const [name, amount] of Object.entries(podResources(pod).requests)) {
    const capacity = node.allocatable[name];
    if (amount <= 0 || capacity === undefined) continue;
    const found = lack(name, units(name, amount), taken.requests[name] ?? 0, units(name, capacity));
    if (found !== undefined) return found;
  }
  return undefined;
}
