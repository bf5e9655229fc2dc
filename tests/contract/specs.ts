/**
 * Sandbox and container specs for contract and end-to-end tests, with every value that does not matter filled in.
 */
import type { ContainerSpec, LinuxResources, SandboxSpec } from "../../agent/model/container.ts";
import type { Container, PodSpec } from "../../agent/model/gen/v1.ts";

export interface SandboxChoices {
  name?: string;
  uid?: string;
  attempt?: number;
  hash?: string;
  runtimeHandler?: string;
  userNamespace?: SandboxSpec["userNamespace"];
  /** Replaces parts of the pod's spec. */
  spec?: Partial<PodSpec>;
  annotations?: Record<string, string>;
  logDirectory?: string;
}

export function createSandboxSpec(choices: SandboxChoices = {}): SandboxSpec {
  const uid = choices.uid ?? crypto.randomUUID();
  const name = choices.name ?? "web";
  const metadata = {
    name,
    namespace: "default",
    uid,
    labels: { app: name },
    annotations: choices.annotations ?? {},
  };
  return {
    pod: { apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [], ...choices.spec } },
    uid,
    podStart: 1_700_000_000_000,
    attempt: choices.attempt ?? 0,
    source: "file",
    hash: choices.hash ?? "h1",
    hostname: choices.spec?.hostNetwork === true ? "" : name,
    dns: { servers: ["10.0.0.10"], searches: ["example.test"], options: ["ndots:5"] },
    logDirectory: choices.logDirectory ?? `/run/agent-contract-logs/default_${name}_${uid}`,
    cgroupParent: "",
    runtimeHandler: choices.runtimeHandler ?? "",
    ...(choices.userNamespace && { userNamespace: choices.userNamespace }),
    sysctls: {},
  };
}

export interface ContainerChoices {
  name?: string;
  attempt?: number;
  hash?: string;
  backOff?: number;
  /** Run by `sh -c`. */
  script?: string;
  /** Replaces parts of the container. */
  container?: Partial<Container>;
  imageUser?: string;
  linux?: LinuxResources;
}

/** A container that runs until it is stopped, unless `script` says otherwise. */
export function createContainerSpec(
  sandbox: SandboxSpec,
  sandboxId: string,
  image: string,
  choices: ContainerChoices = {},
): ContainerSpec {
  const name = choices.name ?? "main";
  const attempt = choices.attempt ?? 0;
  const container: Container = { name, image, ...choices.container };
  return {
    sandbox,
    sandboxId,
    container,
    attempt,
    hash: choices.hash ?? "c1",
    run: 0,
    backOff: choices.backOff ?? 0,
    imageRef: image,
    command: ["/bin/sh", "-c", choices.script ?? RUN_UNTIL_STOPPED],
    args: [],
    env: [{ name: "GREETING", value: "hello" }],
    resources: container.resources ?? {},
    linux: { oomScoreAdj: 1000, ...choices.linux },
    imageUser: choices.imageUser ?? "",
    edits: { owner: "test" },
    logPath: `${name}/${attempt}.log`,
  };
}

/** Ends on SIGTERM at once, which a plain `sleep` as first process would not. */
export const RUN_UNTIL_STOPPED =
  "trap 'exit 143' TERM; touch /tmp/listens; while true; do sleep 1000 & wait; done";
