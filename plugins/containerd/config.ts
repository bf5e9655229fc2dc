/**
 * The configuration file of the containerd that the agent runs for itself: pure text from values. Version 2 for
 * containerd 1.x, version 3 for 2.x (plugin names changed there). Only what differs from containerd's defaults.
 * Not for: writing it, or finding out the values.
 */

export interface ContainerdVersion {
  major: number;
  minor: number;
  patch: number;
}

export interface ContainerdConfig {
  version: ContainerdVersion;
  /** Persistent directory, directory below /run, and the socket that answers CRI. */
  root: string;
  state: string;
  socket: string;
  runc: string;
  cniBinDir: string;
  cniConfDir: string;
  sandboxImage: string;
  cgroupDriver: "cgroupfs" | "systemd";
  /** Never ask for an oom_score_adj below containerd's own: without CAP_SYS_RESOURCE runc would fail. */
  restrictOomScoreAdj: boolean;
  snapshotter: "overlayfs" | "native";
  /** Directory of `HOST/hosts.toml` files: mirrors, plain http, private authorities. */
  registryConfigDir: string;
  /** OCI runtimes besides runc, by the handler's name: absolute paths. */
  runtimes: Readonly<Record<string, string>>;
  /** Directories of CDI specs, for containerd from 1.7 on. */
  cdiSpecDirs: string[];
  maxConcurrentDownloads: number;
  logLevel: "debug" | "info" | "warn";
}

/** Reads `containerd github.com/containerd/containerd 1.6.20~ds1 …`; `undefined` when it is something else. */
export function parseContainerdVersion(text: string): ContainerdVersion | undefined {
  const m = /^containerd\s+\S+\s+v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(text.trim());
  if (m === null) return undefined;
  return { major: Number(m[1]), minor: Number(m[2]), patch: Number(m[3] ?? 0) };
}

