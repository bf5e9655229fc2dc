/** What users are told of claims and volumes: events, each once, and problems. Not for: their status (model/claim_status.ts). */
import { errorText, type Problem } from "../../model/errors.ts";
import type { ClaimPlan, ClaimWork, Verdict } from "../../model/claims.ts";
import type { Desired } from "../../model/wish.ts";
import type { AgentEvent } from "../../model/status_types.ts";
import type { StatusStore } from "../../status_store.ts";

export interface Telling {
  unreadable(message: string): void;
  unsaved(path: string, error: unknown): void;
  saved(): void;
  /** What each claim waits for, where that is new, and what its author can mend, in which file. */
  verdicts(plan: ClaimPlan, origins: Desired["origins"]): void;
  ended(work: ClaimWork, error: string | undefined): void;
}

const owner = "claims";

export function createTelling(store: StatusStore, now: () => number): Telling {
  const told = new Map<string, string>();
  const lasting: Problem[] = [];
  let saving: Problem[] = [];
  let ofClaims: Problem[] = [];
  const show = () => store.setProblems(owner, [...lasting, ...saving, ...ofClaims]);
  const event = (type: AgentEvent["type"], reason: string, message: string, object: AgentEvent["object"]) =>
    store.addEvent({ type, reason, message, object }, now());

  function verdict(key: string, uid: string, verdict: Verdict): void {
    const text = verdict.state === "bound" ? "bound" : JSON.stringify(verdict);
    if (told.get(uid) === text) return;
    const [namespace = "", name = ""] = key.split("/");
    const object = { kind: "PersistentVolumeClaim", namespace, name, uid };
    told.set(uid, text);
    if (verdict.state !== "waiting") return;
    const isNormal = verdict.reason === "WaitForFirstConsumer" || verdict.reason === "ExternalProvisioning";
    event(isNormal ? "Normal" : "Warning", verdict.reason, verdict.message, object);
  }

  return {
    unreadable(message) {
      lasting.push({ severity: "error", file: owner, message });
      show();
    },
    unsaved(path, error) {
      const message = `cannot be written, so that no claim gets a volume: ${errorText(error)}`;
      saving = [{ severity: "error", file: path, message }];
      show();
    },
    saved() {
      if (saving.length === 0) return;
      saving = [];
      show();
    },
    verdicts({ records, verdicts, problems }, origins) {
      const uids = new Set(Object.values(records.claims).map(({ uid }) => uid));
      for (const uid of told.keys()) if (!uids.has(uid)) told.delete(uid);
      for (const [key, found] of verdicts) verdict(key, records.claims[key]!.uid, found);
      ofClaims = problems.map(({ key, field, message }): Problem => ({
        severity: "warning",
        file: origins?.get(`PersistentVolumeClaim ${key}`) ?? owner,
        object: `PersistentVolumeClaim ${key}`,
        field,
        message,
      }));
      show();
    },
    ended(work, error) {
      const { namespace = "default", name = "" } = work.kind === "provision"
        ? work.record.claim.metadata ?? {}
        : {};
      const [claimNamespace = "", claimName = ""] = work.kind === "expand"
        ? work.key.split("/")
        : [namespace, name];
      const object = work.kind === "delete"
        ? { kind: "PersistentVolume", name: work.volume.metadata?.name ?? "" }
        : { kind: "PersistentVolumeClaim", namespace: claimNamespace, name: claimName };
      if (error === undefined) return event("Normal", ...successes[work.kind](work as never), object);
      const storageClass = work.kind === "provision"
        ? ` with StorageClass "${work.storageClass.metadata?.name}"`
        : "";
      const message = work.kind === "provision"
        ? `failed to provision volume${storageClass}: ${error}`
        : error;
      event("Warning", failures[work.kind], message, object);
    },
  };
}

const failures = {
  provision: "ProvisioningFailed",
  delete: "VolumeFailedDelete",
  expand: "VolumeResizeFailed",
} as const;

type Of<K extends ClaimWork["kind"]> = Extract<ClaimWork, { kind: K }>;

const successes = {
  provision: ({ record }: Of<"provision">): [string, string] => [
    "ProvisioningSucceeded",
    `Successfully provisioned volume pvc-${record.uid}`,
  ],
  delete: ({ volume }: Of<"delete">): [string, string] => [
    "VolumeDeleted",
    `Deleted volume ${volume.metadata?.name}`,
  ],
  expand: ({ volume, bytes }: Of<"expand">): [string, string] => [
    "VolumeResizeSuccessful",
    `Volume ${volume.metadata?.name} has ${bytes} bytes`,
  ],
};
