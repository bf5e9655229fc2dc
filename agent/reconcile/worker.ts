/**
 * One pod: the newest wish -> observe -> plan -> apply -> report, round after round until nothing is left to do, then
 * sleep until a wish, a nudge or the time that the plan named. Not for: deciding (model/plan.ts) or which pods exist
 * (reconciler.ts).
 */
import type { Log } from "../lib/log.ts";
import type { StatusStore } from "../status_store.ts";
import { emptyMemory, type Facts, type Memory, type Plan, planPod } from "../model/plan.ts";
import type { Pod } from "../model/gen/v1.ts";
import { isUngreeted } from "../model/need.ts";
import { type ObservedPod } from "../model/observed.ts";
import { type DesiredPod, noObjects, type Objects, type Wish } from "../model/wish.ts";
import { AgentError, errorText } from "../model/errors.ts";
import type { EphemeralContainer } from "../model/gen/v1.ts";
import { askEphemeral, forgetStarted, withEphemeral } from "../model/ephemeral.ts";
import { containersOf } from "../model/devices.ts";
import type { AskedEnd, PodEnd } from "../model/end.ts";
import { isAlive } from "../model/plan_stop.ts";
import type { ProbeReport } from "../model/probe_report.ts";
import { noteSpans, type Spans } from "../model/spans.ts";
import {
  askEnd,
  askRestart,
  askTidy,
  forgive,
  forgiveImages,
  forgiveVolumes,
  learnHooks,
  remember,
  type StepOutcome,
} from "../model/memory.ts";
import { networksText } from "../model/networks.ts";
import { namedHash, volumesHash } from "../model/volumes_hash.ts";
import { wishedText, withRecord } from "../model/api_pod.ts";
import { createMailbox } from "../lib/mailbox.ts";
import { type ApplyOptions, applySteps, type PodRound } from "./apply.ts";
import { type ObserveOptions, observePod, type PodIdentity, probesNote, recall } from "./observe.ts";
import { readLastWords } from "./last_words.ts";
import type { PendingResize } from "../model/resize.ts";
import type { Allocations } from "./allocations.ts";
import { createReporter } from "./report.ts";
import type { RecordEvent } from "./images.ts";
import { createPodProbes, type ProbeOptions } from "./probes.ts";

export interface WorkerOptions {
  apply: ApplyOptions;
  observe: ObserveOptions;
  probes: ProbeOptions;
  store: StatusStore;
  log: Log;
  /** Absent: every change of resources is given. */
  allocations?: Allocations;
  /** Why this node does not take a pod; undefined: it does. */
  admit?(pod: DesiredPod): PodEnd | undefined;
  /** So long a look may take before the pod is shown as Unknown, should nothing be known of it; default 5 s. */
  silenceMs?: number;
}

export interface Worker {
  readonly id: PodIdentity;
  /** Replaces the wish; wakes the worker only when it makes a difference to this pod. */
  put(wish: Wish): void;
  /** Something may have happened to the pod: look again. */
  nudge(): void;
  /** Forgets failed pulls of images that have come another way, and looks again. */
  retryImages(brings: (image: string) => boolean): void;
  /** As above, for whatever failed with the pod's volumes. */
  retryVolumes(): void;
  /** Publishes the pod's volumes anew, though nothing of its wish has changed. */
  refreshVolumes(): void;
  /**
   * Ends the pod as a whole, whatever its restart policy says, until it is edited or restarted. Resolves when nothing is
   * left to do for it: nothing of it runs, and what the node needs back was taken from its volumes.
   */
  end(end: AskedEnd): Promise<void>;
  /** Once the pod has ended for good, nothing of it stays with the runtime but what is told of it. Resolves as above. */
  tidy(): Promise<void>;
  /**
   * Stops these containers, or all, and starts them again whatever their policies say, without back-off; all means in
   * order, init containers first, in the same sandbox. A pod that was ended begins a new life.
   */
  restart(containers?: readonly string[]): void;
  /** Starts a container that the manifest knows nothing of, once, for as long as the pod's sandbox lives. */
  addEphemeral(container: EphemeralContainer): void;
  /** What the probes of its running containers were answered last. */
  probes(): ProbeReport[];
  /** Ends when the pod is gone, or when the agent leaves. */
  finished: Promise<"gone" | "left">;
}

