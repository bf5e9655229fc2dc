/**
 * Observing with few calls: two lists, then one status call for each object whose status is not known yet. What a
 * status tells beyond the lists never changes within one state (addresses of a ready sandbox, start time of a running
 * container, exit of an exited one), so it is asked once per object and state.
 * Not for: what the answers mean (observe.ts).
 */
import type { ObservedPod } from "../../agent/model/observed.ts";
import {
  type Container,
  ContainerState,
  type ContainerStatus,
  NamespaceMode,
  type PodSandbox,
  PodSandboxState,
} from "../rpc/gen/cri.ts";
import { type RuntimeClient, within } from "./client.ts";
import { isNotFound } from "./errors.ts";
import { INSTANCE, POD_UID } from "./labels.ts";
import { toIps, toMs, toObservedPods } from "./observe.ts";

export interface Observer {
  observe(uid: string | undefined, signal: AbortSignal): Promise<ObservedPod[]>;
  /** The pod that a container or sandbox id belongs to, where it was seen or created. */
  uidOf(id: string): string | undefined;
  remember(id: string, uid: string): void;
}

interface Known {
  uid: string;
  ips?: string[];
  status?: ContainerStatus;
}

/** Only a runtime's late word can change an exit: it may learn of the OOM kill after the exit itself. */
const OOM_WINDOW_MS = 5000;
const KILLED = 137;

function isSettled(status: ContainerStatus, now: number): boolean {
  if (status.state === ContainerState.CONTAINER_UNKNOWN) return false;
  if (status.state !== ContainerState.CONTAINER_EXITED || status.exitCode !== KILLED) return true;
  return status.reason === "OOMKilled" || now - (toMs(status.finishedAt) ?? 0) > OOM_WINDOW_MS;
}

export function createObserver(client: RuntimeClient, instance: string): Observer {
  const known = new Map<string, Known>();
  const uidIn = (labels: Record<string, string>): string => labels[POD_UID] ?? "";
  const entry = (id: string, uid: string): Known => {
    const old = known.get(id);
    if (old !== undefined) return old;
    const made = { uid };
    known.set(id, made);
    return made;
  };

  /** `undefined` when the sandbox has gone since it was listed. */
  const ipsOf = async (sandbox: PodSandbox, signal: AbortSignal): Promise<string[] | undefined> => {
    const own = entry(sandbox.id, uidIn(sandbox.labels));
    if (sandbox.state !== PodSandboxState.SANDBOX_READY) return [];
    if (own.ips !== undefined) return own.ips;
    const { status } = await client.podSandboxStatus(
      { podSandboxId: sandbox.id, verbose: false },
      within(signal),
    );
    if (status === undefined) return undefined;
    const ips = toIps(status);
    const hostNetwork = status.linux?.namespaces?.options?.network === NamespaceMode.NODE;
    if (ips.length > 0 || hostNetwork) own.ips = ips;
    return ips;
  };

  const statusOf = async (listed: Container, signal: AbortSignal): Promise<ContainerStatus | undefined> => {
    const own = entry(listed.id, uidIn(listed.labels));
    if (own.status?.state === listed.state) return own.status;
    const { status } = await client.containerStatus(
      { containerId: listed.id, verbose: false },
      within(signal),
    );
    if (status !== undefined && isSettled(status, Date.now())) own.status = slim(status);
    return status;
  };

  const forgetAllBut = (seen: Set<string>, uid: string | undefined): void => {
    for (const [id, k] of known) if (!seen.has(id) && (uid === undefined || k.uid === uid)) known.delete(id);
  };

  const observe = async (uid: string | undefined, signal: AbortSignal): Promise<ObservedPod[]> => {
    const labelSelector = { [INSTANCE]: instance, ...(uid === undefined ? {} : { [POD_UID]: uid }) };
    const before = new Set(known.keys());
    const [{ items }, { containers: listed }] = await Promise.all([
      client.listPodSandbox({ filter: { id: "", labelSelector } }, within(signal)),
      client.listContainers({ filter: { id: "", podSandboxId: "", labelSelector } }, within(signal)),
    ]);
    const [sandboxes, containers] = await Promise.all([
      Promise.all(items.map(async (sandbox) => {
        const ips = await orGone(ipsOf(sandbox, signal));
        return ips === undefined ? [] : [{ sandbox, ips }];
      })),
      Promise.all(listed.map(async (container) => {
        const status = await orGone(statusOf(container, signal));
        return status === undefined ? [] : [{ container, status }];
      })),
    ]);
    const seen = new Set([...items, ...listed].map((o) => o.id));
    // What was created while the lists were made is in none of them and stays.
    for (const id of known.keys()) if (!before.has(id)) seen.add(id);
    forgetAllBut(seen, uid);
    return toObservedPods(sandboxes.flat(), containers.flat());
  };

  return {
    observe,
    uidOf: (id) => known.get(id)?.uid,
    remember: (id, uid) => void entry(id, uid),
  };
}

async function orGone<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Labels, annotations and mounts are the lists' to tell; keeping them would hold the bulk of each message. */
function slim(status: ContainerStatus): ContainerStatus {
  return { ...status, labels: {}, annotations: {}, mounts: [], resources: undefined };
}
