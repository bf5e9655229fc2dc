/**
 * What to do next for one pod: a pure decision on values. A plan names only what exists now and is safe now; whoever
 * applies it observes and plans again until nothing is left to do. Not for: doing it (reconcile/apply.ts).
 */
import type { EphemeralContainer } from "./gen/v1.ts";
import type { Objects, Wish } from "./wish.ts";
import type { ObservedPod } from "./observed.ts";
import type { Verdict } from "./probe.ts";
import { type BackOffConfig, type Failure, isDue } from "./restart.ts";
import type { Clocks, Spans } from "./spans.ts";
import { planPresent } from "./plan_start.ts";
import { planAbsent } from "./plan_stop.ts";
import type { Hook } from "./hook.ts";
import type { Held } from "./devices.ts";
import type { AskedEnd, KeptEnd, PodEnd } from "./end.ts";

/** One effect. Steps of a plan are independent of each other and may run at once, unless they share a `lane`. */
export type Step =
  | { kind: "publishVolumes" }
  | { kind: "sweepVolumes" }
  /** `since`: the pod's start time, in ms. */
  | { kind: "runSandbox"; attempt: number; since: number }
  /** Joins the further networks that the sandbox lacks. */
  | { kind: "attachNetworks"; sandboxId: string }
  | { kind: "detachNetworks"; sandboxId: string }
  | { kind: "stopSandbox"; sandboxId: string }
  | { kind: "removeSandbox"; sandboxId: string; containerIds: string[]; logs: boolean }
  | { kind: "ensureImage"; container: string; attempt: number }
  | {
    kind: "runContainer";
    container: string;
    sandboxId: string;
    attempt: number;
    backOff: number;
    imageRef: string;
    /** Above 0: how often the pod as a whole has been restarted in place. */
    run?: number;
  }
  | {
    kind: "stopContainer";
    container: string;
    containerId: string;
    graceSeconds: number;
    why: string;
    /** To be run first, on the grace's account. */
    preStop?: Hook;
    /** Another attempt follows, whatever the restart policy says of this one's end. */
    replaced?: true;
    /** The pod as a whole ends: its containers share one grace. */
    ofPod?: boolean;
    /** The probe whose failure is the reason, and whether another attempt follows. */
    probe?: { kind: "startup" | "liveness"; restarts: boolean };
  }
  /** The hook of a container that will be stopped when others have ended: it is begun. */
  | { kind: "preStop"; container: string; containerId: string; graceSeconds: number; why: string; hook: Hook }
  | { kind: "postStart"; container: string; containerId: string; hook: Hook }
  | { kind: "removeContainer"; container: string; containerId: string; attempt: number }
  /** Of these running containers, and of the pod as a whole, in place. */
  | { kind: "updateResources"; sandboxId: string; containers: { name: string; id: string }[] }
  /** Of these running containers, in place. */
  | { kind: "updateCpus"; containers: { name: string; id: string; cpus: string }[] }
  /** Puts on record that the pod has been ended as a whole; `undefined` takes the record away. */
  | {
    kind: "keepEnd";
    end: KeptEnd | undefined;
    /** An event has told of it. */
    told?: true;
  }
  /** Takes away what the pod's emptyDirs hold. */
  | { kind: "clearVolumes" }
  /** Waits until the API server knows how the pod's containers have ended: nobody will know it any more. */
  | { kind: "reportEnd" }
  | { kind: "removePod" };

export interface Plan {
  steps: Step[];
  /** When to plan again although nothing happened, in ms since the epoch. */
  lookAgain?: number;
  /** Where the pod is in its life; `gone` ends the worker. */
  state: "starting" | "running" | "restarting" | "finished" | "stopping" | "gone";
}

/** An image that is on the node, ready for one attempt of one container. */
export interface ReadyImage {
  attempt: number;
  image: string;
  ref: string;
  /** User that the image sets, for runAsNonRoot. */
  user: string;
  /** Images of the image volumes that the container mounts, by volume. */
  volumes?: ReadonlyMap<string, VolumeImage>;
}

/** An image that is on the node, ready to be mounted as a volume. */
export interface VolumeImage {
  /** As the manifest says it. */
  reference: string;
  ref: string;
}

/** What the worker remembers between two looks, because the world cannot tell. Lost without harm. */
export interface Memory {
  images: ReadonlyMap<string, ReadyImage>;
  /** By `failureKey` of the step. */
  failures: ReadonlyMap<string, Failure>;
  stoppedSandboxes: ReadonlySet<string>;
  /** Resources applied in place, as JSON (model/resize.ts), by id of container or sandbox; "": that was cut off. */
  resources: ReadonlyMap<string, string>;
  /** CPUs that containers were moved to, by id; "": by an earlier run of the agent, and nobody can tell to which. */
  cpus: ReadonlyMap<string, string>;
  /** Hash of what is published in the pod's volumes. */
  volumesHash: string | undefined;
  /** An edit has left volumes that the pod no longer asks for. */
  staleVolumes: boolean;
  /** When this agent first saw the pod, or its present life began, in ms. */
  firstSeen: number;
  /** PostStart hooks by container id: which have not succeeded yet. */
  postStart: ReadonlyMap<string, PostStart>;
  /** Containers whose preStop hook has been begun, by id. */
  preStopped: ReadonlySet<string>;
  /** How long the containers of a pod that ends have taken to stop so far, in ms; Infinity: longer than their grace. */
  graceUsed: number;
  /** Its emptyDirs hold nothing. */
  cleared: boolean;
  /** The end that is on record in the pod's directory. */
  end: KeptEnd | undefined;
  /** The API server knows how the pod's containers have ended. */
  endReported: boolean;
  asked: Asked;
}

