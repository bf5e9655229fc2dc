/** Rows for the security contexts of pods and containers. */
import { needsCluster, open, proven, provenBut, rejected, type Rows, withSample } from "./row.ts";

const spec = "tests/e2e/cri_test.ts: what a spec says, the container sees";
const wins =
  "tests/unit/plugins/cri/security_test.ts: the container's security context wins over the pod's; what it leaves out is the pod's";
const sandbox =
  "tests/unit/plugins/cri/translate_sandbox_test.ts: toSandboxConfig: the pod's security context, with the sandbox itself always under the runtime's seccomp profile";
const nonRoot =
  "tests/unit/plugins/cri/security_test.ts: runAsNonRoot is checked before anything is created, in the kubelet's words";
const seccomp =
  "tests/unit/plugins/cri/security_test.ts: seccomp: container over pod over default; Localhost below the root";
const apparmor =
  "tests/unit/plugins/cri/security_test.ts: AppArmor: the field, else the beta annotation, else the runtime's choice";
const privileges =
  "tests/unit/plugins/cri/security_test.ts: privileges: no_new_privs only when escalation is refused, masks unless procMount is Unmasked";
const admitted = "tests/e2e/admission_test.ts";
const windows = "means nothing on Linux";

export const security: Rows = {
  PodSecurityContext: {
    fsGroup: proven(spec),
    fsGroupChangePolicy: withSample(
      "OnRootMismatch",
      provenBut(
        "the volumes that the agent makes begin empty or are the agent's own, so that nothing is left to change",
        "tests/e2e/contents_test.ts: fsGroup, fsGroupChangePolicy, defaultMode, mode, items and optional: owners and modes of what containers see",
      ),
    ),
    runAsGroup: proven(spec, wins),
    runAsNonRoot: proven(nonRoot),
    runAsUser: proven(spec, wins),
    seLinuxChangePolicy: needsCluster("is about volumes of CSI drivers", { sample: "Recursive" }),
    supplementalGroups: proven(spec),
    supplementalGroupsPolicy: open,
    windowsOptions: needsCluster(windows),
  },
  SecurityContext: {
    allowPrivilegeEscalation: proven(privileges),
    privileged: open,
    procMount: proven(privileges),
    readOnlyRootFilesystem: open,
    runAsGroup: proven(spec, wins),
    runAsNonRoot: proven(nonRoot),
    runAsUser: proven(spec, wins),
    windowsOptions: needsCluster(windows),
  },
  Capabilities: { add: proven(spec), drop: proven(spec) },
  SELinuxOptions: { level: open, role: open, type: open, user: open },
  SeccompProfile: { localhostProfile: proven(seccomp), type: proven(seccomp) },
  AppArmorProfile: { localhostProfile: proven(apparmor), type: proven(apparmor) },
  Sysctl: {
    name: proven(`${admitted}: sysctls: safe and allowed ones are set, others refused`),
    value: proven(`${admitted}: sysctls: safe and allowed ones are set, others refused`),
  },
  PodOS: { name: proven(`${admitted}: nodeSelector, nodeAffinity and os: only what is for this node`) },
};

export const admission: Rows = {
  PodReadinessGate: { conditionType: open },
};

void rejected;
void sandbox;
