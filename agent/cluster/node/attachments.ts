/**
 * Volumes that the control plane attaches to this node: what is wanted here is told in the Node's status before it is used
 * and until nothing of it is left; what is attached, its Node and VolumeAttachment say. Not for: mounting.
 *
 * Source: kubernetes pkg/kubelet/volumemanager, pkg/volume/csi/csi_attacher.go.
 */
import { createListeners, type Listeners } from "../../lib/listeners.ts";
import { sha256 } from "../../lib/sha256.ts";
import { AgentError, errorText } from "../../model/errors.ts";
import type { Attachments, Texts, VolumeName } from "../../plugin_ports.ts";
import type { Api } from "../client/api.ts";
import { isPassing } from "../client/api_error.ts";
import type { OwnNode } from "./own_node.ts";

export interface NodeAttachments extends Attachments {
  /** In the Node's words. */
  inUse(): string[];
  /** What an earlier run of the agent has left in use. */
  restore(volumes: readonly VolumeName[]): void;
  /** Tells when other volumes are in use. */
  changes: Listeners<void>;
}

export interface AttachmentOptions {
  api: Api;
  own: OwnNode;
  nodeName: string;
  /** How long a pod is held up by one look, in ms; then it is told what it waits for. */
  patience?: number;
}

/** Source: pkg/volume/util, GetUniqueVolumeName. */
const nameOf = ({ driver, handle }: VolumeName): string => `kubernetes.io/csi/${driver}^${handle}`;

interface VolumeAttachment {
  status?: { attached?: boolean; attachmentMetadata?: Texts; attachError?: { message?: string } };
}

export function createAttachments(o: AttachmentOptions): NodeAttachments {
  const { api, own, nodeName, patience = 5_000 } = o;
  const inUse = new Set<string>();
  const changes = createListeners<void>();

  const isReady = (name: string): boolean => {
    const status = own.get()?.status;
    return status?.volumesInUse?.includes(name) === true &&
      status.volumesAttached?.some((v) => v.name === name) === true;
  };

  /** Until the Node says so, or the patience is over. */
  async function waitFor(name: string, signal: AbortSignal): Promise<boolean> {
    if (isReady(name)) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = new AbortController();
    const either = AbortSignal.any([signal, done.signal]);
    const timer = setTimeout(resolve, patience);
    signal.addEventListener("abort", () => resolve(), { once: true, signal: done.signal });
    own.changes.subscribe(() => isReady(name) && resolve(), either);
    await promise;
    clearTimeout(timer);
    done.abort();
    signal.throwIfAborted();
    return isReady(name);
  }

  async function ask(volume: VolumeName, signal: AbortSignal): Promise<Texts> {
    const id = `csi-${await sha256(volume.handle + volume.driver + nodeName)}`;
    const path = `/apis/storage.k8s.io/v1/volumeattachments/${id}`;
    const { status } = await api.ask({ path, deadline: 10_000, signal }) as VolumeAttachment;
    if (status?.attached === true) return status.attachmentMetadata ?? {};
    throw waiting(volume, status?.attachError?.message ?? "its VolumeAttachment is not attached");
  }

  return {
    inUse: () => [...inUse],
    changes,
    restore(volumes) {
      for (const volume of volumes) inUse.add(nameOf(volume));
    },
    async attached(volume, known, signal) {
      const name = nameOf(volume);
      if (!inUse.has(name)) {
        inUse.add(name);
        changes.tell();
      }
      const away = () => own.trouble() !== undefined;
      if (!await waitFor(name, signal)) {
        // What was attached when the API server was last heard of is, while it is away, held to be so.
        if (away() && known !== undefined) return known;
        throw waiting(
          volume,
          away() ? "the API server does not answer" : "the control plane has not attached it yet",
        );
      }
      try {
        return await ask(volume, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof AgentError) throw error;
        if (isPassing(error) && known !== undefined) return known;
        throw waiting(volume, errorText(error));
      }
    },
    released(volume) {
      if (inUse.delete(nameOf(volume))) changes.tell();
    },
  };
}

const waiting = ({ driver, handle }: VolumeName, why: string) =>
  new AgentError(
    "FailedMount",
    `volume ${handle} of CSI driver ${driver} is not attached to this node: ${why}`,
  );
