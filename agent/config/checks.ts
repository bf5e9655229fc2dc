/** Rules for single values that the types do not hold, and between values. Not for: types. */
import type { Problem } from "../model/errors.ts";
import { readHostDevices } from "../model/host_devices.ts";
import { dnsLabel, labelValue, qualifiedName } from "../model/names.ts";
import { parseCpuSet } from "../model/cpu_set.ts";
import {
  parseGracePeriods,
  parseReclaims,
  parseThresholds,
  withoutGrace,
} from "../model/eviction_thresholds.ts";
import { parseQuantity } from "../model/quantity.ts";
import { checkSysctlPattern } from "../model/sysctls.ts";
import { parseDuration } from "../model/duration.ts";
import { readTaints } from "./node.ts";
import type { Place } from "./settings.ts";
import { ipVersion } from "./values.ts";

/** Longest path of a socket: sun_path holds 108 bytes with the final zero. */
const maxSocketPath = 107;
/** containerd listens at `SOCKET.ttrpc` too. */
const ttrpcSuffix = ".ttrpc".length;

/** Looks a value up by its key. */
type Get = (key: string) => unknown;
/** What is wrong and what was expected, when it is. */
type Check = readonly [key: string, check: (get: Get) => string | undefined];

/** `placeOf` tells where a key was set. */
export function checkValues(
  values: ReadonlyMap<string, unknown>,
  nodeName: string,
  placeOf: (key: string) => Place,
): Problem[] {
  const found = checks.map(([key, check]) => [key, check((k) => values.get(k))] as const);
  const named = [...found, ["hostnameOverride", checkNodeName(nodeName)] as const];
  return named.filter((f) => f[1] !== undefined).map(([key, message]) => ({
    severity: "error",
    ...placeOf(key),
    field: key,
    message: message!,
  }));
}

