/** Rows for resources, their limits and their changes in place. */
import { open, proven, rejected, type Rows } from "./row.ts";

const limits = "tests/e2e/inside_test.ts: limits in its cgroup, below the cgroups of its pod and its class";

export const resources: Rows = {
  PodSpec: { resources: open },
  ResourceRequirements: {
    claims: rejected("dynamic resource allocation needs its API objects"),
    limits: proven(limits, "tests/e2e/edits_test.ts: resources alone change in place"),
    requests: proven(limits),
  },
  ContainerResizePolicy: { resourceName: open, restartPolicy: open },
};
