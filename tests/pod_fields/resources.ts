/** Rows for resources, their limits and their changes in place. */
import { proven, rejected, type Rows } from "./row.ts";

const limits = "tests/e2e/inside_test.ts: limits in its cgroup, below the cgroups of its pod and its class";

const policy =
  "tests/unit/agent/model/resize_test.ts: resizePolicy RestartContainer: a change of that resourceName restarts, of another does not";

const devices = "tests/e2e/devices_test.ts: a pod waits for its plugin; the device is usable inside";

const wholeNumbers =
  "tests/unit/agent/model/validate_resources_test.ts: ephemeral-storage is a resource of every node; limits of extended resources are whole numbers";

const inPlace =
  "tests/e2e/resources_test.ts: resources change in place, wait, are refused, restart; the next agent knows";

export const resources: Rows = {
  PodSpec: {
    resources: proven(
      "tests/e2e/resources_test.ts: spec.resources of the pod limit its cgroup and its containers",
      "tests/unit/agent/model/pod_cgroup_test.ts: spec.resources of the pod limit its cgroup, whatever its containers declare; overhead comes on top",
      "tests/unit/agent/model/linux_resources_test.ts: a container without a limit of its own has that of spec.resources of its pod",
      "tests/unit/agent/model/validate_resources_test.ts: spec.resources of the pod: requests default to those of the containers, else to the pod's limits",
    ),
  },
  ResourceRequirements: {
    claims: rejected("dynamic resource allocation needs its API objects"),
    limits: proven(limits, "tests/e2e/edits_test.ts: resources alone change in place", devices),
    requests: proven(limits, wholeNumbers),
  },
  ContainerResizePolicy: { resourceName: proven(policy, inPlace), restartPolicy: proven(policy, inPlace) },
};
