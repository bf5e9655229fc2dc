/**
 * What `agent join` leaves for the agent to go by, beside the kubelet's own files: the cluster's KubeletConfiguration, and a
 * file of what is this node's alone. Not for: credentials (cluster/join/enroll.ts).
 */
import { join } from "@std/path";
import type { JoinConfiguration, Taint } from "../../cluster/join/join_configuration.ts";
import type { Config } from "../../config/config.ts";
import { defaultValues } from "../../config/defaults.ts";
import { type ConfigFile, readConfigFile } from "../../config/documents.ts";
import { configFlags, settingsFromFlags } from "../../config/flags.ts";
import { formatConfig } from "../../config/format.ts";
import { keyByName } from "../../config/keys.ts";
import type { Problem } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";

type Places = Pick<Config, "rootDir" | "stateDir" | "isPrivate" | "instanceId">;

/** Where the kubelet and kubeadm have them; all below the root directory of a private instance. */
export function joinPlaces({ rootDir, stateDir, isPrivate }: Places, caCertPath?: string) {
  const kubernetes = isPrivate ? join(rootDir, "kubernetes") : "/etc/kubernetes";
  return {
    kubeconfig: join(kubernetes, "kubelet.conf"),
    bootstrapKubeconfig: join(kubernetes, "bootstrap-kubelet.conf"),
    ca: caCertPath ?? join(kubernetes, "pki/ca.crt"),
    certificates: join(rootDir, "pki"),
    /** What the cluster says about kubelets. */
    clusterConfig: join(rootDir, "config.yaml"),
    /** What kubeadm leaves beside it. */
    kubeadmFlags: join(rootDir, "kubeadm-flags.env"),
    instanceConfig: join(rootDir, "instance-config.yaml"),
    /** That this host has joined by `agent join`, and what its agent goes by. */
    joined: join(stateDir, "joined.yaml"),
  };
}

/** In the order in which they count; none where `agent join` has not been. */
export async function joinedFiles(host: Pick<Host, "readText">, places: Places): Promise<ConfigFile[]> {
  const { clusterConfig, joined } = joinPlaces(places);
  const own = await host.readText(joined).catch(() => undefined);
  if (own === undefined) return [];
  const cluster = await host.readText(clusterConfig).catch(() => undefined);
  return [
    ...(cluster === undefined ? [] : [{ path: clusterConfig, text: cluster, lenient: true }]),
    { path: joined, text: own },
  ];
}

export interface NodeWishes {
  join: Pick<JoinConfiguration, "nodeName" | "criSocket" | "taints" | "kubeletArgs">;
  /** Of the command line, by their names. */
  flags: Readonly<Record<string, readonly string[]>>;
  /** Text of the cluster's KubeletConfiguration. */
  cluster: string | undefined;
  hasSystemd: boolean;
  hasFile(path: string): boolean;
}

export interface NodeSettings {
  /** Of the file. */
  text: string;
  /** The same as flags of a kubelet's, but for where the cluster and the runtime are. */
  args: ReadonlyMap<string, readonly string[]>;
  /** What is otherwise here than the cluster asks for. */
  notes: string[];
  problems: Problem[];
}

/** What the file says: what was asked for when joining, and where this host cannot do as the cluster says. */
export function nodeSettings(
  config: Places,
  kubeconfig: string,
  ca: string,
  wishes: NodeWishes,
): NodeSettings {
  const { join: asked, flags } = wishes;
  const args = new Map<string, string[]>();
  const add = (name: string, ...values: readonly string[]) =>
    args.set(name, [...args.get(name) ?? [], ...values]);
  for (const { name, value } of asked.kubeletArgs) add(name, value);
  for (const [name, values] of Object.entries(flags)) if (values.length > 0) args.set(name, [...values]);
  if (asked.nodeName !== undefined) args.set("hostname-override", [asked.nodeName]);
  if (asked.criSocket !== undefined) args.set("container-runtime-endpoint", [asked.criSocket]);
  const alone = new Map(args);
  alone.delete("container-runtime-endpoint");
  args.set("kubeconfig", [kubeconfig]);
  const read = settingsFromFlags(Object.fromEntries(args));
  const values = new Map<string, unknown>(Object.entries(ownToInstance(config, ca)));
  const { settings, notes } = adapted(wishes);
  for (const [key, value] of settings) values.set(key, value);
  for (const { spec, value } of read.settings) values.set(spec.key, value);
  const taints = [...asked.taints, ...(values.get("registerWithTaints") ?? []) as (string | Taint)[]].map(
    taintOf,
  );
  if (taints.length > 0) {
    values.set("registerWithTaints", taints);
    alone.set("register-with-taints", [taints.map(taintText).join(",")]);
  }
  const unknown = [...args.keys()].filter((name) => !configFlags.some((flag) => flag.name === name));
  return {
    text: "# Written by `agent join`, taken away by `agent reset`. Options of `agent run` go over it.\n" +
      formatConfig({ values, origin: {} }, "yaml"),
    args: alone,
    notes,
    problems: [
      ...read.problems,
      ...unknown.map((name): Problem => ({
        severity: "error",
        file: `kubeletExtraArgs ${name}`,
        message: "is no flag of the kubelet that this agent knows",
      })),
    ],
  };
}

/** `key=value:Effect`, as --register-with-taints has it. */
function taintOf(written: string | Taint): Taint {
  if (typeof written !== "string") return written;
  const [, key = written, value, effect = ""] = /^([^=:]+)(?:=([^:]*))?:(.*)$/.exec(written) ?? [];
  return { key, ...(value === undefined ? {} : { value }), effect };
}

const taintText = ({ key, value, effect }: Taint): string =>
  `${key}${value === undefined ? "" : `=${value}`}:${effect}`;

/** The cluster's configuration names the places of the node's one agent: a private instance keeps its own. */
function ownToInstance(config: Places, ca: string): Record<string, unknown> {
  if (!config.isPrivate) return {};
  const { values, ownToInstance } = defaultValues(config, () => undefined);
  const own = [...ownToInstance].filter((key) => keyByName.get(key)!.owner === "kubelet");
  return {
    ...Object.fromEntries(own.map((key) => [key, values.get(key)])),
    "authentication.x509.clientCAFile": ca,
  };
}

function adapted({ cluster, hasSystemd, hasFile }: NodeWishes) {
  const settings = new Map<string, unknown>();
  const notes: string[] = [];
  const asked = new Map(
    cluster === undefined
      ? []
      : readConfigFile({ path: "", text: cluster, lenient: true }).settings.map((s) => [s.spec.key, s.value]),
  );
  if (asked.get("cgroupDriver") === "systemd" && !hasSystemd) {
    settings.set("cgroupDriver", "cgroupfs");
    notes.push("cgroupDriver is cgroupfs here, not the cluster's systemd: systemd does not run on this host");
  }
  const resolver = asked.get("resolvConf");
  if (typeof resolver === "string" && resolver !== "" && !hasFile(resolver)) {
    settings.set("resolvConf", "/etc/resolv.conf");
    notes.push(`resolvConf is /etc/resolv.conf here: the cluster's ${resolver} does not exist on this host`);
  }
  return { settings, notes };
}