const checks: readonly Check[] = [
  ["rootDir", (get) => get("rootDir") === "/" ? "is /: expected a directory of the agent's own" : undefined],
  ["nodeIPs", (get) => checkNodeIPs(get("nodeIPs") as string[])],
  ["socket", (get) => checkSocket(String(get("socket")), maxSocketPath)],
  [
    "managedRuntime.socket",
    (get) => checkSocket(String(get("managedRuntime.socket")), maxSocketPath - ttrpcSuffix),
  ],
  [
    "managedRuntime.runtimes",
    (get) => checkRuntimes(get("managedRuntime.runtimes") as Record<string, string>),
  ],
  [
    "userNamespaces.idsPerPod",
    (get) =>
      Number(get("userNamespaces.idsPerPod")) % 65536 === 0
        ? undefined
        : `is ${get("userNamespaces.idsPerPod")}: expected a multiple of 65536`,
  ],
  [
    "imageCredentialProviderBinDir",
    (get) =>
      get("imageCredentialProviderConfig") === "" || get("imageCredentialProviderBinDir") !== ""
        ? undefined
        : "is not set: expected the directory of the programs that imageCredentialProviderConfig names",
  ],
  [
    "bootstrapKubeconfig",
    (get) =>
      get("bootstrapKubeconfig") === "" || get("kubeconfig") !== ""
        ? undefined
        : "is set without kubeconfig: expected kubeconfig, too, the path of the file to be written",
  ],
  ["registerWithTaints", (get) => wrongIn(readTaints((get("registerWithTaints") ?? []) as unknown[]))],
  ["evictionHard", (get) => wrongIn(parseThresholds(get("evictionHard") as Texts))],
  [
    "evictionSoft",
    (get) =>
      wrongIn(parseThresholds(get("evictionSoft") as Texts)) ??
        withoutGrace(get("evictionSoft") as Texts, get("evictionSoftGracePeriod") as Texts),
  ],
  ["evictionSoftGracePeriod", (get) => wrongIn(parseGracePeriods(get("evictionSoftGracePeriod") as Texts))],
  ["evictionMinimumReclaim", (get) => wrongIn(parseReclaims(get("evictionMinimumReclaim") as Texts))],
  [
    "imageGCLowThresholdPercent",
    (get) =>
      Number(get("imageGCLowThresholdPercent")) < Number(get("imageGCHighThresholdPercent"))
        ? undefined
        : `is ${get("imageGCLowThresholdPercent")}: expected less than imageGCHighThresholdPercent`,
  ],
  [
    "imageMaximumGCAge",
    (get) => checkImageAges(String(get("imageMinimumGCAge")), String(get("imageMaximumGCAge"))),
  ],
  [
    "tlsPrivateKeyFile",
    (get) =>
      (get("tlsCertFile") === "") === (get("tlsPrivateKeyFile") === "")
        ? undefined
        : "needs tlsCertFile and tlsPrivateKeyFile together: expected both or none",
  ],
  ["nodeLabels", (get) => checkLabels(get("nodeLabels") as Record<string, string>)],
  [
    "allowedUnsafeSysctls",
    (get) =>
      (get("allowedUnsafeSysctls") as string[]).map(checkSysctlPattern).find((wrong) => wrong !== undefined),
  ],
  ["devices", (get) => wrongIn(readHostDevices((get("devices") ?? []) as unknown[]))],
  ["cgroupRoot", (get) => checkCgroup(String(get("cgroupRoot")))],
  [
    "maxParallelImagePulls",
    (get) =>
      get("serializeImagePulls") === true && Number(get("maxParallelImagePulls") ?? 1) > 1
        ? "is more than 1 while serializeImagePulls is true: expected one of the two"
        : undefined,
  ],
  [
    "crashLoopBackOff.maxContainerRestartPeriod",
    (get) => checkPeriod(String(get("crashLoopBackOff.maxContainerRestartPeriod"))),
  ],
  ["offline.maxSilence", checkSilence],
  ["cpuCFSQuotaPeriod", (get) => checkQuotaPeriod(String(get("cpuCFSQuotaPeriod")))],
  ["cpuManagerPolicy", (get) => checkStaticPolicy(get)],
  ["cpuManagerPolicyOptions", (get) => checkCpuOptions(get)],
  [
    "topologyManagerPolicyOptions",
    (get) => checkTopologyOptions(get("topologyManagerPolicyOptions") as Texts),
  ],
  [
    "reservedSystemCPUs",
    (get) =>
      parseCpuSet(String(get("reservedSystemCPUs"))) === undefined
        ? `is ${JSON.stringify(get("reservedSystemCPUs"))}: expected CPUs such as 0-1,8`
        : undefined,
  ],
  [
    "containerLogMaxSize",
    (get) =>
      parseQuantity(String(get("containerLogMaxSize")))! > 0
        ? undefined
        : "is zero: expected a size such as 10Mi",
  ],
  [
    "imageServiceEndpoint",
    (get) =>
      get("imageServiceEndpoint") === "managed"
        ? "is managed: expected a unix socket (containerRuntimeEndpoint may be managed)"
        : undefined,
  ],
];

/** At rest the API server is heard of when the Lease is renewed: after a quarter of its duration, or a little later. */
function checkSilence(get: Get): string | undefined {
  const silence = parseDuration(String(get("offline.maxSilence"))) ?? 0;
  const least = Number(get("nodeLeaseDurationSeconds")) / 2;
  return silence > 0 && silence < least * 1000
    ? `is ${
      get("offline.maxSilence")
    }: expected 0s, or at least ${least}s (half of nodeLeaseDurationSeconds), ` +
      "since the API server is not heard of more often"
    : undefined;
}

function checkNodeIPs(addresses: readonly string[]): string | undefined {
  const families = addresses.map(ipVersion);
  return new Set(families).size === families.length
    ? undefined
    : `holds ${addresses.join(", ")}: expected at most one IPv4 and one IPv6 address`;
}

function checkSocket(path: string, limit: number): string | undefined {
  const length = new TextEncoder().encode(path).length;
  return length > limit
    ? `has ${length} bytes: expected at most ${limit}, which sockets can have`
    : undefined;
}

function checkLabels(labels: Readonly<Record<string, string>>): string | undefined {
  for (const [key, value] of Object.entries(labels)) {
    const expected = qualifiedName(key) ?? labelValue(value);
    if (expected !== undefined) return `holds ${key}=${value}: expected ${expected}`;
  }
  return undefined;
}

