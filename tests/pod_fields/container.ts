/** Rows for Container, its environment, ports, probes and hooks. */
import { proven, provenBut, type Rows, withSample } from "./row.ts";

const inside = "tests/e2e/inside_test.ts: variables, arguments, working directory";
const env = "tests/unit/agent/model/env_test.ts";
const config =
  "tests/unit/plugins/cri/translate_container_test.ts: toContainerConfig: identity, image, command, labels and annotations";
const attach =
  "tests/e2e/exec_test.ts: attach: a container's own terminal and input, and only its output without -i";
const hostPorts =
  "tests/unit/plugins/cri/translate_sandbox_test.ts: toSandboxConfig: host ports of containers and sidecars";
const readiness = "tests/e2e/probes_test.ts: readiness comes and goes, and restarts nothing";
const thresholds =
  "tests/unit/agent/model/probe_test.ts: readiness begins false, and its thresholds count results in a row";
const url = "tests/unit/agent/model/probe_target_test.ts: a URL from scheme, host, port and path";
const portNames =
  "tests/unit/agent/model/probe_target_test.ts: ports by name, by number and by a number in quotes";
const headers =
  "tests/unit/plugins/probe/prober_test.ts: httpHeaders are sent, repeated ones too; Host and User-Agent stand instead of the prober's own";
const grpc =
  "tests/unit/plugins/probe/grpc_test.ts: a grpc probe succeeds with SERVING only, and names the service";
const targets =
  "tests/unit/agent/model/probe_target_test.ts: grpc asks the pod by port and service, tcpSocket the host that it names";
const lastWords =
  "tests/e2e/endings_test.ts: terminationMessagePath and terminationMessagePolicy give the last words";
const hooks =
  "tests/e2e/lifecycle_test.ts: lifecycle hooks: postStart and preStop by exec, httpGet, tcpSocket and sleep";
const badHooks = "tests/e2e/lifecycle_test.ts: a lifecycle hook that fails is told, and the stop goes on";
const sidecars =
  "tests/e2e/lifecycle_test.ts: sidecars (initContainers with restartPolicy Always) start in order and stop last, in reverse";
const rules =
  "tests/e2e/lifecycle_test.ts: restartPolicy and restartPolicyRules of single containers, exitCodes In and NotIn";
const ruleTable =
  "tests/unit/agent/model/restart_test.ts: restartPolicyRules: the first action whose exitCodes, by operator and values, match goes before the policy";

const downward =
  "tests/e2e/contents_test.ts: the downward API: fields, resources with divisors, addresses; live labels and annotations in files";
const envFile = "tests/e2e/mounts_test.ts: fileKeyRef: an init container writes variables for the others";