/** A hook that is to run, again if it was interrupted, or has failed, so that its container is to be stopped. */
export type PostStart = { kind: "pending" } | { kind: "failed"; message: string };

/** What others have asked for and the plan has not brought about yet. */
export interface Asked {
  /** Ephemeral containers that have not been started yet. */
  ephemeral: readonly EphemeralContainer[];
  end: AskedEnd | undefined;
  /** Containers that are to be replaced, by id. */
  restart: ReadonlySet<string>;
  /** The pod as a whole is to be in this run or a later one. */
  run: number;
  /** Nothing of the pod is to stay with the runtime, once it has ended for good. */
  tidy?: true;
}

export const emptyMemory: Memory = {
  images: new Map(),
  failures: new Map(),
  stoppedSandboxes: new Set(),
  resources: new Map(),
  cpus: new Map(),
  volumesHash: undefined,
  staleVolumes: false,
  firstSeen: Infinity,
  postStart: new Map(),
  preStopped: new Set(),
  graceUsed: 0,
  cleared: false,
  end: undefined,
  endReported: false,
  asked: { ephemeral: [], end: undefined, restart: new Set(), run: 0 },
};

export interface Facts extends Clocks {
  backOff: BackOffConfig;
  memory: Memory;
  /** By container id; a container without probes, or that does not run, need not be here. */
  probes: ReadonlyMap<string, Verdict>;
  /** By container id, where it is known: the runtime's own times are of a clock that may be set. */
  spans?: Spans;
  /** CPUs of the node and who runs where; absent: everybody anywhere. */
  cpus?: CpuFacts;
  /** This node does not take the pod: nothing of it runs, as long as pod and node are as they are. */
  rejected?: PodEnd | undefined;
  /** Its devices are not there: nothing that needs them starts, what runs stays. */
  held?: Held | undefined;
  /** Names of containers that are to start again with other devices. */
  ailing?: ReadonlySet<string> | undefined;
}

/** All as the kernel lists CPUs. */
export interface CpuFacts {
  all: string;
  /** Where containers run that have no CPUs of their own. */
  shared: string;
  /** By name of the container. */
  own: ReadonlyMap<string, string>;
}

export type { Objects };

export function planPod(wish: Wish, observed: ObservedPod, facts: Facts): Plan {
  return wish.kind === "present" ? planPresent(wish, observed, facts) : planAbsent(wish, observed, facts);
}

/** Under which name a step's failures are counted. */
export function failureKey(step: Step): string {
  switch (step.kind) {
    case "publishVolumes":
      return "volumes";
    case "sweepVolumes":
      return "staleVolumes";
    case "runSandbox":
      return "sandbox";
    case "attachNetworks":
      return "networks";
    case "ensureImage":
      return `image:${step.container}`;
    case "runContainer":
      return `container:${step.container}`;
    case "detachNetworks":
    case "stopSandbox":
    case "removeSandbox":
      return `${step.kind}:${step.sandboxId}`;
    case "stopContainer":
    case "preStop":
    case "postStart":
    case "removeContainer":
      return `${step.kind}:${step.containerId}`;
    case "keepEnd":
      return "end";
    case "updateResources":
      return "resources";
    case "updateCpus":
      return "cpus";
    case "clearVolumes":
      return "clear";
    case "reportEnd":
      return "report";
    case "removePod":
      return "pod";
  }
}

/** Steps of one lane run one after the other, in order: containers start in the order of the manifest. */
export const laneOf = (step: Step): string | undefined => step.kind === "runContainer" ? "start" : undefined;

/** Drops steps that failed and may not be tried again yet; says when the first of them may. */
export function postpone(steps: Step[], facts: Facts): { steps: Step[]; lookAgain?: number } {
  const waits: number[] = [];
  const due = steps.filter((s) => {
    const failure = facts.memory.failures.get(failureKey(s));
    if (failure === undefined || isDue(failure, facts.steady)) return true;
    waits.push(facts.now + failure.retryAt - facts.steady);
    return false;
  });
  return waits.length === 0 ? { steps: due } : { steps: due, lookAgain: Math.min(...waits) };
}

/** The earliest of several times, where any is set. */
export function earliest(...times: (number | undefined)[]): number | undefined {
  const set = times.filter((t) => t !== undefined);
  return set.length === 0 ? undefined : Math.min(...set);
}

/** A plan of the steps that are due. */
export function planSteps(state: Plan["state"], steps: Step[], facts: Facts, lookAgain?: number): Plan {
  const due = postpone(steps, facts);
  const again = earliest(due.lookAgain, lookAgain);
  return again === undefined ? { steps: due.steps, state } : { steps: due.steps, state, lookAgain: again };
}
