/** `agent join`: this host becomes a node of a Kubernetes cluster. The flags are kubeadm's. */
import { type Command, type Flag, type ParsedArgs, UsageError } from "./command.ts";
import { type Io, wantsColour } from "./io.ts";
import { joinPhases } from "../model/join_flags.ts";
import type { JoinAsked, JoinOutcome } from "./join_steps.ts";
import { objectOutput, toJson, toYaml } from "./output.ts";
import { showSteps } from "./render/steps.ts";
import { createPaint } from "./render/text.ts";

const text = (name: string, placeholder: string, summary: string, more: Partial<Flag> = {}): Flag => ({
  name,
  kind: "text",
  placeholder,
  summary,
  complete: "none",
  ...more,
});

/** Of kubeadm join; those of a control plane are refused with a word. */
const kubeadmFlags: readonly Flag[] = [
  text("token", "TOKEN", "bootstrap token, for discovery and for the certificate"),
  text("discovery-token", "TOKEN", "bootstrap token that cluster-info is signed with (default: --token)"),
  text(
    "tls-bootstrap-token",
    "TOKEN",
    "bootstrap token that the certificate is asked for with (default: --token)",
  ),
  text("discovery-token-ca-cert-hash", "sha256:HEX", "pin of the cluster's CA; may be repeated", {
    repeated: true,
  }),
  {
    name: "discovery-token-unsafe-skip-ca-verification",
    kind: "boolean",
    summary: "believe whatever CA the token's owner names",
  },
  text("discovery-file", "FILE", "kubeconfig that names the cluster, instead of a token", {
    complete: "files",
  }),
  text("config", "FILE", "JoinConfiguration of kubeadm's, instead of flags", { complete: "files" }),
  text("node-name", "NAME", "name of the node (default: the host's)"),
  text("cri-socket", "SOCKET", "socket of the container runtime", { complete: "files" }),
  text("ignore-preflight-errors", "CHECKS", "checks whose errors are passed over, or all", {
    repeated: true,
  }),
  text("skip-phases", "PHASES", `what is left out: ${joinPhases.join(", ")}`, { repeated: true }),
  { name: "dry-run", kind: "boolean", summary: "check and find the cluster, and change nothing" },
  {
    name: "control-plane",
    kind: "boolean",
    summary: "refused: the agent joins as a worker",
    supported: false,
  },
];

const nodeFlagNames = ["node-ip", "node-labels", "register-with-taints", "hostname-override"];

const lists = (values: readonly string[]) => values.flatMap((v) => v.split(",")).filter((v) => v !== "");

function askedOf(args: ParsedArgs): JoinAsked {
  const skipPhases = lists(args.texts("skip-phases"));
  const unknown = skipPhases.find((phase) => !joinPhases.some((known) => known === phase));
  if (unknown !== undefined) {
    throw new UsageError(`--skip-phases: expected some of ${joinPhases.join(", ")}, found "${unknown}"`);
  }
  if (args.text("config") !== undefined) {
    const instead = [
      "token",
      "discovery-token",
      "tls-bootstrap-token",
      "discovery-file",
      "discovery-token-ca-cert-hash",
    ];
    const both = instead.find((name) => args.texts(name).length > 0);
    if (both !== undefined) throw new UsageError(`expected either --config or --${both}, found both`);
  }
  const given = (flag: string, key: keyof JoinAsked) =>
    args.text(flag) === undefined ? {} : { [key]: args.text(flag) };
  const wait = args.duration("wait");
  return {
    ...(args.positional[0] === undefined ? {} : { endpoint: endpointOf(args.positional[0]) }),
    ...given("token", "token"),
    ...given("discovery-token", "discoveryToken"),
    ...given("tls-bootstrap-token", "tlsBootstrapToken"),
    ...given("discovery-file", "discoveryFile"),
    ...given("config", "configFile"),
    ...given("node-name", "nodeName"),
    ...given("cri-socket", "criSocket"),
    pins: lists(args.texts("discovery-token-ca-cert-hash")),
    unsafeSkipCAVerification: args.is("discovery-token-unsafe-skip-ca-verification"),
    ignorePreflightErrors: lists(args.texts("ignore-preflight-errors")),
    skipPhases,
    controlPlane: args.is("control-plane"),
    dryRun: args.is("dry-run"),
    ...(wait === undefined ? {} : { wait }),
    nodeFlags: Object.fromEntries(nodeFlagNames.map((name) => [name, args.texts(name)])),
  };
}

/** As people paste it. */
const endpointOf = (typed: string) => typed.replace(/^https:\/\//, "").replace(/\/+$/, "");

export async function showOutcome(
  io: Io,
  args: ParsedArgs,
  outcome: JoinOutcome,
  steps: unknown,
): Promise<void> {
  const output = args.text("output");
  if (output !== undefined) await io.out((output === "json" ? toJson : toYaml)({ ...outcome, steps }));
  else if (outcome.next.length > 0) await io.out(outcome.next.join("\n") + "\n");
}

export const joinCommand = (flags: readonly Flag[]): Command => ({
  name: "join",
  summary: "Make this host a node of a Kubernetes cluster",
  details:
    "What `kubeadm token create --print-join-command` prints on a control plane node, with agent for kubeadm. Doing it " +
    "again is safe. `agent reset` undoes it. Where systemd runs, the service is enabled and started; elsewhere it is " +
    "said what to run.",
  arguments: [{
    name: "ENDPOINT",
    required: false,
    summary: "HOST:PORT of the API server",
    complete: "none",
  }],
  flags: [
    ...kubeadmFlags,
    {
      name: "wait",
      kind: "duration",
      placeholder: "DURATION",
      summary:
        "how long to wait until the node is Ready (default 4m where the agent could be started; 0s: do not)",
    },
    objectOutput,
    ...flags.filter((flag) => ["root-dir", ...nodeFlagNames].includes(flag.name)),
  ],
  examples: [
    {
      does: "As the control plane printed it",
      line:
        "agent join 192.0.2.10:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:8a2…",
    },
    { does: "From a file", line: "agent join --config join.yaml --ignore-preflight-errors=Swap" },
  ],
  async run(args, io) {
    const steps = showSteps(io, createPaint(wantsColour(io)));
    const outcome = await io.cluster.join(args, askedOf(args), steps.tell);
    await steps.written();
    if (outcome === undefined) return 1;
    await showOutcome(io, args, outcome, steps.steps());
    return outcome.done || args.is("dry-run") && outcome.server !== undefined ? 0 : 1;
  },
});
