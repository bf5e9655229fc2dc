/**
 * The directory of network configurations, as the runtimes and libcni read it: by file name, the first one is the
 * default network; what is broken is a problem and holds up nobody. Not for: what a configuration means (cni_config.ts).
 */
import { join } from "@std/path";
import { type CniNetwork, parseNetwork, parsePlugin } from "../../agent/model/cni_config.ts";
import type { Problem } from "../../agent/model/errors.ts";
import { fieldText, type Finding } from "../../agent/model/finding.ts";
import type { Host } from "../../agent/ports.ts";

export interface ConfiguredNetwork {
  /** The file that describes it. */
  file: string;
  network: CniNetwork;
}

export interface ConfDir {
  networks: ConfiguredNetwork[];
  problems: Problem[];
}

type ConfHost = Pick<Host, "list" | "readText">;

/** Names that are read as network configuration. */
export const isNetworkFile = (name: string): boolean => /\.(conflist|conf|json)$/.test(name);

/** In the order of file names. */
export async function loadConfDir(host: ConfHost, confDir: string): Promise<ConfDir> {
  const names = (await host.list(confDir) ?? []).filter(isNetworkFile);
  const read = await Promise.all(names.map((name) => loadNetworkFile(host, join(confDir, name))));
  return { networks: read.flatMap((r) => r.networks), problems: read.flatMap((r) => r.problems) };
}

const problemsOf = (file: string, findings: readonly Finding[]): Problem[] =>
  findings.map(({ severity, path, message }) => ({
    severity,
    file,
    ...(path.length > 0 && { field: fieldText(path) }),
    message,
  }));

const broken = (file: string, findings: readonly Finding[]): ConfDir => ({
  networks: [],
  problems: problemsOf(file, findings),
});

/** Of one file and, where it lets them, the plugins beside it in a directory of the network's name. */
export async function loadNetworkFile(host: ConfHost, file: string): Promise<ConfDir> {
  const text = await host.readText(file);
  if (text === undefined) return { networks: [], problems: [] };
  const reading = parseNetwork(text);
  if ("findings" in reading) return broken(file, reading.findings);
  const { network } = reading;
  if (network.onlyInlined) return { networks: [{ file, network }], problems: [] };
  const beside = await loadPlugins(host, join(file, "..", network.name));
  if (beside.problems.length > 0) return { networks: [], problems: beside.problems };
  const plugins = [...network.plugins, ...beside.plugins];
  if (plugins.length === 0) {
    return broken(file, [{ severity: "error", path: ["plugins"], message: "expected at least one plugin" }]);
  }
  return { networks: [{ file, network: { ...network, plugins } }], problems: [] };
}

async function loadPlugins(host: ConfHost, directory: string) {
  const names = (await host.list(directory) ?? []).filter((name) => name.endsWith(".conf"));
  const read = await Promise.all(names.map(async (name) => {
    const file = join(directory, name);
    const reading = parsePlugin(await host.readText(file) ?? "");
    return "plugin" in reading
      ? { plugins: [reading.plugin], problems: [] }
      : { plugins: [], problems: problemsOf(file, reading.findings) };
  }));
  return { plugins: read.flatMap((r) => r.plugins), problems: read.flatMap((r) => r.problems) };
}