/** TOML for a value; strings are basic strings, whose escapes are JSON's (TOML 1.0, "String"). */
function toml(value: string | number | boolean | string[]): string {
  if (Array.isArray(value)) return `[${value.map((v) => JSON.stringify(v)).join(", ")}]`;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function table(
  path: string[],
  entries: Record<string, string | number | boolean | string[] | undefined>,
): string {
  const header = path.length === 0
    ? ""
    : `\n[${path.map((p) => /^[A-Za-z0-9_-]+$/.test(p) ? p : JSON.stringify(p)).join(".")}]\n`;
  const lines = Object.entries(entries).flatMap(([k, v]) => v === undefined ? [] : [`${k} = ${toml(v)}\n`]);
  return header + lines.join("");
}

/** Plugins of no use to a node: other snapshotters, tracing, the restart monitor (the agent restarts containers). */
function disabledPlugins(c: ContainerdConfig): string[] {
  const snapshotters = c.version.major >= 2
    ? ["btrfs", "zfs", "devmapper", "blockfile", "erofs"]
    : ["aufs", "btrfs", "zfs", "devmapper", "blockfile"];
  const unused = c.snapshotter === "overlayfs" ? "native" : "overlayfs";
  return [
    ...[...snapshotters, unused].map((s) => `io.containerd.snapshotter.v1.${s}`),
    "io.containerd.internal.v1.restart",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
    ...(c.version.major >= 2
      ? ["io.containerd.monitor.container.v1.restart", "io.containerd.differ.v1.erofs"]
      : []),
  ];
}

function general(c: ContainerdConfig): string {
  return table([], {
    version: c.version.major >= 2 ? 3 : 2,
    root: c.root,
    state: c.state,
    oom_score: c.restrictOomScoreAdj ? undefined : -999,
    disabled_plugins: disabledPlugins(c),
  }) +
    table(["grpc"], { address: c.socket, uid: 0, gid: 0 }) +
    table(["debug"], { level: c.logLevel }) +
    // The default, /opt/containerd, would be shared and made at every start.
    table(["plugins", "io.containerd.internal.v1.opt"], { path: `${c.root}/opt` });
}

/** The handlers that pods may name by their RuntimeClass; `runc` is the default. */
function runtimeTables(containerd: string[], c: ContainerdConfig): string {
  return Object.entries({ ...c.runtimes, runc: c.runc }).map(([name, program]) => {
    const path = [...containerd, "runtimes", name];
    const options = {
      BinaryName: program,
      Root: `${c.state}/${name}`,
      SystemdCgroup: c.cgroupDriver === "systemd",
    };
    return table(path, { runtime_type: "io.containerd.runc.v2" }) + table([...path, "options"], options);
  }).join("");
}

const STREAMING = { stream_server_address: "127.0.0.1", stream_server_port: "0", disable_tcp_service: true };

function criVersion2(c: ContainerdConfig): string {
  const cri = ["plugins", "io.containerd.grpc.v1.cri"];
  const since17 = c.version.minor >= 7;
  return table(cri, {
    ...STREAMING,
    sandbox_image: c.sandboxImage,
    restrict_oom_score_adj: c.restrictOomScoreAdj,
    netns_mounts_under_state_dir: true,
    max_concurrent_downloads: c.maxConcurrentDownloads,
    // What containerd 2 has as its default: the same pod behaves the same on every version.
    enable_unprivileged_ports: true,
    enable_unprivileged_icmp: true,
    enable_cdi: since17 ? true : undefined,
    cdi_spec_dirs: since17 ? c.cdiSpecDirs : undefined,
  }) +
    table([...cri, "cni"], { bin_dir: c.cniBinDir, conf_dir: c.cniConfDir }) +
    table([...cri, "containerd"], {
      snapshotter: c.snapshotter,
      default_runtime_name: "runc",
      discard_unpacked_layers: false,
    }) +
    runtimeTables([...cri, "containerd"], c) +
    table([...cri, "registry"], { config_path: c.registryConfigDir }) +
    // NRI listens at one fixed path, which several instances would fight for.
    (since17 ? table(["plugins", "io.containerd.nri.v1.nri"], { disable: true }) : "");
}

function criVersion3(c: ContainerdConfig): string {
  const images = ["plugins", "io.containerd.cri.v1.images"];
  const runtime = ["plugins", "io.containerd.cri.v1.runtime"];
  const severalBinDirs = c.version.major > 2 || c.version.minor >= 1;
  return table(["plugins", "io.containerd.grpc.v1.cri"], STREAMING) +
    table(images, {
      snapshotter: c.snapshotter,
      // From 2.1 a value here would switch pulls back to the older client; 3 is the default of both.
      max_concurrent_downloads: c.maxConcurrentDownloads === 3 ? undefined : c.maxConcurrentDownloads,
    }) +
    table([...images, "pinned_images"], { sandbox: c.sandboxImage }) +
    table([...images, "registry"], { config_path: c.registryConfigDir }) +
    table(runtime, {
      restrict_oom_score_adj: c.restrictOomScoreAdj,
      netns_mounts_under_state_dir: true,
      cdi_spec_dirs: c.cdiSpecDirs,
    }) +
    table([...runtime, "cni"], {
      ...(severalBinDirs ? { bin_dirs: [c.cniBinDir] } : { bin_dir: c.cniBinDir }),
      conf_dir: c.cniConfDir,
    }) +
    table([...runtime, "containerd"], { default_runtime_name: "runc" }) +
    runtimeTables([...runtime, "containerd"], c) +
    table(["plugins", "io.containerd.nri.v1.nri"], { disable: true });
}

/** The whole file. */
export function generateConfig(c: ContainerdConfig): string {
  return "# Written by the agent at each start; edits are lost. Registries: see config_path below.\n" +
    general(c) + (c.version.major >= 2 ? criVersion3(c) : criVersion2(c));
}
