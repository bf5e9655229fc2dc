/** Rows for PodSpec and what belongs to the pod as a whole; security, volumes and resources have files of their own. */
import { needsCluster, proven, provenBut, rejected, type Rows } from "./row.ts";

const scheduler = "asks a scheduler; a manifest in the directory is for this node";
const accounts = "there are no service accounts without a control plane";
const names = "tests/e2e/inside_test.ts: host name, hosts, resolver, network";
const resolver =
  "tests/unit/agent/model/dns_test.ts: None takes only dnsConfig; Default adds it to the node's";
const classes = "tests/e2e/runtime_class_test.ts";
const admission = "tests/e2e/admission_test.ts";
const placed = `${admission}: nodeSelector, nodeAffinity and os: only what is for this node`;
const affinity =
  "tests/unit/agent/model/admission_test.ts: nodeSelector, and nodeAffinity with every operator, decide by the node's labels and name";
const rank =
  "tests/unit/agent/model/admission_test.ts: a pod that runs keeps its place, whatever its edit asks for, unless priorityClassName or priority needs it";
const spaces = "tests/e2e/security_test.ts: hostPID, hostIPC, shareProcessNamespace";
const called =
  "tests/e2e/security_test.ts: setHostnameAsFQDN, hostnameOverride, and a resolver within its limits";
const fqdn =
  "tests/unit/agent/model/hosts_test.ts: setHostnameAsFQDN gives the kernel the full name, which may have 64 characters; hostnameOverride is all";
const namespaces = "tests/unit/plugins/cri/translate_sandbox_test.ts: toSandboxConfig: namespaces";
const aliases = "tests/unit/agent/model/hosts_test.ts: aliases come last, one line for each address";

export const pod: Rows = {
  PodSpec: {
    activeDeadlineSeconds: proven(
      "tests/e2e/lifecycle_test.ts: activeDeadlineSeconds outlive the agent; an edit gives a new life",
      "tests/golden/a-deadline-that-is-over-ends-the-pod",
    ),
    automountServiceAccountToken: needsCluster(accounts),
    dnsPolicy: proven(
      names,
      "tests/unit/agent/model/dns_test.ts: ClusterFirst asks the cluster, and falls back to the node without one",
      resolver,
    ),
    enableServiceLinks: needsCluster("variables of Services", {
      quiet: "there are no Services here: either value means no variables",
    }),
    ephemeralContainers: rejected(
      "are for running pods (agent debug), in Kubernetes, too: never in a manifest",
    ),
    hostIPC: proven(namespaces, spaces),
    hostNetwork: proven(names),
    hostPID: proven(namespaces, spaces),
    hostUsers: provenBut(
      "needs containerd 2.0 and runc 1.2, CRI-O 1.25, or later ones; elsewhere the pod is refused",
      "tests/e2e/user_namespace_test.ts: hostUsers: false gives each pod ids of its own, and procMount Unmasked its /proc",
      "tests/unit/agent/reconcile/user_namespaces_test.ts: hostUsers: each pod has ids of its own, and keeps them over a crash of the agent",
    ),
    hostname: proven(names),
    hostnameOverride: proven(fqdn, called),
    imagePullSecrets: proven("tests/e2e/registry_test.ts: images from a registry"),
    nodeName: needsCluster(scheduler),
    nodeSelector: proven(placed, affinity),
    os: proven(placed),
    overhead: proven(
      "tests/unit/agent/model/pod_cgroup_test.ts: spec.resources of the pod limit its cgroup, whatever its containers declare; overhead comes on top",
      `${classes}: with the class it runs by its handler, with its overhead`,
    ),
    preemptionPolicy: needsCluster(scheduler, { sample: "Never" }),
    priority: proven(rank),
    priorityClassName: proven(
      rank,
      `${admission}: requests, priorityClassName and what has ended decide who has room`,
    ),
    resourceClaims: rejected("dynamic resource allocation needs its API objects"),
    restartPolicy: proven("tests/e2e/restarts_test.ts: OnFailure and Never"),
    runtimeClassName: proven(
      `${classes}: with the class it runs by its handler, with its overhead`,
      `${classes}: a class that nobody describes holds the pod, and is named`,
    ),
    schedulerName: needsCluster(scheduler),
    schedulingGates: rejected("would keep the pod from ever running: there is no scheduler"),
    schedulingGroup: rejected("there is no scheduler", {}),
    serviceAccount: needsCluster(accounts),
    serviceAccountName: needsCluster(accounts),
    setHostnameAsFQDN: proven(fqdn, called),
    shareProcessNamespace: proven(namespaces, spaces),
    subdomain: proven(names),
    terminationGracePeriodSeconds: proven(
      "tests/e2e/edits_test.ts: a removed pod is asked to end, and killed when its time is over",
    ),
    tolerations: needsCluster("answer taints of a Node object", {
      quiet: "without a control plane nothing taints this node; every pod tolerates that",
    }),
    topologySpreadConstraints: needsCluster(scheduler),
  },
  Affinity: { podAffinity: needsCluster(scheduler), podAntiAffinity: needsCluster(scheduler) },
  NodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: needsCluster(scheduler) },
  NodeSelectorRequirement: {
    key: proven(placed, affinity),
    operator: proven(placed, affinity),
    values: proven(placed, affinity),
  },
  LocalObjectReference: {
    name: provenBut(
      "a Secret of the manifest directory",
      "tests/e2e/registry_test.ts: a password opens it; a wrong one or none is said, and mended at once",
    ),
  },
  PodDNSConfig: { nameservers: proven(names, resolver), searches: proven(names) },
  PodDNSConfigOption: { name: proven(names), value: proven(names) },
  HostAlias: { hostnames: proven(names, aliases), ip: proven(names, aliases) },
};
