/**
 * The pods of the chaos run as values, the manifests that describe them, and what each start of a container writes down.
 * Pure. Not for: choosing what happens to them (script.ts).
 */

export const shapes = [
  "plain",
  "pair",
  "config",
  "hostnet",
  "hostport",
  "init",
  "job",
  "failing",
  "flaky",
  "disk",
  "device",
] as const;
export type Shape = (typeof shapes)[number];

/** Numbers name versions: each edit takes one that was never used before. */
export interface ChaosContainer {
  readonly name: string;
  /** Version of its command line, and of its environment. */
  readonly command: number;
  readonly env: number;
  /** One of `images`. */
  readonly image: number;
  /** MiB. */
  readonly memory: number;
}

export interface ChaosPod {
  readonly name: string;
  readonly shape: Shape;
  /** A sandbox depends on it. */
  readonly hostname: string;
  readonly containers: readonly ChaosContainer[];
  /** Version of the ConfigMap. */
  readonly page: number;
  /** Older than each command that may have run with its claim. */
  readonly claim: number;
  readonly hostPort: number;
}

/** Tags of the test image that differ in their environment variable IMAGE. */
export const images = [1, 2] as const;
export const imageName = (version: number) => `localhost/agent/chaos:${version}`;

/** Directory on the host, and in every container, that has one file for each start of a container. */
export const startsMount = "/starts";

const containerNames: Record<Shape, readonly string[]> = {
  plain: ["main"],
  pair: ["left", "right"],
  config: ["main"],
  hostnet: ["main"],
  hostport: ["main"],
  init: ["setup", "main"],
  job: ["main"],
  failing: ["main"],
  flaky: ["main", "steady"],
  disk: ["main"],
  device: ["main"],
};

export const containerNamesOf = (shape: Shape) => containerNames[shape];

const restartPolicies: Partial<Record<Shape, string>> = {
  job: "Never",
  failing: "Never",
  flaky: "OnFailure",
};

/** Exit statuses of containers that end by themselves, one for each start that is due; others run until they are told. */
export function exitsOf(pod: ChaosPod, container: string): readonly number[] | undefined {
  if (pod.shape === "job" || pod.shape === "flaky" && container === "steady") return [0];
  if (pod.shape === "failing") return [3];
  if (pod.shape === "flaky") return [1, 0];
  return pod.shape === "init" && container === "setup" ? [0] : undefined;
}

/** Phase of the pod once nothing changes any more. */
export function restingPhase(pod: ChaosPod): "Running" | "Succeeded" | "Failed" {
  if (pod.shape === "job" || pod.shape === "flaky") return "Succeeded";
  return pod.shape === "failing" ? "Failed" : "Running";
}

/** Its pods have a claim at `/disk`, and an inline volume at `/note`, both of the CSI driver. */
export const hasDisk = (pod: ChaosPod) => pod.shape === "disk";
export const driverName = "chaos.csi.example";
export const noteText = "of the driver";

/** Its containers have one device each. */
export const hasDevice = (pod: ChaosPod) => pod.shape === "device";
export const resourceName = "chaos.example/slot";
/** Fewer than there are pods at times: some wait until others have given theirs back. */
export const devices = ["slot0", "slot1", "slot2"] as const;

/** Its pods join the further network. */
export const joinsNetwork = (pod: ChaosPod) => pod.shape === "pair";

export const networkFile = "lan.yaml";

/** Addresses are kept in `dataDir`. */
export function networkText(name: string, dataDir: string): string {
  const ipam = { type: "host-local", dataDir, ranges: [[{ subnet: "10.126.0.0/16" }]] };
  const config = { cniVersion: "1.0.0", name, type: "bridge", bridge: name, ipam };
  return JSON.stringify({
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: { name: "lan" },
    spec: { config: JSON.stringify(config) },
  });
}

export const usesHostNetwork = (pod: ChaosPod) => pod.shape === "hostnet";

export const storageFile = "storage.yaml";

export const storageText: string = [
  {
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name: "chaos" },
    provisioner: driverName,
  },
  {
    apiVersion: "storage.k8s.io/v1",
    kind: "CSIDriver",
    metadata: { name: driverName },
    spec: { podInfoOnMount: true, volumeLifecycleModes: ["Persistent", "Ephemeral"] },
  },
].map((o) => JSON.stringify(o)).join("\n---\n");

/** What a start writes down: everything on which the identity of a running container depends. */
export const startKey = (pod: ChaosPod, c: ChaosContainer): string =>
  [pod.name, c.name, c.command, c.env, c.image, usesHostNetwork(pod) ? "host" : pod.hostname].join("_");