/** containerd has `runc` already. */
function checkRuntimes(runtimes: Readonly<Record<string, string>>): string | undefined {
  for (const [name, path] of Object.entries(runtimes)) {
    if (name === "runc" || dnsLabel(name) !== undefined) {
      return `holds ${
        JSON.stringify(name)
      }: expected a name of lowercase letters, digits and "-" besides runc`;
    }
    if (!/^\/[^\0]+$/.test(path)) {
      return `holds ${JSON.stringify(path)} for ${name}: expected the absolute path of an OCI runtime`;
    }
  }
  return undefined;
}

type Texts = Readonly<Record<string, string>>;

/** The host keeps at least one CPU. */
function checkStaticPolicy(get: Get): string | undefined {
  const reserves = ["systemReserved", "kubeReserved"].some((key) =>
    (parseQuantity((get(key) as Texts)["cpu"] ?? "0") ?? 0) > 0
  );
  if (get("cpuManagerPolicy") !== "static" || reserves || get("reservedSystemCPUs") !== "") return undefined;
  return "is static and no CPU is kept for the host: expected reservedSystemCPUs, or cpu in systemReserved or kubeReserved";
}

const isSwitch = (value: string) => value === "true" || value === "false";

function checkCpuOptions(get: Get): string | undefined {
  const options = get("cpuManagerPolicyOptions") as Texts;
  if (Object.keys(options).length > 0 && get("cpuManagerPolicy") !== "static") {
    return "has options of the policy static: expected cpuManagerPolicy: static";
  }
  const known = [
    "full-pcpus-only",
    "distribute-cpus-across-numa",
    "align-by-socket",
    "strict-cpu-reservation",
  ];
  const wrong = Object.entries(options).find(([name, value]) => !known.includes(name) || !isSwitch(value));
  if (wrong !== undefined) {
    return `holds ${wrong.join("=")}: expected ${known.join(", ")}, each true or false`;
  }
  return options["align-by-socket"] === "true" && get("topologyManagerPolicy") === "single-numa-node"
    ? "holds align-by-socket=true, which may need several nodes: expected another topologyManagerPolicy than single-numa-node"
    : undefined;
}

function checkTopologyOptions(options: Texts): string | undefined {
  const expected = "prefer-closest-numa-nodes: true or false, or max-allowable-numa-nodes: 8 to 16";
  const wrong = Object.entries(options).find(([name, value]) =>
    name === "max-allowable-numa-nodes"
      ? !/^\d+$/.test(value) || Number(value) < 8 || Number(value) > 16
      : name !== "prefer-closest-numa-nodes" || !isSwitch(value)
  );
  return wrong && `holds ${wrong.join("=")}: expected ${expected}`;
}

function checkCgroup(path: string): string | undefined {
  const good = /^\/([\w.@:-]+(\/[\w.@:-]+)*)?$/.test(path) && !path.split("/").includes("..");
  return good ? undefined : `is ${JSON.stringify(path)}: expected a path below the cgroup root such as /pods`;
}

/** The kubelet's bounds. */
function checkPeriod(period: string): string | undefined {
  const ms = parseDuration(period)!;
  return ms < 1_000 || ms > 300_000 ? `is ${period}: expected 1s to 5m` : undefined;
}

/** The kernel's bounds. */
function checkQuotaPeriod(period: string): string | undefined {
  const ms = parseDuration(period)!;
  return ms < 1 || ms > 1000 ? `is ${period}: expected 1ms to 1s` : undefined;
}

function checkImageAges(least: string, most: string): string | undefined {
  const [from, to] = [parseDuration(least)!, parseDuration(most)!];
  return to !== 0 && to < from
    ? `is ${most}: expected 0s, or at least imageMinimumGCAge, ${least}`
    : undefined;
}

/** RFC 1123 subdomain, as names of nodes are. */
function checkNodeName(name: string): string | undefined {
  const good = name.length <= 253 &&
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(name);
  if (good) return undefined;
  return `makes the node's name ${JSON.stringify(name)}: expected letters, digits, "-" and "." (at most 253)`;
}

const wrongIn = (read: object): string | undefined => "wrong" in read ? String(read.wrong) : undefined;