/** A pod that is to go is still known here, with its hooks, its order and its grace. */
const withPod = (wish: Wish, desired: DesiredPod | undefined): Wish => {
  if (desired === undefined) return wish;
  return wish.kind === "absent" ? { pod: desired.pod, ...wish } : { ...wish, pod: desired };
};

/** What probes may ask: a container whose postStart hook has not run yet counts as not there. */
const withoutUngreeted = (pod: Pod | undefined, observed: ObservedPod, memory: Memory): ObservedPod =>
  memory.postStart.size === 0
    ? observed
    : { ...observed, containers: observed.containers.filter((c) => !isUngreeted(pod, c, memory)) };

const fingerprint = (wish: Wish): string =>
  wish.kind === "absent" ? `absent ${wish.graceSeconds ?? ""} ${wish.awaited ?? ""}` : [
    wishedText(wish.pod.pod),
    volumesHash(wish.pod.pod, wish.objects),
    namedHash(wish.pod.pod, wish.objects),
    networksText(wish.pod.pod, wish.objects),
  ].join(" ");

/** Nothing of the pod runs any more, and nothing is left to do for it. */
const isAtRest = ({ state, lookAgain }: Plan): boolean =>
  lookAgain === undefined && (state === "finished" || state === "gone");

export function createWorker(o: WorkerOptions, id: PodIdentity, leave: AbortSignal): Worker {
  const mailbox = createMailbox<true>();
  const reporter = createReporter(o, id);
  const kept: Pick<PodRound, "published" | "preStops"> = { published: new Map(), preStops: new Map() };
  let newest: Wish | undefined;
  let wish: Wish | undefined;
  let desired: DesiredPod | undefined;
  let memory: Memory = { ...emptyMemory, firstSeen: o.apply.host.now() };
  let spans: Spans = new Map();
  let last: ObservedPod | undefined;
  let messages = new Map<string, string>();
  let abandon = new AbortController();
  let arrived: ((image: string) => boolean)[] = [];
  let rests: (() => void)[] = [];
  const requests: ((memory: Memory, observed: ObservedPod) => Memory)[] = [];
  let seen = "";
  let blind = 0;
  let isNew = true;
  /** Why the pod has no place on the machine, and what was last said of that. */
  let misplaced: PodEnd | undefined;
  let toldMisplaced: string | undefined;
  let toldCpus = "";
  /** A start that failed may have succeeded all the same. */
  let doubtful = false;

  const record: RecordEvent = (type, reason, message, container) =>
    reporter.event(type, reason, message, container);

  const keepVerdicts = (text: string) =>
    o.observe.storage.keepNote(id.uid, probesNote, text).catch((error) =>
      o.log.warn("cannot keep what probes have said", { pod: id.name, error: errorText(error) })
    );
  /** Shown on what was seen last: probes over the network go on while the runtime hangs. */
  const probesChanged = () => {
    mailbox.nudge();
    if (last !== undefined) show(last);
  };
  const probes = createPodProbes(o.probes, record, probesChanged, keepVerdicts);

  const clocks = () => ({ now: o.apply.host.now(), steady: o.apply.host.monotonic() });
  const refusal = (): Pick<Facts, "rejected"> => {
    const rejected = desired && (o.admit?.(desired) ?? misplaced);
    return rejected === undefined ? {} : { rejected };
  };

  /** A pod of which something runs is not refused for what it lacks. */
  const devicesOf = (observed: ObservedPod): Pick<Facts, "held" | "rejected" | "ailing"> => {
    if (wish?.kind !== "present") return {};
    const outlook = o.apply.devices?.outlook(wish.pod);
    const ailing = o.apply.devices?.ailing(wish.pod);
    if (outlook === undefined) return { ailing };
    const { held, left, rejected } = outlook;
    if (rejected !== undefined && !observed.containers.some(isAlive)) return { rejected };
    return { ailing, held: left === undefined ? held : { ...held, until: clocks().now + left } };
  };

  const facts = (observed: ObservedPod): Facts => ({
    ...clocks(),
    spans,
    backOff: o.apply.node.backOff,
    memory,
    probes: probes.verdicts(),
    ...(o.apply.placement === undefined ? {} : { cpus: o.apply.placement.facts(id.uid) }),
    ...devicesOf(observed),
    ...refusal(),
  });

  /** A wish that wakes nobody is adopted, too: the next start takes its variables from the newest objects. */
  const adopt = (woken: true | undefined) => {
    wish = newest;
    if (wish?.kind === "present") desired = wish.pod;
    else if (wish?.pod !== undefined) {
      desired = { origin: "the API server", source: "api", ...desired, uid: id.uid, pod: wish.pod };
    }
    if (woken === undefined) return;
    memory = forgive(memory);
    abandon = new AbortController();
  };

  /** Between rounds, so that a pull that fails after the image has come another way is forgotten as well. */
  const welcomeImages = () => {
    const brings = arrived;
    arrived = [];
    if (brings.length === 0 || desired === undefined) return;
    memory = forgiveImages(memory, desired.pod, (image) => brings.some((b) => b(image)));
  };

  /** With what the manifest does not tell of. */
  const whole = (observed: ObservedPod) =>
    desired && withEphemeral({ ...desired, pod: withRecord(desired.pod, reporter.said()) }, observed, memory);

  /** The whole pod with the resources that it may have now, and why it waits for more. */
  const allocation = (observed: ObservedPod): { given: DesiredPod | undefined; pending?: PendingResize } => {
    const pod = whole(observed);
    if (pod === undefined || wish?.kind !== "present") return { given: pod };
    const decided = o.allocations?.decide(id.uid, pod.pod, observed, memory);
    if (decided?.pending === undefined) return { given: pod };
    return { given: { ...pod, pod: decided.pod }, pending: decided.pending };
  };

  const round = (objects: Objects, observed: ObservedPod, given: DesiredPod | undefined) => ({
    uid: id.uid,
    desired: wish?.kind === "present" ? given : undefined,
    objects,
    observed,
    memory,
    ...kept,
    record,
  });

  /** Plans that change nothing in the world although every step succeeded must not spin. */
  const stalled = (outcomes: StepOutcome[], plan: Plan, before: string): StepOutcome[] =>
    JSON.stringify(plan.steps) !== before
      ? outcomes
      : outcomes.map((x) =>
        x.ok
          ? { step: x.step, ok: false, reason: "Unknown", message: "the step succeeded but nothing changed" }
          : x
      );

  /** A runtime that hangs must not keep the pod from being shown at all. */
  const withoutSilence = async <T>(look: Promise<T>): Promise<T> => {
    const timer = setTimeout(
      () => reporter.unknown(desired, "the runtime has not answered yet"),
      o.silenceMs ?? 5000,
    );
    try {
      return await look;
    } finally {
      clearTimeout(timer);
    }
  };

  /** Of containers that do not run and will not run again. */
  const takeBackDevices = (observed: ObservedPod, plan: Plan) => {
    const ended = plan.state === "finished" || plan.state === "gone";
    if (plan.steps.length > 0 && !ended) return;
    const alive = observed.containers.filter(isAlive).map((c) => c.name);
    const wanted = ended || wish?.kind !== "present" ? [] : containersOf(wish.pod.pod).map((c) => c.name);
    o.apply.devices?.release(id.uid, new Set([...alive, ...wanted]));
  };

  const tellCpus = (own: ReadonlyMap<string, string>) => {
    const text = [...own].map(([name, cpus]) => `${name} ${cpus}`).join(", ");
    if (text !== toldCpus && text !== "") record("Normal", "ExclusiveCPUs", `CPUs of their own: ${text}`);
    toldCpus = text;
  };

  /** The plan, after what is to run was given its place on the machine. What runs stays, with or without one. */
  const decide = (observed: ObservedPod, given: DesiredPod | undefined): Plan => {
    const plan = (known: Facts) => planPod(withPod(wish!, given), observed, known);
    misplaced = undefined;
    const known = facts(observed);
    const first = plan(known);
    const runs = ["starting", "running", "restarting"].includes(first.state);
    if (o.apply.placement === undefined || given === undefined || !runs || known.held !== undefined) {
      return first;
    }
    const why = o.apply.placement.place(given);
    tellCpus(o.apply.placement.facts(id.uid).own);
    if (why !== undefined && why.message !== toldMisplaced) record("Warning", why.reason, why.message);
    toldMisplaced = why?.message;
    if (!observed.containers.some(isAlive)) misplaced = why;
    return plan(facts(observed));
  };

  const show = (observed: ObservedPod, decided = allocation(observed)) =>
    reporter.status(whole(observed), wish!, observed, { ...facts(observed), messages, ...decided });

  const remind = async (observed: ObservedPod) => {
    const { probes: note, ...known } = await recall(o.observe.storage, observed);
    memory = { ...memory, ...known };
    probes.recall(note);
    isNew = false;
  };

  const settle = async (): Promise<Plan> => {
    for (let before = "";;) {
      adopt(mailbox.take());
      welcomeImages();
      const observed = await withoutSilence(observePod(o.observe, id, wish!.kind === "absent", leave));
      spans = noteSpans(spans, observed, clocks());
      if (isNew) await remind(observed);
      if (doubtful) memory = learnHooks(memory, (await recall(o.observe.storage, observed)).postStart);
      doubtful = false;
      memory = requests.splice(0).reduce((m, request) => request(m, observed), memory);
      memory = forgetStarted(memory, observed);
      const pod = whole(observed);
      probes.follow(desired?.pod, withoutUngreeted(desired?.pod, observed, memory), wish!.kind === "absent");
      messages = await readLastWords(o.observe, pod?.pod, observed, messages);
      const decided = allocation(observed);
      const { given } = decided;
      const plan = decide(observed, given);
      show(last = observed, decided);
      if (plan.state === "finished" || plan.state === "gone") {
        o.allocations?.release(id.uid);
        o.apply.placement?.release(id.uid);
      }
      takeBackDevices(observed, plan);
      if (plan.steps.length === 0 || leave.aborted) return plan;
      const objects = wish!.kind === "present" ? wish!.objects : noObjects;
      if (plan.steps.some((s) => s.kind === "runContainer")) await probes.prepare(desired!.pod);
      const signal = AbortSignal.any([abandon.signal, leave]);
      const outcomes = await applySteps(o.apply, round(objects, observed, given), plan.steps, signal);
      memory = remember(memory, stalled(outcomes, plan, before), clocks());
      doubtful = outcomes.some((x) => !x.ok && x.step.kind === "runContainer");
      before = JSON.stringify(plan.steps);
    }
  };

  /** The runtime is out of reach: the pod stays as it is, and so does what is shown of it. */
  const outage = (error: unknown): number => {
    blind++;
    reporter.unknown(desired, errorText(error));
    const level = error instanceof AgentError ? "debug" : "error";
    o.log[level]("cannot look after the pod", { pod: `${id.namespace}/${id.name}`, error: errorText(error) });
    return Math.min(10_000, 500 * 2 ** Math.min(blind, 6));
  };

  const run = async (): Promise<"gone" | "left"> => {
    let pause: number | undefined;
    while (!leave.aborted) {
      await mailbox.wait(leave, pause === undefined ? undefined : o.apply.host.monotonic() + pause);
      adopt(mailbox.take());
      if (leave.aborted || wish === undefined) continue;
      try {
        const plan = await settle();
        blind = 0;
        if (isAtRest(plan) && requests.length === 0 && wish === newest) rest();
        if (plan.state === "gone") {
          last = undefined;
          o.store.removePod(id.uid);
          return "gone";
        }
        pause = plan.lookAgain === undefined ? undefined : Math.max(0, plan.lookAgain - o.apply.host.now());
      } catch (error) {
        if (!leave.aborted) pause = outage(error);
      }
    }
    return "left";
  };

  const ask = (request: (typeof requests)[number]) => {
    requests.push(request);
    mailbox.nudge();
  };

  const rest = () => {
    for (const resolve of rests) resolve();
    rests = [];
  };
  const askForRest = (request: (typeof requests)[number]): Promise<void> => {
    ask(request);
    return new Promise((resolve) => rests.push(resolve));
  };

  return {
    id,
    probes: probes.reports,
    put(next) {
      const text = fingerprint(next);
      const same = text === seen;
      newest = next;
      seen = text;
      if (same) return;
      abandon.abort();
      mailbox.put(true);
    },
    nudge: () => mailbox.nudge(),
    retryImages(brings) {
      arrived.push(brings);
      mailbox.nudge();
    },
    retryVolumes: () => ask(forgiveVolumes),
    refreshVolumes: () => ask((memory) => ({ ...forgiveVolumes(memory), volumesHash: undefined })),
    end: (end) => askForRest((memory) => askEnd(memory, end)),
    tidy: () => askForRest(askTidy),
    addEphemeral: (container) => ask((memory) => askEphemeral(memory, container)),
    restart: (containers) => ask((memory, observed) => askRestart(memory, observed, containers)),
    finished: run().finally(() => {
      probes.end();
      rest();
    }),
  };
}
