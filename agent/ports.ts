/**
 * Every way the agent touches the world, on one page: the interfaces that plugins and agent/host.ts implement and
 * that everything else is given. Every effect ends with the signal that cancels it. Expected failures are thrown as
 * AgentError with a reason. Not for: implementations.
 */
import type { ContainerSpec, LinuxResources, SandboxSpec } from "./model/container.ts";
import type { ContainerEdits } from "./model/edits.ts";
import type { EnvFiles } from "./model/env_file.ts";
import type { WatchedPlace } from "./model/glob.ts";
import type { HeldImage } from "./model/held_image.ts";
import type { ObservedPod } from "./model/observed.ts";
import type { VolumeImage } from "./model/plan.ts";
import type { ProbeResult } from "./model/probe.ts";
import type { NetworkTarget } from "./model/probe_target.ts";
import type { Keyring, RegistryAuth } from "./model/pull_secrets.ts";
import type { Capacity } from "./model/stats_parts.ts";
import type { ContainerUsage, Usage } from "./model/usage.ts";
import type { GivenResources } from "./model/resize.ts";
import type { DesiredPod, Objects } from "./model/wish.ts";
import type { Container, ServiceAccountTokenProjection, VolumeMountStatus } from "./model/gen/v1.ts";

export interface FileStat {
  kind: "file" | "directory" | "symlink" | "socket" | "block" | "char" | "fifo";
  size: number;
  /** Bytes on disk, where that is told. */
  allocated?: number;
  mode: number;
  uid: number;
  gid: number;
  /** Device and inode: identity of the file. */
  dev: number;
  ino: number;
  mtimeMs: number;
  /** Of a device node: its number, as st_rdev has it. */
  rdev?: number;
}