/** A shell program that records its start, first on its disk, and then ends as its shape wants. */
function program(pod: ChaosPod, c: ChaosContainer): string {
  const host = usesHostNetwork(pod) ? "host" : "$(hostname)";
  const name = `${pod.name}_${c.name}_${c.command}_\${VERSION}_\${IMAGE}_${host}`;
  const key = `${startsMount}/${name}`;
  const exits = exitsOf(pod, c.name);
  const onDisk = hasDisk(pod) ? `echo >/disk/${name}; ` : "";
  const record = `${onDisk}read id </proc/sys/kernel/random/uuid; echo >${key}_$id`;
  if (exits === undefined) {
    return `trap 'exit 0' TERM; ${record}; while :; do sleep 1000 & wait $!; done`;
  }
  const cases = exits.slice(0, -1).map((exit, i) => `[ $# -gt ${i + 1} ] || exit ${exit}; `).join("");
  return `${record}; set -- ${key}_*; sleep 0.2; ${cases}exit ${exits.at(-1)}`;
}

function containerSpec(pod: ChaosPod, c: ChaosContainer): Record<string, unknown> {
  const ports = pod.shape === "hostport" ? [{ containerPort: 8080, hostPort: pod.hostPort }] : [];
  const mounts = [{ name: "starts", mountPath: startsMount }];
  if (pod.shape === "config") {
    mounts.push({ name: "page", mountPath: "/page" }, { name: "key", mountPath: "/key" });
  }
  if (pod.shape === "config" || pod.shape === "pair") mounts.push({ name: "shared", mountPath: "/shared" });
  if (hasDisk(pod)) mounts.push({ name: "disk", mountPath: "/disk" }, { name: "note", mountPath: "/note" });
  return {
    name: c.name,
    image: imageName(c.image),
    command: ["sh", "-c", program(pod, c)],
    env: [{ name: "VERSION", value: `${c.env}` }],
    resources: {
      requests: { cpu: "5m", memory: "8Mi" },
      limits: { memory: `${c.memory}Mi`, ...(hasDevice(pod) && { [resourceName]: "1" }) },
    },
    volumeMounts: mounts,
    ...(ports.length > 0 && { ports }),
  };
}

function volumes(pod: ChaosPod, startsDirectory: string): Record<string, unknown>[] {
  const all: Record<string, unknown>[] = [{ name: "starts", hostPath: { path: startsDirectory } }];
  if (pod.shape === "pair") all.push({ name: "shared", emptyDir: {} });
  if (hasDisk(pod)) {
    all.push(
      { name: "disk", persistentVolumeClaim: { claimName: claimName(pod) } },
      { name: "note", csi: { driver: driverName, volumeAttributes: { content: noteText } } },
    );
  }
  if (pod.shape !== "config") return all;
  return [
    ...all,
    { name: "page", configMap: { name: pageName(pod) } },
    { name: "key", secret: { secretName: pageName(pod) } },
    { name: "shared", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
  ];
}

const pageName = (pod: ChaosPod) => `${pod.name}-page`;
const claimName = (pod: ChaosPod) => `${pod.name}-claim`;

function podObject(pod: ChaosPod, startsDirectory: string): Record<string, unknown> {
  const specs = pod.containers.map((c) => containerSpec(pod, c));
  const isInit = (c: Record<string, unknown>) => pod.shape === "init" && c.name === "setup";
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: pod.name,
      ...(joinsNetwork(pod) && { annotations: { "k8s.v1.cni.cncf.io/networks": "lan" } }),
    },
    spec: {
      terminationGracePeriodSeconds: 1,
      restartPolicy: restartPolicies[pod.shape] ?? "Always",
      ...(usesHostNetwork(pod) ? { hostNetwork: true } : { hostname: pod.hostname }),
      initContainers: specs.filter(isInit),
      containers: specs.filter((c) => !isInit(c)),
      volumes: volumes(pod, startsDirectory),
    },
  };
}

/** The file of a pod and, where it has them, those of its ConfigMap and Secret, and of its claim. */
export const podFile = (pod: ChaosPod) => `${pod.name}.yaml`;
export const pageFile = (pod: ChaosPod) => `${pod.name}-page.yaml`;
export const claimFile = (pod: ChaosPod) => `${pod.name}-claim.yaml`;
export const hasPage = (pod: ChaosPod) => pod.shape === "config";

export const podText = (pod: ChaosPod, startsDirectory: string): string =>
  JSON.stringify(podObject(pod, startsDirectory), null, 1);

export const pageText = (pod: ChaosPod): string =>
  [
    { kind: "ConfigMap", data: { version: `${pod.page}` } },
    { kind: "Secret", stringData: { word: `s${pod.page}` } },
  ].map((o) => JSON.stringify({ apiVersion: "v1", metadata: { name: pageName(pod) }, ...o })).join("\n---\n");

export const claimText = (pod: ChaosPod): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: claimName(pod) },
    spec: {
      accessModes: ["ReadWriteOnce"],
      storageClassName: "chaos",
      resources: { requests: { storage: "8Mi" } },
    },
  });

/** Ways to break a manifest: cut in the middle, a wrong type, an unknown field. */
export function broken(text: string, way: number): string {
  if (way === 0) return text.slice(0, text.length / 2);
  if (way === 1) {
    return text.replace(/"terminationGracePeriodSeconds": 1/, '"terminationGracePeriodSeconds": "x"');
  }
  return text.replace(/"restartPolicy"/, '"restartPolcy"');
}
