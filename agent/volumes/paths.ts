/**
 * Where the parts of a pod lie below the agent's root: the kubelet's paths, to the letter. Pure. Names become parts of
 * paths only after a check. Not for: creating anything.
 */
import { join } from "@std/path";
import { AgentError } from "../model/errors.ts";

export interface PodPaths {
  pod: string;
  volumes: string;
  plugins: string;
  hosts: string;
  subPaths: string;
  /** Image volumes: `VOLUME/CONTENT` below it. */
  images: string;
  /** Volumes of CSI drivers, which alone mount and unmount below it. */
  csi: string;
  /** What the agent itself remembers of the pod, a file each. */
  notes: string;
  /** `kind` is the plugin's name with `~`: `empty-dir`, `configmap`, … */
  volume(kind: string, name: string): string;
  /** Where a sub path of a volume is bound for the mount of a container with this index. */
  subPath(volume: string, container: string, index: number): string;
  /** Exists once an emptyDir is complete. */
  ready(name: string): string;
  containers(name: string): string;
  /** What was given to the running container in place; goes with the next attempt. */
  resources(container: string): string;
  /** Takes what the attempt leaves as its last words. */
  terminationLog(container: string, attempt: number): string;
}

export const podsDirectory = (root: string): string => join(root, "pods");

export function podPaths(root: string, uid: string): PodPaths {
  const pod = join(podsDirectory(root), part(uid, "pod uid"));
  const containers = (name: string) => join(pod, "containers", part(name, "container name"));
  return {
    pod,
    volumes: join(pod, "volumes"),
    plugins: join(pod, "plugins"),
    hosts: join(pod, "etc-hosts"),
    subPaths: join(pod, "volume-subpaths"),
    images: join(pod, "volumes", "kubernetes.io~image"),
    csi: join(pod, "volumes", "kubernetes.io~csi"),
    notes: join(pod, "notes"),
    volume: (kind, name) => join(pod, "volumes", `kubernetes.io~${kind}`, part(name, "volume name")),
    subPath: (volume, container, index) =>
      join(
        pod,
        "volume-subpaths",
        part(volume, "volume name"),
        part(container, "container name"),
        `${index}`,
      ),
    ready: (name) => join(pod, "plugins", "kubernetes.io~empty-dir", part(name, "volume name"), "ready"),
    containers,
    resources: (name) => join(containers(name), "resources.json"),
    terminationLog: (name, attempt) => join(containers(name), attempt.toString(16).padStart(8, "0")),
  };
}

/** Whether a name is one part of a path: letters, digits, `-`, `_` and `.`, beginning with a letter or digit. */
export const isPart = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/.test(name);

/** The name, once it is certain that it is one part of a path. */
export function part(name: string, what: string): string {
  if (isPart(name)) return name;
  throw new AgentError("FailedMount", `${what} ${JSON.stringify(name)} cannot be part of a path`, {
    retry: false,
  });
}

/** True for `path` itself and everything below `directory`; both absolute and clean. */
export const within = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(directory.endsWith("/") ? directory : `${directory}/`);