/** A file opened for reading: it stays the same file when its name is given to another one, as log rotation does. */
export interface OpenFile {
  stat(): Promise<FileStat>;
  /** Up to `length` bytes from `offset`; empty at the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): void;
}

export interface MountPoint {
  path: string;
  fsType: string;
  source: string;
  options: string[];
}

export interface CommandResult {
  code: number;
  stdout: Uint8Array;
  stderr: Uint8Array;
}

/** The host: files, mounts, commands, clock. Paths are absolute; a missing file is `undefined`, other errors throw. */
export interface Host {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds on a clock that never jumps. */
  monotonic(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  readFile(path: string): Promise<Uint8Array | undefined>;
  readText(path: string): Promise<string | undefined>;
  openFile(path: string): Promise<OpenFile | undefined>;
  /** Names in a directory, sorted; `undefined` when it does not exist. */
  list(path: string): Promise<string[] | undefined>;
  /** Follows symlinks. */
  stat(path: string): Promise<FileStat | undefined>;
  lstat(path: string): Promise<FileStat | undefined>;
  readlink(path: string): Promise<string | undefined>;
  /** Resolves every symlink; `undefined` when the path does not exist. */
  realPath(path: string): Promise<string | undefined>;
  /** Of the file system that the path lies on. */
  statfs(path: string): Promise<Capacity | undefined>;
  /** Creates parents; `mode` (default 0755) is set on the last directory regardless of umask. */
  mkdir(path: string, mode?: number): Promise<void>;
  /** Plain write, truncating; `mode` default 0644 regardless of umask. */
  writeFile(path: string, content: string | Uint8Array, mode?: number): Promise<void>;
  /** Temporary file in the same directory, fsync, rename, fsync of the directory. */
  writeFileAtomic(path: string, content: string | Uint8Array, mode?: number): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  /** `-1` leaves an id as it is. Does not follow symlinks. */
  chown(path: string, uid: number, gid: number): Promise<void>;
  /** Removes one file, link or empty directory; nothing happens when it does not exist. */
  remove(path: string): Promise<void>;
  /** Removes a tree, but never across a mount point: throws when one is found below. */
  removeTree(path: string): Promise<void>;
  mount(
    options: { source: string; target: string; fsType: string; flags?: number; options?: string },
  ): Promise<void>;
  /** Lazy detach when `lazy`; nothing happens when it is not a mount point. */
  unmount(path: string, options?: { lazy?: boolean }): Promise<void>;
  mounts(): Promise<MountPoint[]>;
  /** Runs a program to its end; output is limited to 1 MiB each. */
  exec(
    argv: string[],
    options: { env?: Record<string, string>; stdin?: Uint8Array; cwd?: string },
    signal: AbortSignal,
  ): Promise<CommandResult>;
  /**
   * Yields "look again" hints for a directory (and what symlinks in it point to), never content: on any change below it,
   * when it is deleted, recreated or mounted over. Ends with the signal. Bursts are merged.
   */
  watch(directory: string, signal: AbortSignal): AsyncIterable<void>;
  /** The same for several places at once, for directories as noisy as /dev. */
  watchPlaces(places: readonly WatchedPlace[], signal: AbortSignal): AsyncIterable<void>;
}

export interface RuntimeVersion {
  name: string;
  version: string;
  apiVersion: string;
}

export interface RuntimeStatus {
  runtimeReady: boolean;
  networkReady: boolean;
  /** Why not, in the runtime's words. */
  message: string;
  cgroupDriver?: "cgroupfs" | "systemd";
  runtimeHandlers: string[];
  /** Those that make read-only mounts read-only all the way down. */
  recursiveReadOnlyHandlers: string[];
  /** Those of them that can give a pod a user namespace. */
  userNamespaceHandlers: string[];
  /** Whether it takes names of CDI devices, where it tells its configuration. */
  takesCdiNames?: boolean;
  /** Whether groups of an image's /etc/group can be kept out. */
  supplementalGroupsPolicy: boolean;
}

/** Something happened to a pod (`uid`), or, without one, to anything: look again. */
export interface RuntimeEvent {
  uid?: string;
}

export interface ExecResult {
  /** undefined: it ran past its timeout. */
  exitCode: number | undefined;
  /** What it wrote to standard output, then what it wrote to standard error; at most 1 MiB each. */
  output: string;
}

/** The CRI runtime service, in our words. Lists only what bears this instance's label. */
export interface Runtime {
  version(signal: AbortSignal): Promise<RuntimeVersion>;
  status(signal: AbortSignal): Promise<RuntimeStatus>;
  /** All pods of this instance, or the one with this uid (then one element, or none). `hasDirectory` is left false. */
  observe(uid: string | undefined, signal: AbortSignal): Promise<ObservedPod[]>;
  /** Returns the sandbox id. */
  runPodSandbox(spec: SandboxSpec, signal: AbortSignal): Promise<string>;
  /** Ids of all sandboxes, those of others, too. */
  sandboxIds(signal: AbortSignal): Promise<Set<string>>;
  /** Path of a sandbox's network namespace; undefined where it has none of its own or the runtime does not tell. */
  networkNamespace(id: string, signal: AbortSignal): Promise<string | undefined>;
  stopPodSandbox(id: string, signal: AbortSignal): Promise<void>;
  removePodSandbox(id: string, signal: AbortSignal): Promise<void>;
  /** Returns the container id. */
  createContainer(spec: ContainerSpec, signal: AbortSignal): Promise<string>;
  startContainer(id: string, signal: AbortSignal): Promise<void>;
  stopContainer(id: string, graceSeconds: number, signal: AbortSignal): Promise<void>;
  removeContainer(id: string, signal: AbortSignal): Promise<void>;
  /** In place, without a restart; huge pages stay as they are. */
  updateContainerResources(id: string, resources: LinuxResources, signal: AbortSignal): Promise<void>;
  /** What the running containers of this instance use. */
  stats(signal: AbortSignal): Promise<ContainerUsage[]>;
  reopenContainerLog(id: string, signal: AbortSignal): Promise<void>;
  /** Runs a command in a container to its end; what runs past the timeout is killed. Throws when it cannot be run at all. */
  execSync(
    id: string,
    command: readonly string[],
    timeoutSeconds: number,
    signal: AbortSignal,
  ): Promise<ExecResult>;
  /**
   * Hints that something happened; a hint comes no earlier than `observe` shows it. Ends when the signal aborts; throws
   * AgentError when the stream breaks, with `retry` false where the runtime has no events at all: relist instead.
   */
  events(signal: AbortSignal): AsyncIterable<RuntimeEvent>;
}

/** Which streams a session has. With a terminal there is no stderr of its own. */
export interface StreamKinds {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  tty: boolean;
}

/**
 * Sessions with containers, as the CRI streams them: each call returns the URL where the runtime's own streaming server
 * waits for the one client that knows it (it bears a token that ends with its first use, or after a minute).
 */
export interface Streams {
  exec(
    containerId: string,
    command: readonly string[],
    kinds: StreamKinds,
    signal: AbortSignal,
  ): Promise<string>;
  attach(containerId: string, kinds: StreamKinds, signal: AbortSignal): Promise<string>;
  portForward(sandboxId: string, ports: readonly number[], signal: AbortSignal): Promise<string>;
}

export interface ImageStatus {
  /** Content id (`sha256:…`). */
  id: string;
  repoTags: string[];
  repoDigests: string[];
  size: number;
  /** `uid` or user name that the image sets; "" is root. */
  user: string;
  /** True for what must not be collected: the sandbox image, images imported from an archive. */
  pinned: boolean;
}

/** What the runtime's images, or containers' layers, take. */
export interface ImageFileSystem {
  /** A directory on it. */
  path: string;
  /** Milliseconds since the epoch. */
  at: number;
  bytes: number;
  inodes?: number;
}

/** The CRI image service and the archives beside it. */
export interface Images {
  list(signal: AbortSignal): Promise<ImageStatus[]>;
  status(image: string, signal: AbortSignal): Promise<ImageStatus | undefined>;
  /** Returns the reference to create containers with. Throws ErrImagePull. */
  pull(image: string, auth: RegistryAuth | undefined, signal: AbortSignal): Promise<string>;
  remove(image: string, signal: AbortSignal): Promise<void>;
  /** Where the runtime keeps images, and where layers of containers; what it does not tell is absent. */
  fileSystems(signal: AbortSignal): Promise<{ images?: ImageFileSystem; containers?: ImageFileSystem }>;
  /** Imports an OCI or docker archive (.tar, .tar.gz, .tar.zst); returns the names it brought. Pinned against collection. */
  importArchive(path: string, signal: AbortSignal): Promise<string[]>;
}

/** Passwords for registries that the node itself has, besides the secrets of pods. */
export interface NodeCredentials {
  /**
   * To be looked into in this order; `repository` is a whole name without tag and digest. What went wrong on the way is
   * told in one sentence each, and holds up nothing.
   */
  keyrings(repository: string, signal: AbortSignal): Promise<{ keyrings: Keyring[]; failures: string[] }>;
}

export type { HeldImage };

/** Images as volumes. Throws CreateContainerConfigError where the runtime offers no way to it. */
export interface ImageVolumes {
  /** Whether the runtime itself mounts images into containers; otherwise they are held and mounted. */
  byRuntime(signal: AbortSignal): Promise<boolean>;
  /** Keeps an image's files (`image` is an id) for a pod from being collected until `id` is released. Idempotent. */
  hold(image: string, uid: string, id: string, signal: AbortSignal): Promise<HeldImage>;
  /** Lets go of what is held for a pod but the ids in `keep`; unmounted before. Idempotent. */
  release(uid: string, keep: ReadonlySet<string>, signal: AbortSignal): Promise<void>;
}

export interface ServiceAccountToken {
  token: string;
  /** RFC 3339, by the clock of who signed it. */
  expirationTimestamp: string;
}

export type TokenPod = Pick<DesiredPod, "pod" | "uid">;

/** What a control plane signs for pods. */
export interface TokenSource {
  /** A token for the pod's service account that has not expired. Throws FailedMount where nobody signs one. */
  request(
    pod: TokenPod,
    wanted: ServiceAccountTokenProjection,
    signal: AbortSignal,
  ): Promise<ServiceAccountToken>;
}

/** Questions of probes over the network, each on a connection of its own. */
export interface Prober {
  /** Always an answer: nobody there, or none in time, is a failure. Throws only when the signal aborts. */
  ask(target: NetworkTarget, timeoutMs: number, signal: AbortSignal): Promise<ProbeResult>;
}

/** What one volume of a pod became: a path on the host, to be mounted where containers ask for it. */
export interface PublishedVolume {
  name: string;
  /** "" for an image, which each container brings with its own start, and for a block device. */
  hostPath: string;
  readonly: boolean;
  /** Path on the host of a block device, for `volumeDevices`. */
  device?: string;
  /** The content is the pod's alone, though it does not lie in its directory: labels of SELinux may be set. */
  relabel?: boolean;
}

/** What a container is given its mounts for. */
export interface EditsRequest {
  pod: DesiredPod;
  container: Container;
  attempt: number;
  published: ReadonlyMap<string, PublishedVolume>;
  env: readonly { name: string; value: string }[];
  podIPs: readonly string[];
  /** The images that were made ready for its image volumes, by volume. */
  images: ReadonlyMap<string, VolumeImage>;
  /** Whether the pod's runtime handler makes read-only mounts read-only all the way down. */
  recursiveReadOnly: boolean;
}

/** In what it is measured how much of a disk something takes. */
export type DiskUnit = "bytes" | "inodes";

/** The volumes and generated files of pods, below ROOT/pods/UID. */
export interface Storage {
  /**
   * Creates the pod's directory, by which the next run of the agent knows that there is something of the pod on this
   * node: before anything else of it, and removed after all else. Idempotent.
   */
  claim(uid: string): Promise<void>;
  /**
   * Creates the pod directory and publishes or refreshes every volume; idempotent, and safe after a crash at any
   * point. Returns volumes by name. Throws FailedMount naming volume and cause.
   */
  publish(pod: DesiredPod, objects: Objects, signal: AbortSignal): Promise<Map<string, PublishedVolume>>;
  /** Whether an edit has left more of the pod's volumes than it asks for now: to be swept when nobody uses it. */
  isStale(pod: DesiredPod): Promise<boolean>;
  /**
   * Unmounts and removes what the pod's volumes no longer need, once no container uses it. `mounted` is what its
   * containers have mounted now. Idempotent, and complete after a crash at any point.
   */
  sweep(pod: DesiredPod, mounted: readonly VolumeMountStatus[], signal: AbortSignal): Promise<void>;
  /** What a container gets: volume mounts, /etc/hosts, /etc/resolv.conf is the runtime's, the termination log. */
  containerEdits(request: EditsRequest, signal: AbortSignal): Promise<ContainerEdits>;
  /**
   * The files that a container takes variables from; a missing or bad one is told in its place. Throws
   * CreateContainerConfigError when a volume is not published.
   */
  envFiles(
    uid: string,
    container: Container,
    published: ReadonlyMap<string, PublishedVolume>,
  ): Promise<EnvFiles>;
  /** Unmounts everything of the pod and removes its directory, never across a mount point. Idempotent. */
  remove(uid: string, signal: AbortSignal): Promise<void>;
  /** Takes away what the pod's emptyDirs hold, while no container of it lives; `publish` makes them anew. Idempotent. */
  clear(uid: string, signal: AbortSignal): Promise<void>;
  /** Uids that have a pod directory. */
  known(): Promise<string[]>;
  /**
   * Remembers what resources (JSON) were last given to a running container in place, which no runtime tells; "" while
   * that is under way, so that a crash in between makes it happen again.
   */
  keepResources(uid: string, container: string, given: GivenResources): Promise<void>;
  keptResources(uid: string, container: string): Promise<GivenResources | undefined>;
  /**
   * Bytes that emptyDirs take on disk or in memory, or how many files and directories they are, by uid of their pod and
   * name; those that do not exist are left out. Follows no symlink, crosses no mount, opens no file; costs one process,
   * which walks over all their files.
   */
  emptyDirUsage(
    volumes: ReadonlyMap<string, readonly string[]>,
    unit: DiskUnit,
    signal: AbortSignal,
  ): Promise<Map<string, Map<string, number>>>;
  /**
   * Remembers something of the pod that the world cannot tell, under a name (letters, digits, `.`, `-`), until the pod
   * is removed; undefined forgets it. The pod's directory must be there.
   */
  keepNote(uid: string, name: string, text: string | undefined): Promise<void>;
  /** All that is kept, by name. */
  notes(uid: string): Promise<ReadonlyMap<string, string>>;
  /** What a container left as its termination message, at most 4096 bytes. */
  terminationMessage(uid: string, container: string, attempt: number): Promise<string | undefined>;
}

/** The cgroups of pods, where the agent and not the runtime owns them. */
export interface Cgroups {
  /** Creates the pod's cgroup with its limits; returns what CRI wants as cgroup_parent ("" leaves it to the runtime). */
  ensure(pod: DesiredPod): Promise<string>;
  /** Raises the limits of the pod's cgroup where the pod now wants more, and lowers none. */
  makeRoom(pod: DesiredPod): Promise<void>;
  /** What the pod uses, its sandbox included; `undefined` where there is no such cgroup. */
  usage(pod: Pick<DesiredPod, "pod" | "uid">): Promise<Usage | undefined>;
  /** Removes the pod's cgroup in every hierarchy. Idempotent. */
  remove(uid: string): Promise<void>;
}
