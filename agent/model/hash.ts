/**
 * Content hashes: whether a running container or sandbox still is what its pod asks for. Two pods that mean the same
 * hash the same: the order of keys, fields left out against their defaults, and empty values make no difference. Not
 * for: security.
 */
import { isOfApi } from "./api_pod.ts";
import type { Container, Pod } from "./gen/v1.ts";
import { deviceRequests } from "./devices.ts";
import { defaultContainer, defaultPod } from "./defaults.ts";
import { hugePagesOf, limitsOf, qosClass } from "./qos.ts";
import { md5 } from "./md5.ts";
import { networksOf } from "./networks.ts";

/** Fields that a running container does not depend on: they change in place, or matter only at its next start. */
const inPlace = [
  "imagePullPolicy",
  "livenessProbe",
  "ports",
  "readinessProbe",
  "resizePolicy",
  "resources",
  "restartPolicy",
  "restartPolicyRules",
  "startupProbe",
  "terminationMessagePolicy",
] as const;

/** Booleans for which `false` says something else than nothing. */
const meaningfulFalse = new Set([
  "allowPrivilegeEscalation",
  "automountServiceAccountToken",
  "enableServiceLinks",
  "hostUsers",
  "runAsNonRoot",
]);

/**
 * What a running container depends on, with the definitions of the volumes that it mounts; of a pod of the API server, the
 * image, for nothing else of it can change. 16 hex digits.
 */
export function containerHash(pod: Pod, container: Container): string {
  const known = hashes.get(pod) ?? new WeakMap<Container, string>();
  hashes.set(pod, known);
  const hash = known.get(container) ?? hashContainer(pod, container);
  known.set(container, hash);
  return hash;
}

/** Asked for at every look at a pod, whose manifest is never changed in place. */
const hashes = new WeakMap<Pod, WeakMap<Container, string>>();
const sandboxHashes = new WeakMap<Pod, string>();

function hashContainer(pod: Pod, container: Container): string {
  if (isOfApi(pod)) return shortHash({ name: container.name, image: container.image });
  const rest: Partial<Container> = defaultContainer(container, { hostNetwork: false });
  for (const field of inPlace) delete rest[field];
  const { lifecycle, ...content } = rest;
  // Pages are reserved, and devices given, when it starts.
  const hugePages = hugePagesOf(limitsOf(container));
  const devices = Object.fromEntries(deviceRequests(container));
  const mounted = new Set([
    ...(container.volumeMounts ?? []).map((m) => m.name),
    ...(container.volumeDevices ?? []).map((d) => d.name),
  ]);
  const volumes = (defaultPod(pod).spec?.volumes ?? []).filter((v) => mounted.has(v.name))
    .map((v) => v.image === undefined ? v : { ...v, image: { reference: v.image.reference } });
  volumes.sort((a, b) => a.name < b.name ? -1 : 1);
  return shortHash({ ...content, stopSignal: lifecycle?.stopSignal, volumes, hugePages, devices });
}

/** What a sandbox depends on; when it changes the pod is made anew. 16 hex digits. */
export function sandboxHash(pod: Pod): string {
  const hash = sandboxHashes.get(pod) ?? hashSandbox(pod);
  sandboxHashes.set(pod, hash);
  return hash;
}

function hashSandbox(pod: Pod): string {
  const spec = defaultPod(pod).spec ?? { containers: [] };
  const ports = [...spec.containers, ...(spec.initContainers ?? [])].flatMap((c) => c.ports ?? [])
    .filter((port) => spec.hostNetwork !== true && port.hostPort)
    .map(({ hostPort, hostIP, protocol, containerPort }) =>
      `${hostIP || "*"}:${hostPort}/${protocol || "TCP"}>${containerPort}`
    ).sort();
  return shortHash({
    hostNetwork: spec.hostNetwork,
    hostPID: spec.hostPID,
    hostIPC: spec.hostIPC,
    hostUsers: spec.hostUsers === false,
    shareProcessNamespace: spec.shareProcessNamespace,
    hostname: spec.hostname,
    hostnameOverride: spec.hostnameOverride,
    subdomain: spec.subdomain,
    setHostnameAsFQDN: spec.setHostnameAsFQDN,
    dnsPolicy: spec.dnsPolicy,
    dnsConfig: spec.dnsConfig,
    securityContext: spec.securityContext,
    runtimeClassName: spec.runtimeClassName,
    // Its cgroup lies where its class says, and never moves.
    qosClass: qosClass(pod),
    ports,
    networks: networksOf(pod).map(({ ifname, ...n }) => ({ ...n, interface: ifname })),
  });
}

/**
 * The uid of a pod of the manifest directory: 32 hex digits, as the kubelet's static pods have. It depends on the name
 * alone, so that an edited pod stays the same pod and is changed in place.
 */
export const staticPodUid = (nodeName: string, namespace: string, name: string): string =>
  md5(`${nodeName}\n${namespace}\n${name}`);

/** The whole pod (annotation kubernetes.io/config.hash). 32 hex digits. */
export const podHash = (pod: Pod): string => md5(canonical(defaultPod(pod)));

/** All that its author asks for, as it is on record for a pod that was ended. 16 hex digits. */
export function podSpecHash(pod: Pod): string {
  const { ephemeralContainers: _, ...spec } = defaultPod(pod).spec ?? { containers: [] };
  return shortHash(spec);
}

const shortHash = (value: unknown) => md5(canonical(value)).slice(0, 16);

/** JSON with sorted keys, without what is empty. */
export function canonical(value: unknown): string {
  return JSON.stringify(pruned(value, "")) ?? "null";
}

function pruned(value: unknown, key: string): unknown {
  if (Array.isArray(value)) {
    return value.length === 0 ? undefined : value.map((item) => pruned(item, "") ?? null);
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(([k, v]) => [k, pruned(v, k)] as const)
      .filter(([, v]) => v !== undefined)
      .sort(([a], [b]) => a < b ? -1 : 1);
    return entries.length === 0 ? undefined : Object.fromEntries(entries);
  }
  if (value === false && !meaningfulFalse.has(key)) return undefined;
  return value === "" || value === null ? undefined : value;
}
