/**
 * Every key of the configuration as a table: KubeletConfiguration (kubelet.config.k8s.io/v1beta1, as of Kubernetes
 * v1.36) and our own AgentConfiguration. Parsing, flags, help and `agent config` read it. Not for: reading values.
 *
 * Source: k8s.io/kubelet/config/v1beta1, types.go, and k8s.io/component-base/logs/api/v1 for `logging`.
 */

/**
 * `path` is absolute; `endpoint` a `unix://` address or an absolute path; `port` 0 to 65535; `texts`, `ips`, `cidrs` and
 * `ints` are lists; `*Map` are mappings to scalars; `mapping` and `mappings` are not looked into.
 */
export type ValueType =
  | "text"
  | "path"
  | "endpoint"
  | "bool"
  | "int"
  | "float"
  | "duration"
  | "quantity"
  | "ip"
  | "port"
  | "texts"
  | "paths"
  | "ips"
  | "cidrs"
  | "ints"
  | "textMap"
  | "boolMap"
  | "quantityMap"
  | "mapping"
  | "mappings";

export interface KeySpec {
  /** Path in the document: `authentication.anonymous.enabled`. */
  readonly key: string;
  readonly type: ValueType;
  /** As it is written in the document; `undefined`: unset. What it becomes for a private instance: config.ts. */
  readonly default: unknown;
  /** The kubelet's name, without dashes. */
  readonly flag?: string;
  readonly meaning: string;
  /** Accepted, checked and without effect when false. */
  readonly supported: boolean;
  /** Of a key without effect: the value that asks for what is done anyway. */
  readonly anyway?: unknown;
  readonly oneOf?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** Whose document it belongs to. */
  readonly owner: "kubelet" | "agent";
}

type Limits = Partial<Pick<KeySpec, "oneOf" | "min" | "max" | "anyway">>;
type Row = [key: string, type: ValueType, value: unknown, flag: string, meaning: string, limits?: Limits];

const table = (owner: KeySpec["owner"], supported: boolean, rows: readonly Row[]): KeySpec[] =>
  rows.map(([key, type, value, flag, meaning, limits]) => ({
    key,
    type,
    default: value,
    meaning,
    supported,
    owner,
    ...(flag !== "" && { flag }),
    ...limits,
  }));

const percent: Limits = { min: 0, max: 100 };
const natural: Limits = { min: 0 };

