/**
 * A JoinConfiguration of kubeadm (v1beta4, v1beta3) as values, with everything that is wrong in it. Pure. Source: kubeadm's
 * apis. Not for: what its flags say, nor for carrying it out.
 */
import type { TypeTable } from "../../model/decode.ts";
import { parseDuration } from "../../model/duration.ts";
import { joinPhases } from "../../model/join_flags.ts";
import { didYouMean } from "../../model/suggest.ts";
import type { PlacedProblem } from "../../model/finding.ts";
import { isPin, parseBootstrapToken } from "./cluster_info.ts";
import { type Complaint, fullDocuments, placed, readOne } from "./typed_document.ts";

export interface Taint {
  key: string;
  value?: string;
  effect: string;
}

export interface JoinConfiguration {
  discovery:
    | { kind: "token"; endpoint: string; token: string; pins: string[] }
    | { kind: "file"; path: string };
  /** Of the bootstrap token that asks for a certificate. Absent: the discovery file has credentials. */
  tlsBootstrapToken?: string;
  caCertPath: string;
  /** In ms. */
  timeouts: { discovery: number; tlsBootstrap: number };
  nodeName?: string;
  criSocket?: string;
  taints: Taint[];
  /** Flags of the kubelet's, without dashes, in order. */
  kubeletArgs: { name: string; value: string }[];
  ignorePreflightErrors: string[];
  skipPhases: string[];
  dryRun: boolean;
}

const common: TypeTable = {
  Taint: { key: "string!", value: "string", effect: "string!", timeAdded: "time" },
  BootstrapToken: {
    token: "string!",
    apiServerEndpoint: "string",
    caCertHashes: "string[]",
    unsafeSkipCAVerification: "boolean",
  },
  File: { kubeConfigPath: "string!" },
  Discovery: {
    bootstrapToken: "BootstrapToken",
    file: "File",
    tlsBootstrapToken: "string",
    timeout: "string",
  },
  Arg: { name: "string!", value: "string!" },
  Patches: { directory: "string" },
};

const registration = {
  name: "string",
  criSocket: "string",
  taints: "Taint[]",
  ignorePreflightErrors: "string[]",
  imagePullPolicy: "string",
};
const root = {
  apiVersion: "string!",
  kind: "string!",
  nodeRegistration: "Registration",
  caCertPath: "string",
  discovery: "Discovery!",
  controlPlane: "any",
  skipPhases: "string[]",
  patches: "Patches",
};
const timeoutNames = [
  "controlPlaneComponentHealthCheck",
  "kubeletHealthCheck",
  "kubernetesAPICall",
  "etcdAPICall",
  "tlsBootstrap",
  "discovery",
  "upgradeManifests",
];

const tables: Readonly<Record<string, TypeTable>> = {
  "kubeadm.k8s.io/v1beta4": {
    ...common,
    Join: { ...root, dryRun: "boolean", timeouts: "Timeouts" },
    Registration: { ...registration, kubeletExtraArgs: "Arg[]", imagePullSerial: "boolean" },
    Timeouts: Object.fromEntries(timeoutNames.map((name) => [name, "string"])),
  },
  "kubeadm.k8s.io/v1beta3": {
    ...common,
    Join: root,
    Registration: { ...registration, kubeletExtraArgs: "string{}" },
  },
};

export interface Written {
  apiVersion: string;
  kind: string;
  nodeRegistration?: {
    name?: string;
    criSocket?: string;
    taints?: Taint[];
    kubeletExtraArgs?: { name: string; value: string }[] | Record<string, string>;
    ignorePreflightErrors?: string[];
  };
  caCertPath?: string;
  discovery: {
    bootstrapToken?: {
      token: string;
      apiServerEndpoint?: string;
      caCertHashes?: string[];
      unsafeSkipCAVerification?: boolean;
    };
    file?: { kubeConfigPath: string };
    tlsBootstrapToken?: string;
    timeout?: string;
  };
  timeouts?: Record<string, string | undefined>;
  controlPlane?: unknown;
  dryRun?: boolean;
  skipPhases?: string[];
  patches?: { directory?: string };
}

export interface ParsedJoin {
  /** Absent where a problem is an error. */
  join?: JoinConfiguration;
  problems: PlacedProblem[];
}

