/**
 * Finds the programs of a container runtime on this machine. What is missing is said together with what to install.
 * Not for: starting them.
 */
import { AgentError } from "../../agent/model/errors.ts";
import { REQUIRED_CNI_PLUGINS } from "./cni.ts";

/** Absolute paths. */
export interface RuntimeBinaries {
  containerd: string;
  /** runc, or crun where only that is there. */
  runc: string;
  ctr?: string;
  /** The directory that has every plugin of the default network. */
  cniBinDir: string;
}

export interface SearchPlaces {
  /** As $PATH; looked through first. */
  path?: string;
  /** Directories for programs beside PATH, and for CNI plugins. */
  programDirs?: string[];
  cniBinDirs?: string[];
}

const PROGRAM_DIRS = [
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
  "/opt/containerd/bin",
  "/opt/bin",
];
/** Upstream's, Debian's, Fedora's, and the one of k3s. */
export const CNI_BIN_DIRS = [
  "/opt/cni/bin",
  "/usr/lib/cni",
  "/usr/libexec/cni",
  "/usr/local/lib/cni",
  "/var/lib/rancher/k3s/data/cni",
];
const SHIM = "containerd-shim-runc-v2";

async function isProgram(path: string): Promise<boolean> {
  try {
    const stat = await Deno.stat(path);
    return stat.isFile && ((stat.mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}

async function findProgram(name: string, directories: string[]): Promise<string | undefined> {
  for (const directory of directories) {
    const path = `${directory}/${name}`;
    if (await isProgram(path)) return path;
  }
  return undefined;
}

async function missingPlugins(directory: string): Promise<string[]> {
  const present = await Promise.all(REQUIRED_CNI_PLUGINS.map((p) => isProgram(`${directory}/${p}`)));
  return REQUIRED_CNI_PLUGINS.filter((_, i) => !present[i]);
}

/** Throws RuntimeUnavailable, naming every missing program and the packages that bring them. */
export async function findBinaries(places: SearchPlaces = {}): Promise<RuntimeBinaries> {
  const path = (places.path ?? Deno.env.get("PATH") ?? "").split(":").filter((d) => d.startsWith("/"));
  const directories = [...new Set([...path, ...(places.programDirs ?? PROGRAM_DIRS)])];
  const cniBinDirs = places.cniBinDirs ?? CNI_BIN_DIRS;
  const find = (name: string) => findProgram(name, directories);
  const [containerd, runc, crun] = await Promise.all([find("containerd"), find("runc"), find("crun")]);
  const [shim, ctr] = await Promise.all([find(SHIM), find("ctr")]);
  const lacking = await Promise.all(cniBinDirs.map(missingPlugins));
  const cniBinDir = cniBinDirs.find((_, i) => lacking[i]?.length === 0);
  const ociRuntime = runc ?? crun;
  if (containerd === undefined || ociRuntime === undefined || shim === undefined || cniBinDir === undefined) {
    throw missingBinaries({ containerd, runc: ociRuntime, shim }, closest(cniBinDirs, lacking));
  }
  return { containerd, runc: ociRuntime, cniBinDir, ...(ctr === undefined ? {} : { ctr }) };
}

/** Of directories that all lack something, the one that lacks least. */
function closest(
  directories: string[],
  lacking: string[][],
): { directory: string; plugins: string[] } | undefined {
  const candidates = directories.map((directory, i) => ({ directory, plugins: lacking[i] ?? [] }));
  return candidates.sort((a, b) => a.plugins.length - b.plugins.length)[0];
}

function missingBinaries(
  found: { containerd: string | undefined; runc: string | undefined; shim: string | undefined },
  cni: { directory: string; plugins: string[] } | undefined,
): AgentError {
  const missing: string[] = [];
  const packages: string[] = [];
  if (found.containerd === undefined) missing.push("containerd");
  if (found.shim === undefined) missing.push(SHIM);
  if (missing.length > 0) packages.push("containerd");
  if (found.runc === undefined) {
    missing.push("runc");
    packages.push("runc");
  }
  if (cni !== undefined && cni.plugins.length > 0) {
    const where = cni.plugins.length < REQUIRED_CNI_PLUGINS.length ? ` in ${cni.directory}` : "";
    missing.push(`CNI plugins ${cni.plugins.join(", ")}${where}`);
    packages.push("containernetworking-plugins");
  }
  return new AgentError(
    "RuntimeUnavailable",
    `no container runtime answers, and to run one the agent lacks: ${missing.join("; ")}. ` +
      `Install it (Debian, Ubuntu: apt-get install ${packages.join(" ")}) ` +
      `or name a running runtime with --container-runtime-endpoint`,
    { retry: false },
  );
}
