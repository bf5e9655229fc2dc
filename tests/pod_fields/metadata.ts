/** Rows for the pod's own envelope and its metadata. */
import { needsCluster, proven, provenBut, type Rows } from "./row.ts";

const identity =
  "tests/unit/plugins/cri/translate_sandbox_test.ts: toSandboxConfig: identity, labels and annotations";
const server = "what a server keeps of an object; no manifest needs it, and it has no effect here";

export const metadata: Rows = {
  Pod: {
    apiVersion: proven(
      "tests/unit/agent/model/manifest_test.ts: other kinds and versions say what is supported",
    ),
    kind: proven("tests/unit/agent/model/manifest_test.ts: other kinds and versions say what is supported"),
  },
  ObjectMeta: {
    name: proven(identity, "tests/e2e/inside_test.ts: variables, arguments, working directory"),
    namespace: proven(identity, "tests/e2e/edits_test.ts: edits and removals"),
    uid: provenBut(
      "follows node, namespace and name alone, so that an edited pod stays the same pod",
      "tests/unit/agent/model/hash_test.ts: a static pod's uid follows its name alone, its hash its content",
    ),
    labels: proven(identity, "tests/e2e/inside_test.ts: variables, arguments, working directory"),
    annotations: proven(identity, "tests/e2e/inside_test.ts: variables, arguments, working directory"),
    creationTimestamp: provenBut(
      "when this node first saw the pod",
      "tests/unit/agent/model/manifest_test.ts: what a server wrote into an exported pod has no say",
    ),
    deletionTimestamp: proven(
      "tests/e2e/edits_test.ts: a removed pod is asked to end, and killed when its time is over",
    ),
    deletionGracePeriodSeconds: needsCluster(server, { quiet: "set by the API server on deletion" }),
    generation: needsCluster(server, { quiet: "counted by the API server" }),
    resourceVersion: needsCluster(server, { quiet: "set by the API server" }),
    selfLink: needsCluster(server, { quiet: "set by the API server, formerly" }),
    managedFields: needsCluster(server, { quiet: "written by the API server into every exported object" }),
    generateName: needsCluster("the API server makes names of it; a file needs metadata.name", {
      quiet: "a missing name is an error that says so; beside a name it means nothing anywhere",
    }),
    finalizers: needsCluster("hold an object in the API server's store", {
      quiet: "a manifest goes when its file goes; there is no store to be held in",
    }),
    ownerReferences: needsCluster("are for the garbage collector of the control plane", {
      quiet: "written by controllers into exported pods",
    }),
  },
};