// deno-fmt-ignore
const supported = table("kubelet", true, [
  ["staticPodPath", "path", "/etc/kubernetes/manifests", "pod-manifest-path", "directory (or file) of pod manifests"],
  ["fileCheckFrequency", "duration", "20s", "file-check-frequency", "how often manifests are read anew besides events"],
  ["podLogsDir", "path", "/var/log/pods", "pod-logs-dir", "directory of the containers' log files"],
  ["healthzPort", "port", 10248, "healthz-port", "port of /healthz; 0 turns it off"],
  ["healthzBindAddress", "ip", "127.0.0.1", "healthz-bind-address", "address of /healthz"],
  ["clusterDomain", "text", "", "cluster-domain", "DNS domain that pods search besides the host's"],
  ["clusterDNS", "ips", [], "cluster-dns", "DNS servers of pods with dnsPolicy ClusterFirst"],
  ["resolvConf", "path", "/etc/resolv.conf", "resolv-conf", 'what pods with dnsPolicy Default resolve by; "" is nothing'],
  ["cgroupRoot", "text", "/", "cgroup-root", "cgroup below which all pods run"],
  ["cgroupDriver", "text", "", "cgroup-driver", 'who makes cgroups; "" asks the runtime', { oneOf: ["", "cgroupfs", "systemd"]}],
  ["podPidsLimit", "int", -1, "pod-max-pids", "most processes in a pod; -1 is no limit", { min: -1 }],
  ["cpuCFSQuota", "bool", true, "cpu-cfs-quota", "enforce CPU limits"],
  ["cpuCFSQuotaPeriod", "duration", "100ms", "cpu-cfs-quota-period", "period of CPU limits"],
  ["podCIDR", "cidrs", [], "pod-cidr", "addresses of pods in the managed runtime's network; unset: a free range"],
  ["serializeImagePulls", "bool", false, "serialize-image-pulls", "pull one image at a time (the kubelet's default; ours is several)"],
  ["maxParallelImagePulls", "int", 3, "", "how many images are pulled at once", { min: 1 }],
  ["containerLogMaxSize", "quantity", "10Mi", "container-log-max-size", "size at which a container's log is rotated"],
  ["containerLogMaxFiles", "int", 5, "container-log-max-files", "how many log files a container keeps", { min: 2}],
  ["crashLoopBackOff.maxContainerRestartPeriod", "duration", "5m", "", "longest wait before a restart"],
  ["maxPods", "int", 110, "max-pods", "most pods on the node", natural],
  ["podsPerCore", "int", 0, "pods-per-core", "most pods per core; 0 is no limit", natural],
  ["allowedUnsafeSysctls", "texts", [], "allowed-unsafe-sysctls", "sysctls that pods may set besides the safe ones; * ends a prefix"],
  ["userNamespaces.idsPerPod", "int", 65536, "", "user ids of a pod with a user namespace", { min: 65536 }],
  ["seccompDefault", "bool", false, "seccomp-default", "RuntimeDefault for containers that name no seccomp profile"],
  ["cpuManagerPolicy", "text", "none", "cpu-manager-policy", "static: Guaranteed containers that ask for whole CPUs have them for themselves", { oneOf: ["none", "None", "static"]}],
  ["cpuManagerPolicyOptions", "textMap", {}, "cpu-manager-policy-options", "full-pcpus-only, distribute-cpus-across-numa, align-by-socket, strict-cpu-reservation"],
  ["reservedSystemCPUs", "text", "", "reserved-cpus", "CPUs kept for the host, such as 0-1; instead of cpu in *Reserved"],
  ["systemReserved", "quantityMap", {}, "system-reserved", "cpu, memory and ephemeral-storage kept for the host; of other resources nothing is kept"],
  ["kubeReserved", "quantityMap", {}, "kube-reserved", "cpu, memory and ephemeral-storage kept for Kubernetes; of other resources nothing is kept"],
  ["topologyManagerPolicy", "text", "none", "topology-manager-policy", "whether CPUs and devices of a pod must be of the same NUMA nodes", { oneOf: ["none", "best-effort", "restricted", "single-numa-node"]}],
  ["topologyManagerScope", "text", "container", "topology-manager-scope", "of one container, or of all in the pod", { oneOf: ["container", "pod"]}],
  ["topologyManagerPolicyOptions", "textMap", {}, "topology-manager-policy-options", "prefer-closest-numa-nodes: true or false; max-allowable-numa-nodes: 8 to 16"],
  ["nodeStatusUpdateFrequency", "duration", "10s", "node-status-update-frequency", "how often the node is looked at"],
  ["volumeStatsAggPeriod", "duration", "1m", "volume-stats-agg-period", "how often volumes are measured at most; less than 0 is never"],
  ["eventRecordQPS", "int", 50, "event-qps", "events per second to the API server; 0 is no limit", natural],
  ["eventBurst", "int", 100, "event-burst", "events at once to the API server", natural],
  ["kubeAPIQPS", "int", 50, "kube-api-qps", "statuses of pods per second to the API server; 0 is no limit"],
  ["kubeAPIBurst", "int", 100, "kube-api-burst", "statuses of pods at once to the API server", natural],
  ["containerRuntimeEndpoint", "endpoint", "", "container-runtime-endpoint", 'socket of the runtime; "" looks at the usual places; managed: a containerd of the agent\'s own'],
  ["imageServiceEndpoint", "endpoint", "", "image-service-endpoint", 'socket of the image service; "": the runtime\'s'],
  ["rotateCertificates", "bool", true, "rotate-certificates", "renew the client certificate before it ends (the kubelet's default: false)"],
  ["logging.format", "text", "text", "logging-format", "form of the agent's log", { oneOf: ["text", "json"]}],
  ["logging.verbosity", "int", 0, "v", "detail of the agent's log; 4 and more is for debugging", natural],
]);

