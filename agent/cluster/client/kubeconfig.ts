/**
 * Kubeconfig files, as far as a node needs them: one cluster, one user. Pure. Source: client-go's clientcmd/api/v1. Not for:
 * reading the files that one names (credentials.ts).
 */
import { dirname, join } from "@std/path";
import type { TypeTable } from "../../model/decode.ts";
import type { PlacedProblem } from "../../model/finding.ts";
import { fromBase64, pemBlocks, textToBase64 } from "../certificates/pem.ts";
import { type Complaint, placed, readTypedDocument } from "../join/typed_document.ts";

/** PEM itself, or where it is, absolute. */
export type Source = { pem: string } | { file: string };

export interface Kubeconfig {
  /** `https://…` without a slash at the end. */
  server: string;
  /** Absent: what the system trusts. */
  ca?: Source;
  /** `http://…`, `https://…` or `socks5://…` */
  proxyUrl?: string;
  certificate?: Source;
  key?: Source;
  token?: string;
  /** Absolute. Its content wins over `token` and changes while it is used. */
  tokenFile?: string;
  exec?: ExecPlugin;
}

export interface ExecPlugin {
  apiVersion: string;
  command: string;
  args: string[];
  env: Record<string, string>;
  installHint?: string;
  provideClusterInfo: boolean;
}

export interface ParsedKubeconfig {
  /** Absent where a problem is an error. */
  kubeconfig?: Kubeconfig;
  problems: PlacedProblem[];
}

const table: TypeTable = {
  Config: {
    apiVersion: "string",
    kind: "string",
    preferences: "any",
    clusters: "NamedCluster[]",
    users: "NamedUser[]",
    contexts: "NamedContext[]",
    "current-context": "string",
    extensions: "any",
  },
  NamedCluster: { name: "string!", cluster: "Cluster!" },
  Cluster: {
    server: "string!",
    "tls-server-name": "string",
    "insecure-skip-tls-verify": "boolean",
    "certificate-authority": "string",
    "certificate-authority-data": "bytes",
    "proxy-url": "string",
    "disable-compression": "boolean",
    extensions: "any",
  },
  NamedUser: { name: "string!", user: "User!" },
  User: {
    "client-certificate": "string",
    "client-certificate-data": "bytes",
    "client-key": "string",
    "client-key-data": "bytes",
    token: "string",
    tokenFile: "string",
    username: "string",
    password: "string",
    as: "string",
    "as-uid": "string",
    "as-groups": "string[]",
    "as-user-extra": "any",
    "auth-provider": "any",
    exec: "Exec",
    extensions: "any",
  },
  Exec: {
    apiVersion: "string!",
    command: "string!",
    args: "string[]",
    env: "EnvVar[]",
    installHint: "string",
    provideClusterInfo: "boolean",
    interactiveMode: "string",
  },
  EnvVar: { name: "string!", value: "string!" },
  NamedContext: { name: "string!", context: "Context!" },
  Context: { cluster: "string!", user: "string", namespace: "string", extensions: "any" },
};

type Fields = Readonly<Record<string, unknown>>;
interface Config {
  apiVersion?: string;
  kind?: string;
  clusters?: { name: string; cluster: Fields & { server: string } }[];
  users?: { name: string; user: Fields }[];
  contexts?: { name: string; context: { cluster: string; user?: string } }[];
  "current-context"?: string;
}

/** Never throws. Files that it names are taken relative to `file`. */
export function parseKubeconfig(file: string, text: string): ParsedKubeconfig {
  const read = readTypedDocument(text, { file, what: "a kubeconfig", table, type: "Config" });
  const problems = [...read.problems];
  if (read.value === undefined) return { problems };
  const complain: Complaint = (path, message) =>
    problems.push(placed(file, read.document, { severity: "error", path, message }));
  const kubeconfig = chosen(read.value as Config, dirname(file), complain);
  return problems.some((p) => p.severity === "error") ? { problems } : { kubeconfig, problems };
}

