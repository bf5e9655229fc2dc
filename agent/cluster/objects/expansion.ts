/**
 * Volumes of pods that have grown at the API server: the node makes use of what they have got, and tells their claims. Not
 * for: growing the volume itself, which its controller does. Source: kubernetes pkg/volume/util/operationexecutor
 * (node_expander.go), pkg/volume/util/resize_util.go.
 */
import type { Log } from "../../lib/log.ts";
import { createMailbox } from "../../lib/mailbox.ts";
import { grownTo, volumeNameOf } from "../../model/cluster_claim.ts";
import { errorText } from "../../model/errors.ts";
import type { PersistentVolume, PersistentVolumeClaim } from "../../model/gen/v1.ts";
import type { Objects } from "../../model/wish.ts";
import type { Api } from "../client/api.ts";
import { type BackOff, pauseBefore } from "../client/retry.ts";

export interface ExpansionOptions {
  api: Pick<Api, "ask">;
  log: Log;
  /** False: no pod has it yet. */
  expand(volume: PersistentVolume, bytes: number, signal: AbortSignal): Promise<boolean>;
  objects(): Objects;
  /** Tests make it short. */
  backOff?: BackOff;
  random?: () => number;
}

export interface Expansion {
  /** Objects have changed. */
  look(): void;
  /** Until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

interface Grown {
  claim: PersistentVolumeClaim;
  volume: PersistentVolume;
  bytes: number;
}

const ordinary: BackOff = { first: 2_000, most: 120_000 };

export function createExpansion(o: ExpansionOptions): Expansion {
  const { random = Math.random, backOff = ordinary } = o;
  const mailbox = createMailbox<never>();
  /** What each claim was told last, until it is seen to know. */
  const told = new Map<string, string>();

  /** Whether all that had grown is in use. */
  async function round(signal: AbortSignal): Promise<boolean> {
    const pending = grown(o.objects()).filter((g) => told.get(g.claim.metadata?.uid ?? "") !== capacityOf(g));
    const settled = await Promise.all(pending.map((g) => settle(g, signal)));
    return settled.every((isDone) => isDone);
  }

  async function settle(g: Grown, signal: AbortSignal): Promise<boolean> {
    const { metadata } = g.claim;
    try {
      if (!await o.expand(g.volume, g.bytes, signal)) return false;
      await o.api.ask({ ...knows(g), signal });
      told.set(metadata?.uid ?? "", capacityOf(g));
      return true;
    } catch (error) {
      if (!signal.aborted) {
        const claim = `${metadata?.namespace}/${metadata?.name}`;
        o.log.warn("a volume that has grown cannot be made use of yet", { claim, error: errorText(error) });
      }
      return false;
    }
  }

  return {
    look: () => mailbox.nudge(),
    async run(signal) {
      for (let attempt = 0, until: number | undefined; !signal.aborted;) {
        if (await mailbox.wait(signal, until) === "nudge") attempt = 0;
        if (signal.aborted) return;
        const isDone = await round(signal);
        until = isDone ? undefined : performance.now() + pauseBefore(attempt++, backOff, random());
      }
    },
  };
}

const grown = ({ persistentVolumeClaims, persistentVolumes }: Objects): Grown[] =>
  [...persistentVolumeClaims.values()].flatMap((claim) => {
    const volume = persistentVolumes.get(volumeNameOf(claim) ?? "");
    const bytes = volume && grownTo(claim, volume);
    return volume === undefined || bytes === undefined ? [] : [{ claim, volume, bytes }];
  });

const capacityOf = ({ volume }: Grown): string => volume.spec?.capacity?.["storage"] ?? "";

/** Conditions that end with the growth. */
const passing = ["Resizing", "FileSystemResizePending", "NodeResizeError"];

/** The claim as it was read, or a conflict: others write its conditions, too. */
function knows(g: Grown) {
  const { metadata: { namespace, name, resourceVersion } = {}, status: { conditions = [] } = {} } = g.claim;
  return {
    method: "PATCH" as const,
    path: `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${name}/status`,
    contentType: "application/merge-patch+json",
    body: {
      metadata: { resourceVersion },
      status: {
        capacity: { storage: capacityOf(g) },
        conditions: conditions.filter(({ type }) => !passing.includes(type)),
        allocatedResourceStatuses: { storage: null },
      },
    },
  };
}