// deno-fmt-ignore
const node = table("kubelet", true, [
  ["registerNode", "bool", true, "register-node", "register the node with the API server"],
  ["registerWithTaints", "mappings", [], "register-with-taints", "taints that the node registers with"],
  ["providerID", "text", "", "provider-id", "the node's name at the cloud provider"],
  ["nodeStatusReportFrequency", "duration", "5m", "", "how often an unchanged node is reported"],
  ["nodeLeaseDurationSeconds", "int", 40, "", "how long the node's lease holds", { min: 1 }],
  ["nodeStatusMaxImages", "int", 50, "node-status-max-images", "images named in the node's status; -1 is all", { min: -1 }],
  ["enableControllerAttachDetach", "bool", true, "enable-controller-attach-detach", "the control plane attaches volumes of its pods to the node"],
  ["evictionHard", "textMap", { "memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%", "imagefs.available": "15%", "imagefs.inodesFree": "5%"}, "eviction-hard", "what must stay free, else a node of a cluster tells of pressure and evicts pods, static ones never"],
  ["evictionSoft", "textMap", {}, "eviction-soft", "the same, but pods are evicted only after a grace period"],
  ["evictionSoftGracePeriod", "textMap", {}, "eviction-soft-grace-period", "how long a soft threshold must be passed, by signal"],
  ["evictionMaxPodGracePeriod", "int", 0, "eviction-max-pod-grace-period", "longest grace of pods that a soft threshold ends, in seconds", natural],
  ["evictionMinimumReclaim", "textMap", {}, "eviction-minimum-reclaim", "what must be free above a threshold before evictions end, by signal"],
  ["mergeDefaultEvictionSettings", "bool", false, "", "add the default thresholds to those of evictionHard"],
  ["imageMinimumGCAge", "duration", "2m", "minimum-image-ttl-duration", "on a node of a cluster: how long an unused image is kept at least"],
  ["imageMaximumGCAge", "duration", "0s", "", "on a node of a cluster: how long an unused image is kept at most; 0s is no limit"],
  ["imageGCHighThresholdPercent", "int", 85, "image-gc-high-threshold", "disk use from which a node of a cluster removes unused images, looked at every 5m; 100 is never", percent],
  ["imageGCLowThresholdPercent", "int", 80, "image-gc-low-threshold", "disk use at which that ends", percent],
  ["evictionPressureTransitionPeriod", "duration", "5m", "eviction-pressure-transition-period", "how long the node tells of pressure at least"],
]);

// deno-fmt-ignore
const kubeletApi = table("kubelet", true, [
  ["enableServer", "bool", true, "enable-server", "serve the kubelet API"],
  ["address", "ip", "0.0.0.0", "address", "address of the kubelet API"],
  ["port", "port", 10250, "port", "port of the kubelet API; 0 turns it off"],
  ["readOnlyPort", "port", 0, "read-only-port", "port of the kubelet API without authentication; 0 turns it off"],
  ["tlsCertFile", "path", "", "tls-cert-file", "certificate of the kubelet API"],
  ["tlsPrivateKeyFile", "path", "", "tls-private-key-file", "key of the kubelet API's certificate"],
  ["tlsMinVersion", "text", "", "tls-min-version", "lowest TLS version of the kubelet API", { oneOf: ["", "VersionTLS12", "VersionTLS13"]}],
  ["serverTLSBootstrap", "bool", false, "rotate-server-certificates", "request a serving certificate from the cluster"],
  ["authentication.x509.clientCAFile", "path", "", "client-ca-file", "whose client certificates are believed"],
  ["authentication.webhook.enabled", "bool", true, "authentication-token-webhook", "ask the API server about tokens"],
  ["authentication.webhook.cacheTTL", "duration", "2m", "authentication-token-webhook-cache-ttl", "how long its answer holds"],
  ["authentication.anonymous.enabled", "bool", false, "anonymous-auth", "accept requests without credentials"],
  ["authorization.mode", "text", "Webhook", "authorization-mode", "who decides about requests", { oneOf: ["Webhook", "AlwaysAllow"]}],
  ["authorization.webhook.cacheAuthorizedTTL", "duration", "5m", "authorization-webhook-cache-authorized-ttl", "how long yes holds"],
  ["authorization.webhook.cacheUnauthorizedTTL", "duration", "30s", "authorization-webhook-cache-unauthorized-ttl", "how long no holds"],
  ["enableDebuggingHandlers", "bool", true, "enable-debugging-handlers", "serve exec, logs and port-forward"],
  ["enableSystemLogHandler", "bool", true, "", "serve /var/log"],
  ["streamingConnectionIdleTimeout", "duration", "4h", "streaming-connection-idle-timeout", "when an idle exec is closed"],
]);