/** What the current context names; without contexts the only cluster, as cluster-info has it. */
function chosen(config: Config, directory: string, complain: Complaint): Kubeconfig {
  const { clusters = [], users = [], contexts = [] } = config;
  const current = config["current-context"] ?? "";
  if ((config.kind ?? "Config") !== "Config" || (config.apiVersion ?? "v1") !== "v1") {
    complain(["kind"], `expected Config of v1, got ${config.kind} of ${config.apiVersion}`);
  }
  const named = contexts.find((c) => c.name === current)?.context;
  if (current !== "" && named === undefined) {
    const names = contexts.map((c) => c.name).join(", ") || "no contexts";
    complain(["current-context"], `expected the name of a context (there are ${names}), got "${current}"`);
  }
  const bare = current === "" && clusters.length === 1 ? 0 : -1;
  const at = named === undefined ? bare : clusters.findIndex((c) => c.name === named.cluster);
  if (at < 0) {
    complain(
      ["clusters"],
      `expected ${
        named === undefined ? "one cluster, or a current-context" : `a cluster named "${named.cluster}"`
      }`,
    );
  }
  const who = users.findIndex((u) => u.name === named?.user);
  if (named?.user !== undefined && named.user !== "" && who < 0) {
    complain(["users"], `expected a user named "${named.user}"`);
  }
  return {
    ...clusterOf(
      clusters[at]?.cluster ?? { server: "" },
      ["clusters", at, "cluster"],
      directory,
      at < 0 ? () => {} : complain,
    ),
    ...(who < 0 ? {} : userOf(users[who]!.user, ["users", who, "user"], directory, complain)),
  };
}

type Path = (string | number)[];

function clusterOf(cluster: Fields & { server: string }, path: Path, directory: string, complain: Complaint) {
  if (!/^https:\/\/[^/]/.test(cluster.server) || !URL.canParse(cluster.server)) {
    complain(
      [...path, "server"],
      `expected an address such as https://192.0.2.1:6443, got "${cluster.server}"`,
    );
  }
  if (cluster["insecure-skip-tls-verify"] === true) {
    complain(
      [...path, "insecure-skip-tls-verify"],
      "the agent never talks to an API server unverified: in its place set certificate-authority to the path of the " +
        "cluster's ca.crt, or certificate-authority-data to its base64",
    );
  }
  const proxyUrl = cluster["proxy-url"] as string | undefined;
  if (proxyUrl !== undefined && proxyUrl !== "" && !/^(https?|socks5):\/\/[^/]/.test(proxyUrl)) {
    complain([...path, "proxy-url"], "expected http://, https:// or socks5:// and an address");
  }
  if ((cluster["tls-server-name"] ?? "") !== "") {
    complain(
      [...path, "tls-server-name"],
      "not supported: name the server in the address as its certificate does",
    );
  }
  const ca = sourceOf(cluster, "certificate-authority", "CERTIFICATE", path, directory, complain);
  return {
    server: cluster.server.replace(/\/+$/, ""),
    ...(ca === undefined ? {} : { ca }),
    ...(proxyUrl === undefined || proxyUrl === "" ? {} : { proxyUrl }),
  };
}

const unsupported = ["username", "password", "as", "as-uid", "as-groups", "as-user-extra", "auth-provider"];

function userOf(user: Fields, path: Path, directory: string, complain: Complaint): Partial<Kubeconfig> {
  for (const field of unsupported.filter((f) => user[f] !== undefined && user[f] !== "")) {
    complain([...path, field], "not supported: expected a client certificate, a token, tokenFile or exec");
  }
  const certificate = sourceOf(user, "client-certificate", "CERTIFICATE", path, directory, complain);
  const key = sourceOf(user, "client-key", "PRIVATE KEY", path, directory, complain);
  if ((certificate === undefined) !== (key === undefined)) {
    complain(path, "expected client-certificate and client-key together");
  }
  const [token, tokenFile] = [user.token, user.tokenFile] as (string | undefined)[];
  return {
    ...(certificate === undefined ? {} : { certificate }),
    ...(key === undefined ? {} : { key }),
    ...(token ? { token } : {}),
    ...(tokenFile ? { tokenFile: absolute(directory, tokenFile) } : {}),
    ...(user.exec === undefined
      ? {}
      : { exec: execOf(user.exec as Fields, [...path, "exec"], directory, complain) }),
  };
}

