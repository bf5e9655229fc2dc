/** Rows for the security contexts of pods and containers. */
import { needsCluster, proven, provenBut, rejected, type Rows, withSample } from "./row.ts";

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
const inside = "tests/e2e/security_test.ts";
const users = `${inside}: runAsUser, runAsGroup, groups, fsGroup, and runAsNonRoot with users of images`;
const rights =
  `${inside}: capabilities, privileged, allowPrivilegeEscalation, readOnlyRootFilesystem, masked paths`;
const filters = `${inside}: seccompProfile: RuntimeDefault, Unconfined, Localhost, and seccompDefault`;
const modules =
  `${inside}: appArmorProfile, supplementalGroupsPolicy Strict and seLinuxOptions on a host without them`;
const noModule =
  "the host of the tests has neither AppArmor nor SELinux: seen are the refusal and the CRI message";
const labels =
  "tests/unit/plugins/cri/security_test.ts: seLinuxOptions are passed on: user, role, type, level";
const unmasked =
  "tests/e2e/user_namespace_test.ts: hostUsers: false gives each pod ids of its own, and procMount Unmasked its /proc";
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
    runAsGroup: proven(spec, wins, users),
    runAsNonRoot: proven(nonRoot, users),
    runAsUser: proven(spec, wins, users),
    seLinuxChangePolicy: needsCluster("is about volumes of CSI drivers", { sample: "Recursive" }),
    supplementalGroups: proven(spec, users),
    supplementalGroupsPolicy: provenBut(
      "Strict needs containerd 2.0 or CRI-O 1.33; elsewhere the pod is refused",
      modules,
      "tests/e2e/user_namespace_test.ts: supplementalGroupsPolicy: Strict is taken where the runtime has it",
    ),
    windowsOptions: needsCluster(windows),
  },
  SecurityContext: {
    allowPrivilegeEscalation: proven(privileges, rights),
    privileged: proven(rights),
    procMount: proven(privileges, unmasked),
    readOnlyRootFilesystem: proven(rights),
    runAsGroup: proven(spec, wins, users),
    runAsNonRoot: proven(nonRoot, users),
    runAsUser: proven(spec, wins, users),
    windowsOptions: needsCluster(windows),
  },
  Capabilities: { add: proven(spec, rights), drop: proven(spec, rights) },
  SELinuxOptions: {
    level: provenBut(noModule, labels, modules),
    role: provenBut(noModule, labels, modules),
    type: provenBut(noModule, labels, modules),
    user: provenBut(noModule, labels, modules),
  },
  SeccompProfile: { localhostProfile: proven(seccomp, filters), type: proven(seccomp, filters) },
  AppArmorProfile: {
    localhostProfile: provenBut(noModule, apparmor),
    type: provenBut(noModule, apparmor, modules),
  },
  Sysctl: {
    name: proven(`${admitted}: sysctls: safe and allowed ones are set, others refused`),
    value: proven(`${admitted}: sysctls: safe and allowed ones are set, others refused`),
  },
  PodOS: { name: proven(`${admitted}: nodeSelector, nodeAffinity and os: only what is for this node`) },
};

export const admission: Rows = {
  PodReadinessGate: {
    conditionType: provenBut(
      "nobody sets such a condition without a control plane: the pod stays unready, as under a kubelet",
      "tests/golden/readiness-gates-nobody-sets-keep-the-pod-unready",
    ),
  },
};

void rejected;
void sandbox;