// deno-fmt-ignore
const serving = table("kubelet", false, [
  ["runtimeRequestTimeout", "duration", "2m", "runtime-request-timeout", "longest wait for a runtime call, pulls aside"],
  ["tlsCipherSuites", "texts", [], "tls-cipher-suites", "cipher suites of the kubelet API"],
  ["tlsCurvePreferences", "ints", [], "tls-curve-preferences", "key exchange of the kubelet API, by TLS numbers"],
  ["enableContentionProfiling", "bool", false, "contention-profiling", "serve lock contention profiles"],
  ["enableProfilingHandler", "bool", true, "", "serve profiles"],
  ["enableDebugFlagsHandler", "bool", true, "", "let the verbosity be changed by HTTP"],
  ["enableSystemLogQuery", "bool", false, "", "serve the logs of system services"],
  ["showHiddenMetricsForVersion", "text", "", "show-hidden-metrics-for-version", "serve metrics that version hid"],
  ["tracing.endpoint", "text", "", "", "where traces are sent"],
  ["tracing.samplingRatePerMillion", "int", 0, "", "how many traces are sent", natural],
]);

// deno-fmt-ignore
const cluster = table("kubelet", false, [
  ["staticPodURL", "text", "", "manifest-url", "address to fetch pod manifests from"],
  ["staticPodURLHeader", "mapping", {}, "manifest-url-header", "HTTP headers for that"],
  ["httpCheckFrequency", "duration", "20s", "http-check-frequency", "how often that is fetched"],
  ["syncFrequency", "duration", "1m", "sync-frequency", "longest time between two looks at a pod"],
  ["contentType", "text", "application/vnd.kubernetes.protobuf", "kube-api-content-type", "form of API requests"],
  ["configMapAndSecretChangeDetectionStrategy", "text", "Watch", "", "how changes of ConfigMaps and Secrets are seen", { oneOf: ["Get", "Cache", "Watch"]}],
]);

// deno-fmt-ignore
const resources = table("kubelet", false, [
  ["registryPullQPS", "int", 5, "registry-qps", "image pulls per second; 0 is no limit", natural],
  ["registryBurst", "int", 10, "registry-burst", "image pulls at once", natural],
  ["imagePullCredentialsVerificationPolicy", "text", "NeverVerifyPreloadedImages", "", "when pods prove access to images", { oneOf: ["NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify"]}],
  ["preloadedImagesVerificationAllowlist", "texts", [], "", "images that need no proof"],
  ["oomScoreAdj", "int", -999, "oom-score-adj", "of the agent itself", { min: -1000, max: 1000 }],
  ["kubeletCgroups", "text", "", "kubelet-cgroups", "cgroup of the agent itself"],
  ["systemCgroups", "text", "", "system-cgroups", "cgroup of the host's other programs"],
  ["cgroupsPerQOS", "bool", true, "cgroups-per-qos", "one cgroup for each quality of service"],
  ["singleProcessOOMKill", "bool", undefined, "", "out of memory ends one program, not the container"],
  ["cpuManagerReconcilePeriod", "duration", "10s", "cpu-manager-reconcile-period", "how often that is checked"],
  ["memoryManagerPolicy", "text", "None", "memory-manager-policy", "whether pods get memory of NUMA nodes", { oneOf: ["None", "none", "Static"]}],
  ["qosReserved", "textMap", {}, "qos-reserved", "memory kept for better quality of service"],
  ["maxOpenFiles", "int", 1000000, "max-open-files", "open files of the agent", natural],
  ["memorySwap.swapBehavior", "text", "", "", "whether pods may swap", { oneOf: ["", "NoSwap", "LimitedSwap"]}],
  ["failSwapOn", "bool", true, "fail-swap-on", "refuse to run on a host with swap", { anyway: false }],
  ["systemReservedCgroup", "text", "", "system-reserved-cgroup", "cgroup that systemReserved is enforced on"],
  ["kubeReservedCgroup", "text", "", "kube-reserved-cgroup", "cgroup that kubeReserved is enforced on"],
  ["enforceNodeAllocatable", "texts", ["pods"], "enforce-node-allocatable", "what reservations are enforced on"],
  ["reservedMemory", "mappings", [], "reserved-memory", "memory kept for the host by NUMA node"],
  ["memoryThrottlingFactor", "float", undefined, "", "part of a memory limit at which throttling begins", { min: 0, max: 1}],
  ["memoryReservationPolicy", "text", "None", "", "how memory requests are kept for pods", { oneOf: ["None", "TieredReservation"]}],
  ["kernelMemcgNotification", "bool", false, "kernel-memcg-notification", "let the kernel tell of memory pressure"],
  ["localStorageCapacityIsolation", "bool", true, "local-storage-capacity-isolation", "account for ephemeral storage"],
]);