export const execVersions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

function execOf(exec: Fields, path: Path, directory: string, complain: Complaint): ExecPlugin {
  const [apiVersion, command] = [exec.apiVersion as string, exec.command as string];
  if (!execVersions.includes(apiVersion)) {
    complain([...path, "apiVersion"], `expected ${execVersions.join(" or ")}, got "${apiVersion}"`);
  }
  if (exec.interactiveMode === "Always") {
    complain([...path, "interactiveMode"], "expected Never or IfAvailable: nobody is there to answer");
  }
  const env = (exec.env ?? []) as { name: string; value: string }[];
  return {
    apiVersion,
    // One with a slash is a file beside the kubeconfig, another a program in PATH.
    command: command.includes("/") ? absolute(directory, command) : command,
    args: (exec.args ?? []) as string[],
    env: Object.fromEntries(env.map((v) => [v.name, v.value])),
    ...(exec.installHint === undefined ? {} : { installHint: exec.installHint as string }),
    provideClusterInfo: exec.provideClusterInfo === true,
  };
}

const absolute = (directory: string, path: string) => path.startsWith("/") ? path : join(directory, path);

/** Of a field and its twin that ends in `-data`, which wins. */
function sourceOf(
  fields: Fields,
  field: string,
  label: string,
  path: Path,
  directory: string,
  complain: Complaint,
): Source | undefined {
  const [encoded, file] = [fields[`${field}-data`], fields[field]] as (string | undefined)[];
  if (!encoded) return file ? { file: absolute(directory, file) } : undefined;
  const pem = new TextDecoder().decode(fromBase64(encoded.replace(/\s/g, "")));
  if (!pemBlocks(pem).some((block) => block.label.endsWith(label))) {
    complain([...path, `${field}-data`], `expected base64 of PEM with a ${label}`);
  }
  return { pem };
}

// ---- writing -------------------------------------------------------------------------------------------------------

/** As the kubelet and kubeadm write theirs; JSON's strings are YAML's. */
export function formatKubeconfig(k: Kubeconfig): string {
  const lines = (fields: [string, string | undefined][]) =>
    fields.filter(([, v]) => v !== undefined).map(([name, v]) => `    ${name}: ${JSON.stringify(v)}\n`).join(
      "",
    );
  const source = (field: string, s: Source | undefined): [string, string | undefined][] => [
    [`${field}-data`, s !== undefined && "pem" in s ? textToBase64(s.pem) : undefined],
    [field, s !== undefined && "file" in s ? s.file : undefined],
  ];
  const user = lines([
    ...source("client-certificate", k.certificate),
    ...source("client-key", k.key),
    ["token", k.token],
    ["tokenFile", k.tokenFile],
  ]) + (k.exec === undefined ? "" : `    exec: ${JSON.stringify(execFields(k.exec))}\n`);
  return "apiVersion: v1\nkind: Config\nclusters:\n- name: default-cluster\n  cluster:\n" +
    lines([["server", k.server], ...source("certificate-authority", k.ca), ["proxy-url", k.proxyUrl]]) +
    "users:\n- name: default-auth\n  user:" + (user === "" ? " {}\n" : `\n${user}`) +
    "contexts:\n- name: default-context\n  context:\n    cluster: default-cluster\n    user: default-auth\n" +
    "current-context: default-context\n";
}

const execFields = ({ env, ...exec }: ExecPlugin) => ({
  ...exec,
  env: Object.entries(env).map(([name, value]) => ({ name, value })),
  interactiveMode: "Never",
});
