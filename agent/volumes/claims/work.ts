/**
 * Carries out what claims need: volumes are made, deleted and expanded, each on its own, again and again with growing
 * pauses until it succeeds. Not for: deciding what is needed (model/claims.ts).
 */
import { AgentError, errorText } from "../../model/errors.ts";
import type { ClaimOutcome, ClaimWork } from "../../model/claims.ts";
import { directoryProvisioner } from "../../model/claim_match.ts";
import { grownTo, withCapacity } from "../../model/provisioned.ts";
import type { Objects } from "../../model/wish.ts";
import type { CsiDrivers } from "../../plugin_ports.ts";
import type { PersistentVolume } from "../../model/gen/v1.ts";
import type { Host } from "../../ports.ts";
import { createCsiVolume, deleteCsiVolume, expandCsiVolume } from "./csi.ts";
import { deleteDirectoryVolume, makeDirectoryVolume } from "./directory.ts";

export interface WorkOptions {
  host: Host;
  volumesDir: string;
  nodeName: string;
  drivers: CsiDrivers;
  /** Whether the volume is still attached to, or staged on, this node. */
  isOnNode(volume: PersistentVolume): Promise<boolean>;
  /** Lets the node's part of a driver see a volume's new size; false: no pod has it, so that this is still to be done. */
  expandOnNode(volume: PersistentVolume, bytes: number, signal: AbortSignal): Promise<boolean>;
  /** What manifests describe now. */
  objects(): Objects;
}

export interface Trouble {
  message: string;
  count: number;
  /** On the monotonic clock. */
  retryAt: number;
}

export interface Works {
  /** What is due and does not run yet is begun. `done` hears of each end: an outcome where there is something to learn. */
  begin(
    work: readonly ClaimWork[],
    done: (work: ClaimWork, ended: { outcome?: ClaimOutcome; error?: string }) => void,
    signal: AbortSignal,
  ): void;
  isDue(work: ClaimWork): boolean;
  trouble(work: ClaimWork): Trouble | undefined;
  /** Ends with the work of this name; `undefined` when it does not run. */
  running(name: string): Promise<void> | undefined;
  /** When something must be tried again; `undefined`: nothing. */
  nextAt(work: readonly ClaimWork[]): number | undefined;
  /** What failed may succeed now. */
  forgive(): void;
}

const firstPauseMs = 1_000;
const longestPauseMs = 300_000;

export const workName = (work: ClaimWork): string =>
  work.kind === "provision"
    ? `provision ${work.record.uid}`
    : work.kind === "delete"
    ? `delete ${work.volume.metadata?.name}`
    : `expand ${work.volume.metadata?.name} ${work.bytes}`;

export function createWorks(o: WorkOptions): Works {
  const running = new Map<string, Promise<void>>();
  const troubles = new Map<string, Trouble>();
  const isDue = (work: ClaimWork) => {
    const name = workName(work);
    return !running.has(name) && (troubles.get(name)?.retryAt ?? 0) <= o.host.monotonic();
  };

  function fail(work: ClaimWork, error: unknown): { outcome?: ClaimOutcome; error: string } {
    const name = workName(work);
    const count = (troubles.get(name)?.count ?? 0) + 1;
    const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(count - 1, 20));
    const message = errorText(error);
    troubles.set(name, { message, count, retryAt: o.host.monotonic() + pause });
    const isFinal = error instanceof AgentError && !error.retry;
    return work.kind === "provision" && isFinal
      ? { outcome: { kind: "refused", key: work.key }, error: message }
      : { error: message };
  }

  return {
    isDue,
    trouble: (work) => troubles.get(workName(work)),
    running: (name) => running.get(name),
    forgive: () => {
      for (const [name, trouble] of troubles) troubles.set(name, { ...trouble, count: 0, retryAt: 0 });
    },
    nextAt(work) {
      const times = work.filter((w) => !running.has(workName(w)))
        .flatMap((w) => troubles.get(workName(w))?.retryAt ?? []);
      return times.length === 0 ? undefined : Math.min(...times);
    },
    begin(work, done, signal) {
      const wanted = new Set(work.map(workName));
      for (const name of troubles.keys()) if (!wanted.has(name) && !running.has(name)) troubles.delete(name);
      for (const one of work.filter(isDue)) {
        const name = workName(one);
        const run = async () => {
          let ended;
          try {
            ended = { outcome: await carryOut(o, one, signal) };
            troubles.delete(name);
          } catch (error) {
            ended = fail(one, error);
          }
          running.delete(name);
          done(one, ended);
        };
        running.set(name, run());
      }
    },
  };
}

async function carryOut(o: WorkOptions, work: ClaimWork, signal: AbortSignal): Promise<ClaimOutcome> {
  const { host, drivers } = o;
  if (work.kind === "provision") {
    const { key, record, storageClass } = work;
    const volume = storageClass.provisioner === directoryProvisioner
      ? await makeDirectoryVolume(host, o.volumesDir, record, storageClass, o.nodeName)
      : await createCsiVolume(drivers, o.objects(), record, storageClass, signal);
    return { kind: "provisioned", key, volume, now: host.now() };
  }
  const { volume } = work;
  const name = volume.metadata?.name ?? "";
  if (work.kind === "delete") {
    if (await o.isOnNode(volume)) throw new AgentError("Unknown", "it is still attached to this node");
    if (volume.spec?.csi !== undefined) await deleteCsiVolume(drivers, o.objects(), volume, signal);
    else await deleteDirectoryVolume(host, volume);
    return { kind: "deleted", name };
  }
  if (volume.spec?.csi === undefined) {
    return { kind: "expanded", name, volume: withCapacity(volume, work.bytes) };
  }
  const { capacity, nodeExpansionRequired } = await expandCsiVolume(
    drivers,
    o.objects(),
    volume,
    work.bytes,
    signal,
  );
  const size = capacity || work.bytes;
  const isDone = !nodeExpansionRequired || await o.expandOnNode(volume, size, signal);
  return { kind: "expanded", name, volume: grownTo(volume, size, !isDone) };
}
