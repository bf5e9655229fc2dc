/** Rows for what the agent reports: PodStatus, ContainerStatus and what is in them. */
import { needsCluster, proven, provenBut, type Rows } from "./row.ts";

const quiet = { quiet: "a manifest's status is not read: what runs here decides it" };
const server = (why: string) => needsCluster(why, quiet);
const failing = "tests/golden/never-with-a-failure-is-failed";
const backOff = "tests/golden/second-exit-waits";
const own = "tests/golden/resources-of-the-pod-change-in-place";
const ended = "tests/golden/a-pod-that-was-ended-stays-ended-and-keeps-its-records";
const lastWords = "tests/golden/exit-codes-signals-and-last-words-are-told";
const user = provenBut(
  "with containerd 2.0 or newer and CRI-O; older runtimes do not tell",
  "tests/unit/plugins/cri/observe_test.ts: observe: the user of a container, where the runtime tells",
  "tests/golden/all-is-well",
);
const devices = "tests/golden/devices-of-a-container-are-told-with-their-health";
const draws = "dynamic resource allocation";

const mounts =
  "tests/e2e/mounts_test.ts: readOnly, recursiveReadOnly and what status.volumeMounts says of them";
const imageRef =
  "tests/e2e/image_volumes_test.ts: another image.reference replaces the containers that mount it";

export const status: Rows = {
  PodStatus: {
    allocatedResources: proven(own),
    extendedResourceClaimStatus: server(draws),
    hostIP: proven(failing),
    hostIPs: proven(failing),
    message: proven(ended),
    nodeAllocatableResourceClaimStatuses: server(draws),
    nominatedNodeName: server("is the scheduler's"),
    observedGeneration: server("follows metadata.generation, which the API server counts"),
    phase: proven(failing),
    podIP: proven(failing),
    podIPs: proven(failing),
    qosClass: proven(failing),
    reason: proven(ended),
    resize: server("is set no more: conditions PodResizePending and PodResizeInProgress tell"),
    resourceClaimStatuses: server(draws),
    resources: proven(own),
    startTime: proven(failing),
    ephemeralContainerStatuses: proven(
      "tests/e2e/debug_test.ts: debug: ephemeral containers see their target, end once, outlive a crash and a restart, and go with the pod",
      "tests/unit/agent/reconcile/ephemeral_test.ts: an ephemeral container starts beside its target, and is adopted by the next agent as what it is",
    ),
  },
  PodCondition: {
    lastProbeTime: server("is no longer set by kubelets either"),
    lastTransitionTime: proven(failing),
    message: proven("tests/golden/running-but-not-ready"),
    observedGeneration: server("follows metadata.generation, which the API server counts"),
    reason: proven("tests/golden/running-but-not-ready"),
    status: proven(failing),
    type: proven(failing),
  },
  HostIP: { ip: proven(failing) },
  PodIP: { ip: proven(failing) },
  ContainerStatus: {
    allocatedResources: proven("tests/golden/new-resources-change-in-place"),
    allocatedResourcesStatus: proven(
      devices,
      "tests/e2e/devices_test.ts: allocatedResourcesStatus follows the health of devices",
    ),
    containerID: proven(failing),
    image: proven(failing),
    imageID: proven(failing),
    name: proven(failing),
    ready: proven("tests/golden/running-but-not-ready"),
    restartCount: proven(backOff),
    started: proven(failing),
    stopSignal: proven(lastWords),
    user,
    volumeMounts: proven(mounts),
  },
  ResourceStatus: { name: proven(devices) },
  ResourceHealth: {
    health: proven(devices),
    message: server(draws),
    resourceID: proven(devices),
  },
  LinuxContainerUser: { gid: user, supplementalGroups: user, uid: user },
  VolumeMountStatus: {
    mountPath: proven(mounts),
    name: proven(mounts),
    readOnly: proven(mounts),
    recursiveReadOnly: proven(mounts),
  },
  ImageVolumeStatus: { imageRef: proven(imageRef) },
  ContainerStateRunning: { startedAt: proven("tests/golden/all-is-well") },
  ContainerStateTerminated: {
    containerID: proven(failing),
    exitCode: proven(failing),
    finishedAt: proven(failing),
    message: proven(lastWords),
    reason: proven(failing, lastWords),
    signal: proven(lastWords),
    startedAt: proven(failing),
  },
  ContainerStateWaiting: { message: proven(backOff), reason: proven(backOff) },
};