// deno-fmt-ignore
const host = table("kubelet", false, [
  ["hairpinMode", "text", "promiscuous-bridge", "hairpin-mode", "how pods reach themselves through a service", { oneOf: ["promiscuous-bridge", "hairpin-veth", "none"]}],
  ["runOnce", "bool", false, "runonce", "run the pods once and leave"],
  ["protectKernelDefaults", "bool", false, "protect-kernel-defaults", "refuse unexpected kernel settings"],
  ["makeIPTablesUtilChains", "bool", true, "make-iptables-util-chains", "make the iptables chains of Kubernetes"],
  ["iptablesMasqueradeBit", "int", 14, "iptables-masquerade-bit", "mark of packets to masquerade", { min: 0, max: 31}],
  ["iptablesDropBit", "int", 15, "iptables-drop-bit", "mark of packets to drop", { min: 0, max: 31 }],
  ["featureGates", "boolMap", {}, "feature-gates", "switches of Kubernetes features"],
  ["containerLogMaxWorkers", "int", 1, "", "log rotations at once", { min: 1 }],
  ["containerLogMonitorInterval", "duration", "10s", "", "how often log sizes are looked at"],
  ["defaultPodSysctls", "textMap", {}, "", "sysctls of every pod"],
  ["volumePluginDir", "path", "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/", "volume-plugin-dir", "directory of flexvolume drivers"],
  ["failCgroupV1", "bool", true, "", "refuse to run on cgroup v1", { anyway: false }],
  ["shutdownGracePeriod", "duration", "0s", "", "how long a shutdown of the host waits for pods"],
  ["shutdownGracePeriodCriticalPods", "duration", "0s", "", "how much of that is for critical pods"],
  ["shutdownGracePeriodByPodPriority", "mappings", [], "", "how long a shutdown waits, by priority"],
  ["logging.flushFrequency", "duration", "5s", "log-flush-frequency", "how often the log is flushed"],
  ["logging.vmodule", "mappings", [], "vmodule", "verbosity by source file"],
  ["logging.options", "mapping", {}, "", "options of the log formats"],
]);

