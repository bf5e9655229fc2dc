/**
 * The flags of `agent run` as a table, by the kubelet's names where it has them: help, completion and parsing share it.
 * Not for: splitting the command line into flags (cli).
 */
import type { Problem } from "../model/errors.ts";
import { keys, type KeySpec } from "./keys.ts";
import type { Setting, Settings } from "./settings.ts";
import { readFlagTexts } from "./values.ts";

/** Structurally a flag of agent/cli. Values are given to `settingsFromFlags` as they were typed. */
export interface ConfigFlag {
  /** Without dashes. */
  readonly name: string;
  readonly kind: "boolean" | "text";
  /** What stands for the value in help: `DURATION`. */
  readonly placeholder?: string;
  readonly summary: string;
  readonly values?: readonly string[];
  readonly complete?: "files" | "directories" | "none";
  /** May be given several times. */
  readonly repeated?: boolean;
  /** The configuration key that it sets; absent for those that name files, and for those without effect. */
  readonly key?: string;
  /** False: accepted so that a kubelet's command line can be reused, with a warning. Best left out of help. */
  readonly supported: boolean;
}

const placeholders: Partial<Record<KeySpec["type"], string>> = {
  path: "PATH",
  paths: "PATH",
  endpoint: "SOCKET",
  int: "NUMBER",
  ints: "NUMBER",
  float: "NUMBER",
  port: "PORT",
  duration: "DURATION",
  quantity: "QUANTITY",
  ip: "IP",
  ips: "IP",
  cidrs: "RANGE",
  textMap: "NAME=VALUE",
  boolMap: "NAME=BOOL",
  quantityMap: "NAME=QUANTITY",
};

function flagOf(spec: KeySpec): ConfigFlag {
  const repeatable = [
    "texts",
    "paths",
    "ips",
    "cidrs",
    "ints",
    "textMap",
    "boolMap",
    "quantityMap",
    "mappings",
  ];
  const isBoolean = spec.type === "bool";
  return {
    name: spec.flag!,
    kind: isBoolean ? "boolean" : "text",
    summary: spec.meaning,
    key: spec.key,
    supported: spec.supported,
    ...(!isBoolean && { placeholder: placeholders[spec.type] ?? "TEXT" }),
    ...(spec.oneOf && { values: spec.oneOf.filter((v) => v !== "") }),
    ...(["path", "paths", "endpoint"].includes(spec.type) && { complete: "files" as const }),
    ...(repeatable.includes(spec.type) && { repeated: true }),
  };
}

const files: readonly ConfigFlag[] = [
  {
    name: "config",
    kind: "text",
    placeholder: "FILE",
    summary: "configuration file: KubeletConfiguration and AgentConfiguration documents",
    complete: "files",
    supported: true,
  },
  {
    name: "config-dir",
    kind: "text",
    placeholder: "DIRECTORY",
    summary: "directory of drop-ins; its *.conf files, sorted by name, are laid over the configuration file",
    complete: "directories",
    supported: true,
  },
];

const withoutEffect = (names: readonly string[], summary: string, kind: ConfigFlag["kind"] = "text") =>
  names.map((name): ConfigFlag => ({ name, kind, summary, supported: false }));

const notYet = "is not supported yet and has no effect";
const gone = "is no flag of the kubelet any more and has no effect";

/** Flags of the kubelet that no key stands behind. */
const kubeletOnly: readonly ConfigFlag[] = [
  ...withoutEffect([
    "cloud-provider",
    "cloud-config",
    "lock-file",
    "runtime-cgroups",
    "minimum-container-ttl-duration",
    "maximum-dead-containers",
    "maximum-dead-containers-per-container",
    "log-json-info-buffer-size",
    "log-text-info-buffer-size",
  ], notYet),
  ...withoutEffect(
    [
      "exit-on-lock-contention",
      "log-json-split-stream",
      "log-text-split-stream",
      "experimental-allocatable-ignore-eviction",
    ],
    notYet,
    "boolean",
  ),
  ...withoutEffect([
    "pod-infra-container-image",
    "container-runtime",
    "network-plugin",
    "cni-bin-dir",
    "cni-conf-dir",
    "cni-cache-dir",
    "docker-endpoint",
    "non-masquerade-cidr",
    "log-dir",
    "log-file",
  ], gone),
  ...withoutEffect(
    ["register-schedulable", "keep-terminated-pod-volumes", "logtostderr", "alsologtostderr"],
    gone,
    "boolean",
  ),
];

/** Those that have an effect first. No name occurs twice. */
export const configFlags: readonly ConfigFlag[] = [
  ...files,
  ...keys.filter((k) => k.flag !== undefined && k.supported).map(flagOf),
  ...keys.filter((k) => k.flag !== undefined && !k.supported).map(flagOf),
  ...kubeletOnly,
];

const keyByFlag = new Map(keys.filter((k) => k.flag !== undefined).map((k) => [k.flag!, k]));
const kubeletOnlyByName = new Map(kubeletOnly.map((f) => [f.name, f]));

/**
 * Settings from parsed flags: name to text, boolean, number, or a list of them for flags given several times. Names that
 * are no configuration flags are left to the caller.
 */
export function settingsFromFlags(flags: Readonly<Record<string, unknown>>): Settings {
  const settings: Setting[] = [];
  const problems: Problem[] = [];
  for (const [name, raw] of Object.entries(flags)) {
    const place = { file: `flag --${name}` };
    const spec = keyByFlag.get(name);
    const idle = kubeletOnlyByName.get(name);
    if (raw === undefined || (Array.isArray(raw) && raw.length === 0)) continue;
    if (idle !== undefined) problems.push({ severity: "warning", ...place, message: idle.summary });
    if (spec === undefined) continue;
    const reading = readFlagTexts(spec, textsOf(raw));
    if ("wrong" in reading) problems.push({ severity: "error", ...place, message: reading.wrong });
    else settings.push({ spec, value: reading.value, place });
  }
  return { settings, problems };
}

function textsOf(raw: unknown): (string | boolean)[] {
  const list: unknown[] = Array.isArray(raw) ? raw : [raw];
  return list.map((v) => typeof v === "boolean" ? v : String(v));
}

/** Settings that may come from the environment. */
const environment: Readonly<Record<string, string>> = { AGENT_ROOT_DIR: "rootDir", AGENT_SOCKET: "socket" };

export function settingsFromEnvironment(env: Readonly<Record<string, string>>): Settings {
  const settings: Setting[] = [];
  const problems: Problem[] = [];
  for (const [name, key] of Object.entries(environment)) {
    const text = env[name];
    if (text === undefined || text === "") continue;
    const place = { file: `environment ${name}` };
    const spec = keys.find((k) => k.key === key)!;
    const reading = readFlagTexts(spec, [text]);
    if ("wrong" in reading) problems.push({ severity: "error", ...place, message: reading.wrong });
    else settings.push({ spec, value: reading.value, place });
  }
  return { settings, problems };
}
