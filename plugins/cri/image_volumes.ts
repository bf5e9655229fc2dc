/**
 * The ImageVolumes port: images as volumes through CRI where the runtime mounts them itself, and otherwise as views of
 * containerd's snapshots, which the agent mounts. A view bears the label by which containerd's garbage collection spares
 * it, and labels that say which pod of which agent holds it. Not for: pulling images, or mounting.
 *
 * Source: KEP-4639; containerd docs/garbage-collection.md, api/services/snapshots.
 */
import { AgentError } from "../../agent/model/errors.ts";
import type { HeldImage, ImageVolumes } from "../../agent/ports.ts";
import type { SnapshotsDefinition } from "../rpc/gen/containerd_snapshots.ts";
import type { CallOptions, Client } from "../rpc/mod.ts";
import { type ImageClient, type RuntimeClient, within } from "./client.ts";
import { isAlreadyExists, isNotFound, toAgentError } from "./errors.ts";
import { CRI_NAMESPACE } from "./events.ts";
import { INSTANCE, POD_UID } from "./labels.ts";

export interface ImageVolumeClients {
  runtime: RuntimeClient;
  images: ImageClient;
  snapshots: Client<SnapshotsDefinition>;
}

const GC_ROOT = "containerd.io/gc.root";

const inNamespace = (signal: AbortSignal): CallOptions => ({
  ...within(signal),
  metadata: { "containerd-namespace": CRI_NAMESPACE },
});

/** Whether the runtime takes `Mount.image` (containerd since 2.1, CRI-O since 1.31); `undefined`: no way is known. */
export function imageMountSupport(name: string, version: string): "runtime" | "snapshots" | undefined {
  const [major = 0, minor = 0] = (/^v?(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);
  const since = (a: number, b: number) => major > a || (major === a && minor >= b);
  if (name === "containerd") return since(2, 1) ? "runtime" : "snapshots";
  return name === "cri-o" && since(1, 31) ? "runtime" : undefined;
}

export function createImageVolumes(clients: ImageVolumeClients, instance: string): ImageVolumes {
  const { runtime, images, snapshots } = clients;

  const keyOf = (uid: string, id: string): string => `agent/${instance}/${uid}/${id}`;

  /** Asked each time: the runtime may have been upgraded meanwhile. */
  async function support(signal: AbortSignal): Promise<"runtime" | "snapshots"> {
    const { runtimeName, runtimeVersion } = await runtime.version({ version: "v1" }, within(signal));
    const found = imageMountSupport(runtimeName, runtimeVersion);
    if (found !== undefined) return found;
    throw new AgentError(
      "CreateContainerConfigError",
      `${runtimeName} ${runtimeVersion} cannot mount image volumes: ` +
        "expected containerd, or CRI-O 1.31 or newer",
    );
  }

  async function snapshotter(signal: AbortSignal): Promise<string> {
    const { info } = await runtime.status({ verbose: true }, within(signal));
    return snapshotterIn(info["config"]) ?? "overlayfs";
  }

  async function chainId(image: string, signal: AbortSignal): Promise<string> {
    const { info } = await images.imageStatus({ image: { image }, verbose: true }, within(signal));
    const found = chainIdIn(info["info"]);
    if (found !== undefined) return found;
    throw new AgentError(
      "CreateContainerConfigError",
      `containerd does not tell the layers of image ${image}`,
    );
  }

  async function view(image: string, uid: string, id: string, signal: AbortSignal): Promise<HeldImage> {
    const [name, parent] = await Promise.all([snapshotter(signal), chainId(image, signal)]);
    const key = keyOf(uid, id);
    const labels = { [GC_ROOT]: new Date().toISOString(), [INSTANCE]: instance, [POD_UID]: uid };
    const options = inNamespace(signal);
    const { mounts } = await snapshots.view({ snapshotter: name, key, parent, labels }, options)
      .catch((error) => {
        if (!isAlreadyExists(error)) throw error;
        return snapshots.mounts({ snapshotter: name, key }, options);
      });
    const [mount] = mounts;
    if (mount !== undefined && mounts.length === 1) return { id, ...mount };
    throw new AgentError(
      "CreateContainerConfigError",
      `containerd's ${name} snapshotter gives ${mounts.length} mounts for image ${image}: expected one`,
    );
  }

  async function release(uid: string, keep: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const name = await snapshotter(signal);
    const filter = `labels."${POD_UID}"=="${uid}",labels."${INSTANCE}"=="${instance}"`;
    const request = { snapshotter: name, filters: [filter] };
    const kept = new Set([...keep].map((id) => keyOf(uid, id)));
    const keys: string[] = [];
    for await (const { info } of snapshots.list(request, inNamespace(signal))) {
      keys.push(...info.map((i) => i.name).filter((key) => !kept.has(key)));
    }
    for (const key of keys) {
      await snapshots.remove({ snapshotter: name, key }, inNamespace(signal)).catch((error) => {
        if (!isNotFound(error)) throw error;
      });
    }
  }

  const mapped = async <T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (error) {
      throw toAgentError(error, "CreateContainerConfigError", signal);
    }
  };

  return {
    byRuntime: (signal) => mapped(signal, async () => await support(signal) === "runtime"),
    hold: (image, uid, id, signal) => mapped(signal, () => view(image, uid, id, signal)),
    release: (uid, keep, signal) =>
      mapped(signal, async () => {
        if (await support(signal) === "snapshots") await release(uid, keep, signal);
      }),
  };
}

/** containerd tells its configuration when asked in detail; where it leaves the snapshotter out, it is the default. */
export function snapshotterIn(config: string | undefined): string | undefined {
  const found = parsed<{ containerd?: { snapshotter?: unknown } }>(config)?.containerd?.snapshotter;
  return typeof found === "string" && found !== "" ? found : undefined;
}

export function chainIdIn(info: string | undefined): string | undefined {
  const found = parsed<{ chainID?: unknown }>(info)?.chainID;
  return typeof found === "string" && found !== "" ? found : undefined;
}

function parsed<T>(json: string | undefined): T | undefined {
  try {
    return JSON.parse(json ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}