// deno-fmt-ignore
const agent = table("agent", true, [
  ["rootDir", "path", "/var/lib/kubelet", "root-dir", "directory of pods, volumes and state; another one is a private instance"],
  ["hostnameOverride", "text", "", "hostname-override", 'name of the node; "" is the host\'s name in lower case'],
  ["nodeLabels", "textMap", {}, "node-labels", "labels of the node, besides its name, system and architecture"],
  ["nodeIPs", "ips", [], "node-ip", "addresses of the node; unset: those of the default route"],
  ["kubeconfig", "path", "", "kubeconfig", 'how the API server of the cluster is reached whose node this is; "" is no cluster'],
  ["bootstrapKubeconfig", "path", "", "bootstrap-kubeconfig", "how a certificate is asked for while kubeconfig does not exist, or has none that serves"],
  ["certDir", "path", "", "cert-dir", 'directory of the node\'s certificates; "": pki in rootDir'],
  ["offline.keyFile", "path", "", "", "file of 16 bytes or more by which what is kept of the cluster is encrypted; \"\": one in the state directory"],
  ["offline.maxSize", "quantity", "64Mi", "", "how much is kept of the cluster, for a start without its API server"],
  ["offline.maxSilence", "duration", "0s", "", "how long pods of the cluster run on without a word of its API server; 0s is for ever"],
  ["offline.obeyTolerations", "bool", false, "", "pods of the cluster end here when its control plane gives them to other nodes: 40s of silence after which they do not tolerate node.kubernetes.io/unreachable"],
  ["socket", "path", "/run/agent/agent.sock", "socket", "where the agent answers its own commands"],
  ["containerLogsDir", "path", "", "container-logs-dir", 'directory of links to log files; "": containers beside podLogsDir'],
  ["imagesDir", "path", "", "images-dir", 'directory of image archives to import; "": images in the state directory'],
  ["pluginsDir", "path", "/etc/kubernetes/plugins.d", "", "directory of drivers that the agent runs itself"],
  ["imageCredentialProviderConfig", "path", "", "image-credential-provider-config", "CredentialProviderConfig, a file or a directory of them; \"\" is none"],
  ["imageCredentialProviderBinDir", "path", "", "image-credential-provider-bin-dir", "directory of the credential providers' programs"],
  ["volumesDir", "path", "/var/lib/agent/volumes", "volumes-dir", "directory of the volumes that claims get without a driver"],
  ["crashLoopBackOff.initialPeriod", "duration", "10s", "", "first wait before a restart"],
  ["crashLoopBackOff.resetPeriod", "duration", "10m", "", "a container that ran this long starts with the first wait again"],
  ["evictionBackOff.initialPeriod", "duration", "5m", "", "first wait before an evicted pod begins anew"],
  ["evictionBackOff.maxPeriod", "duration", "1h", "", "longest wait before an evicted pod begins anew"],
  ["deviceWait", "duration", "5m", "", "how long a pod waits for devices that nobody offers, before it is refused"],
  ["devices", "mappings", [], "", "device nodes of the host as resources of pods: resource, paths, and share, permissions, group"],
  ["builtinDevices", "bool", true, "", "agent.local/kvm, fuse, tun, dri, video and serial, and NVIDIA's GPUs, are resources without more ado"],
  ["cdi.specDirs", "paths", ["/etc/cdi", "/var/run/cdi"], "", "directories of CDI specs; the later ones win"],
  ["cdi.resources", "bool", true, "", "kinds of CDI devices (vendor/class) are resources of pods"],
  ["cdi.appliedBy", "text", "auto", "", "who makes of CDI devices what a container gets; auto: the runtime, where it can", { oneOf: ["auto", "runtime", "agent"]}],
  ["managedRuntime.root", "path", "", "", "persistent directory of the managed containerd"],
  ["managedRuntime.state", "path", "", "", "volatile directory of the managed containerd"],
  ["managedRuntime.socket", "path", "", "", "socket of the managed containerd"],
  ["managedRuntime.binDirs", "paths", [], "", "where containerd and runc are looked for besides the usual places"],
  ["managedRuntime.cniConfDir", "path", "", "", "directory of the managed containerd's network configuration"],
  ["managedRuntime.cniBinDirs", "paths", [], "", "where CNI plugins are looked for besides the usual places"],
  ["managedRuntime.runtimes", "textMap", {}, "", "further handlers for RuntimeClasses: name and path of an OCI runtime such as crun"],
  ["network.write", "bool", false, "", "write a bridge network for pods also for a runtime of somebody else, where its directory of networks (managedRuntime.cniConfDir) is empty"],
  ["network.bandwidth", "bool", false, "", "obey kubernetes.io/ingress-bandwidth and egress-bandwidth in the network that the agent writes"],
  ["network.collectLeaks", "bool", true, "", "give back addresses and interfaces of pods that are gone"],
  ["managedRuntime.registryConfigDir", "path", "/etc/containerd/certs.d", "", "directory of HOST/hosts.toml files"],
]);

/** In the order in which they are shown. */
export const keys: readonly KeySpec[] = [
  ...agent,
  ...supported,
  ...kubeletApi,
  ...node,
  ...host,
  ...resources,
  ...serving,
  ...cluster,
];

export const keyByName: ReadonlyMap<string, KeySpec> = new Map(keys.map((k) => [k.key, k]));