/** Other documents in the text are other components' and are left alone. Never throws. */
export function parseJoinConfiguration(file: string, text: string): ParsedJoin {
  const what = "a JoinConfiguration";
  const documents = fullDocuments(text);
  const kindOf = (document: string) => /^kind:\s*["']?([A-Za-z]+)/m.exec(document)?.[1];
  const own = documents.find(([, { text }]) => kindOf(text) === "JoinConfiguration") ?? documents[0];
  const problem = (message: string, at = {}): ParsedJoin => ({
    problems: [{ severity: "error", file, message, ...at }],
  });
  if (own === undefined) return problem(`is empty: expected ${what}`);
  const version = /^apiVersion:\s*["']?([^\s"'#]+)/m.exec(own[1].text)?.[1] ?? "";
  const table = tables[version];
  if (table === undefined || kindOf(own[1].text) !== "JoinConfiguration") {
    const expected = `expected JoinConfiguration of ${Object.keys(tables).join(" or ")}`;
    const hint = didYouMean(version, Object.keys(tables));
    return problem(
      `${expected}, got ${kindOf(own[1].text) ?? "no kind"} of ${version || "no apiVersion"}${hint}`,
    );
  }
  const read = readOne(own, { file, what, table, type: "Join" });
  const problems = [...read.problems];
  if (read.value === undefined) return { problems };
  const complain: Complaint = (path, message) =>
    problems.push(placed(file, read.document, { severity: "error", path, message }));
  const join = joinOf(read.value as Written, complain);
  return problems.some((p) => p.severity === "error") ? { problems } : { join, problems };
}

/** Rules between fields; `complain` is told what is wrong. */
export function joinOf(written: Written, complain: Complaint): JoinConfiguration {
  const { nodeRegistration: node = {}, discovery, timeouts = {} } = written;
  if (written.controlPlane !== undefined) {
    complain(
      ["controlPlane"],
      "not supported: the agent joins as a worker; a control plane node needs kubeadm and its kubelet",
    );
  }
  for (const [i, phase] of (written.skipPhases ?? []).entries()) {
    if (joinPhases.some((known) => known === phase)) continue;
    complain(["skipPhases", i], `expected one of ${joinPhases.join(", ")}, got "${phase}"`);
  }
  if ((written.patches?.directory ?? "") !== "") {
    complain(["patches", "directory"], "not supported: use --config-dir for drop-ins");
  }
  const args = node.kubeletExtraArgs ?? [];
  const time = (path: string[], text: string | undefined, otherwise: number) => {
    const ms = text === undefined ? otherwise : parseDuration(text);
    if (ms === undefined || ms <= 0) complain(path, `expected a duration such as 5m, got "${text}"`);
    return ms ?? otherwise;
  };
  const token = discovery.tlsBootstrapToken ?? discovery.bootstrapToken?.token;
  if (discovery.tlsBootstrapToken !== undefined) {
    checkToken(discovery.tlsBootstrapToken, ["discovery", "tlsBootstrapToken"], complain);
  }
  const minutes = 60_000;
  return {
    discovery: discoveryOf(discovery, complain),
    ...(token === undefined ? {} : { tlsBootstrapToken: token }),
    caCertPath: written.caCertPath ?? "/etc/kubernetes/pki/ca.crt",
    timeouts: {
      discovery: discovery.timeout === undefined
        ? time(["timeouts", "discovery"], timeouts.discovery, 5 * minutes)
        : time(["discovery", "timeout"], discovery.timeout, 5 * minutes),
      tlsBootstrap: time(["timeouts", "tlsBootstrap"], timeouts.tlsBootstrap, 5 * minutes),
    },
    ...(node.name === undefined ? {} : { nodeName: node.name }),
    ...(node.criSocket === undefined ? {} : { criSocket: node.criSocket }),
    taints: node.taints ?? [],
    kubeletArgs: Array.isArray(args) ? args : Object.entries(args).map(([name, value]) => ({ name, value })),
    ignorePreflightErrors: node.ignorePreflightErrors ?? [],
    skipPhases: written.skipPhases ?? [],
    dryRun: written.dryRun ?? false,
  };
}

/** Without showing it. */
function checkToken(token: string, path: string[], complain: Complaint): void {
  if (parseBootstrapToken(token) === undefined) {
    complain(path, "expected a bootstrap token: six, a dot, and sixteen small letters and digits");
  }
}

function discoveryOf(
  { bootstrapToken, file }: Written["discovery"],
  complain: Complaint,
): JoinConfiguration["discovery"] {
  const path = ["discovery", "bootstrapToken"];
  if ((bootstrapToken === undefined) === (file === undefined)) {
    complain(["discovery"], "expected exactly one of bootstrapToken and file");
  }
  if (bootstrapToken === undefined) return { kind: "file", path: file?.kubeConfigPath ?? "" };
  const { token, apiServerEndpoint: endpoint = "", caCertHashes: pins = [], unsafeSkipCAVerification } =
    bootstrapToken;
  checkToken(token, [...path, "token"], complain);
  if (!isEndpoint(endpoint)) {
    complain([...path, "apiServerEndpoint"], `expected HOST:PORT, got "${endpoint}"`);
  }
  for (const [i, pin] of pins.entries()) {
    if (!isPin(pin)) {
      complain([...path, "caCertHashes", i], "expected sha256: and 64 hexadecimal digits");
    }
  }
  if (pins.length === 0 && unsafeSkipCAVerification !== true) {
    complain(
      [...path, "caCertHashes"],
      "required: expected the pin of the cluster's CA, or unsafeSkipCAVerification: true",
    );
  }
  return { kind: "token", endpoint, token, pins };
}

/** `HOST:PORT`, an IPv6 address in brackets. */
export const isEndpoint = (text: string): boolean =>
  /^(\[[\da-fA-F:.]+\]|[^\s/:[\]]+):\d{1,5}$/.test(text) && URL.canParse(`https://${text}`);