export const container: Rows = {
  Container: {
    args: proven(inside),
    command: proven(
      "tests/unit/agent/model/env_test.ts: command, args and subPathExpr are filled in from the resolved variables",
    ),
    image: proven("tests/e2e/registry_test.ts: images from a registry"),
    imagePullPolicy: proven("tests/e2e/registry_test.ts: Never, IfNotPresent, Always"),
    name: proven(config),
    restartPolicy: proven(
      rules,
      sidecars,
      "tests/unit/agent/model/restart_test.ts: a container's own restartPolicy goes before the pod's; an init container that succeeded never runs again",
    ),
    stdin: proven(attach),
    stdinOnce: proven(
      "tests/e2e/exec_test.ts: attach: stdinOnce ends the input with its first client; without it clients come and go; the default container",
    ),
    terminationMessagePath: proven(lastWords),
    terminationMessagePolicy: proven(
      lastWords,
      "tests/unit/agent/model/termination_test.ts: FallbackToLogsOnError (terminationMessagePolicy): the last 80 lines of the log, at most 2048 bytes",
    ),
    tty: proven(attach),
    workingDir: proven(inside),
  },
  EnvVar: {
    name: proven(inside),
    value: proven(inside, `${env}: expansion follows the table of Kubernetes' expansion_test.go`),
  },
  EnvVarSource: { fileKeyRef: proven(envFile) },
  EnvFromSource: { prefix: proven(inside, `${env}: prefix, secrets as text, stringData, optional sources`) },
  ConfigMapEnvSource: { name: proven(inside), optional: proven(inside) },
  SecretEnvSource: {
    name: proven(inside),
    optional: proven(`${env}: prefix, secrets as text, stringData, optional sources`),
  },
  ConfigMapKeySelector: {
    key: proven(inside),
    name: proven(inside),
    optional: proven(`${env}: an optional key that is absent leaves the value of envFrom`),
  },
  SecretKeySelector: {
    key: proven(inside),
    name: proven(inside),
    optional: proven(`${env}: an optional key that is absent leaves the value of envFrom`),
  },
  ObjectFieldSelector: {
    apiVersion: withSample("v1", proven(downward)),
    fieldPath: proven(inside, `${env}: fieldRef reads the pod and the node`),
  },
  ResourceFieldSelector: {
    containerName: proven(
      "tests/unit/agent/model/volumes_test.ts: downwardAPI reads metadata and resources of a named container only",
    ),
    divisor: proven(inside, `${env}: resourceFieldRef divides and rounds up; missing limits are the node's`),
    resource: proven(inside, `${env}: resourceFieldRef divides and rounds up; missing limits are the node's`),
  },
  ContainerPort: {
    containerPort: proven(hostPorts),
    hostIP: proven(hostPorts),
    hostPort: proven(
      hostPorts,
      "tests/e2e/web_test.ts: two containers share localhost and a volume, a ConfigMap is the page, a host port leads to it",
    ),
    name: proven(portNames),
    protocol: proven(hostPorts),
  },
  ContainerRestartRule: {
    action: proven(rules, ruleTable, "tests/golden/restart-rules-all-containers-end-at-once"),
  },
  ContainerRestartRuleOnExitCodes: { operator: proven(rules, ruleTable), values: proven(rules, ruleTable) },
  Probe: {
    failureThreshold: proven(readiness, thresholds),
    grpc: proven(grpc),
    initialDelaySeconds: proven(
      "tests/unit/agent/model/probe_test.ts: the initial delay is counted from the container's start, whatever a clock that was set says",
    ),
    periodSeconds: proven(
      readiness,
      "tests/unit/agent/model/probe_test.ts: periods do not drift, and those that a slow answer missed are left out",
    ),
    successThreshold: proven(thresholds),
    terminationGracePeriodSeconds: proven(
      "tests/unit/agent/model/probe_test.ts: a failed liveness probe is not asked again, and brings its own grace",
    ),
    timeoutSeconds: proven(readiness),
  },
  ExecAction: { command: proven(readiness) },
  GRPCAction: { port: proven(grpc, targets), service: proven(grpc, targets) },
  HTTPGetAction: {
    host: proven(url),
    path: proven(url),
    port: proven(url, portNames),
    scheme: proven(url),
  },
  HTTPHeader: { name: proven(headers), value: proven(headers) },
  TCPSocketAction: { host: proven(targets), port: proven(portNames) },
  Lifecycle: {
    postStart: provenBut(
      "a tcpSocket hook connects, where the kubelet refuses it; one that the agent's death cut off is run again",
      hooks,
      badHooks,
      "tests/unit/agent/reconcile/hooks_test.ts: postStart runs before the next container starts, and until then its own does not count as running",
    ),
    preStop: provenBut(
      "a tcpSocket hook connects, where the kubelet refuses it",
      hooks,
      badHooks,
      "tests/e2e/lifecycle_test.ts: kill -9 in the middle of a preStop hook: the next agent runs it again, then stops",
    ),
    stopSignal: provenBut(
      "with containerd 2.1 or newer and CRI-O; older runtimes know the image's own only",
      "tests/unit/plugins/cri/translate_container_test.ts: toSignal: names of lifecycle.stopSignal; anything else is the image's own",
    ),
  },
  LifecycleHandler: { sleep: proven(hooks) },
  SleepAction: {
    seconds: proven(hooks, "tests/unit/agent/model/validate_test.ts: sleep longer than the grace period"),
  },
};
