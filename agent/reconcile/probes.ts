/**
 * Asks what the probes of one pod's containers want to know, each when it is due: one timer a probe, nothing in between.
 * What follows from the answers is model/probe.ts; what becomes of the container is the planner's. Not for: those.
 */
import type { Container, Pod } from "../model/gen/v1.ts";
import type { Host, Prober, Runtime } from "../ports.ts";
import type { ObservedContainer, ObservedPod } from "../model/observed.ts";
import {
  type Beginning,
  beginWatch,
  dueOf,
  learn,
  probeEvent,
  type ProbeKind,
  probeKinds,
  type ProbeResult,
  reviseWatch,
  timeoutOf,
  type Verdict,
  verdictOf,
  type Watch,
} from "../model/probe.ts";
import { isGated, type Said } from "../model/probe_note.ts";
import { type ProbeCounts, type ProbeReport, reportProbes } from "../model/probe_report.ts";
import { type ProbeTarget, probeTarget } from "../model/probe_target.ts";
import { errorText } from "../model/errors.ts";
import type { Gate } from "../lib/gate.ts";
import type { RecordEvent } from "./images.ts";
import { createVerdictNote } from "./verdict_note.ts";

export interface ProbeOptions {
  host: Pick<Host, "now" | "monotonic">;
  runtime: Pick<Runtime, "execSync">;
  prober: Prober;
  /** At most so many at once on this node: each command is a process, each question a socket. */
  places: { exec: Gate; network: Gate };
  hostIPs: readonly string[];
  /** 0 to 1, random. */
  jitter(): number;
}

export interface PodProbes {
  /** What the run of the agent before this one kept of them: before the first `follow`. */
  recall(note: string | undefined): void;
  /** Before a container of this pod is started: from here on one that the note does not name is known to be new. */
  prepare(pod: Pod): Promise<void>;
  /** Begins, revises and ends probing as the newest observation asks. `ending`: the pod is to be removed. */
  follow(pod: Pod | undefined, observed: ObservedPod, ending: boolean): void;
  /** By container id. */
  verdicts(): ReadonlyMap<string, Verdict>;
  /** Of the containers that run. */
  reports(): ProbeReport[];
  /** Ends every question; the worker goes. */
  end(): void;
}

interface Subject {
  watch: Watch;
  container: Container;
  podIP: string | undefined;
  timers: Map<ProbeKind, ReturnType<typeof setTimeout>>;
  asking: Set<ProbeKind>;
  counts: Map<ProbeKind, ProbeCounts>;
  /** Ends the questions under way. */
  stop: AbortController;
}

interface Surroundings {
  podIP: string | undefined;
  ending: boolean;
  /** Set for a container that an earlier run of the agent has started. */
  before: Beginning["before"];
}

/** Longest message of a probe that is shown. */
const maxMessage = 1024;
const longestTimer = 2 ** 31 - 1;
/** In ms: waking up costs as much as asking, so questions that are due within this of each other share a waking. */
const grid = 50;

function waitUntil(due: number, now: number): number {
  return due <= now ? 0 : Math.ceil(Math.ceil(due / grid) * grid - now);
}

/** @param keep writes a note that outlives the agent; never rejects */
export function createPodProbes(
  o: ProbeOptions,
  record: RecordEvent,
  changed: () => void,
  keep: (note: string) => Promise<void>,
): PodProbes {
  const subjects = new Map<string, Subject>();
  const note = createVerdictNote(keep);
  let recalled: ReadonlyMap<string, Said> | undefined;
  let first = true;

  const said = (more: Iterable<[string, Said]> = []): ReadonlyMap<string, Said> => {
    const gated = [...subjects].filter(([, s]) => isGated(s.container) && !s.stop.signal.aborted);
    return new Map([...gated.map(([id, s]): [string, Said] => [id, verdictOf(s.watch)]), ...more]);
  };

  const rest = (s: Subject) => {
    for (const timer of s.timers.values()) clearTimeout(timer);
    s.timers.clear();
    s.stop.abort();
  };

  /** One timer for each probe that is due some time and not being asked; timers that are set are set anew. */
  const schedule = (id: string, s: Subject) => {
    for (const kind of probeKinds) {
      clearTimeout(s.timers.get(kind));
      s.timers.delete(kind);
      const due = dueOf(s.watch, kind);
      if (due === undefined || s.asking.has(kind) || s.stop.signal.aborted) continue;
      const wait = waitUntil(due, o.host.monotonic());
      const timer = setTimeout(() => {
        if (wait > longestTimer) schedule(id, s);
        else ask(id, s, kind);
      }, Math.min(wait, longestTimer));
      s.timers.set(kind, timer);
    }
  };

  const ask = async (id: string, s: Subject, kind: ProbeKind) => {
    s.timers.delete(kind);
    s.asking.add(kind);
    const probe = s.watch.tracks[kind]!.probe;
    const target = probeTarget(probe, s.container, s.podIP);
    const result = await put(o, id, target, timeoutOf(probe), s.stop.signal);
    // An answer to a question that has been edited away since says nothing.
    if (!s.stop.signal.aborted && s.watch.tracks[kind]?.probe === probe) await conclude(id, s, kind, result);
    s.asking.delete(kind);
    if (!s.stop.signal.aborted) schedule(id, s);
  };

  const conclude = async (id: string, s: Subject, kind: ProbeKind, result: ProbeResult) => {
    const now = o.host.monotonic();
    const counts = s.counts.get(kind) ?? {};
    s.counts.set(kind, { ...counts, [result.outcome]: (counts[result.outcome] ?? 0) + 1 });
    const event = probeEvent(kind, result);
    if (event !== undefined) record("Warning", event.reason, event.message, s.container.name);
    const learnt = learn(s.watch, kind, result, now);
    if (isSame(verdictOf(s.watch), verdictOf(learnt))) return void (s.watch = learnt);
    // What has been shown must not be forgotten by a crash.
    if (isGated(s.container)) await note.keep(said([[id, verdictOf(learnt)]]));
    s.watch = learn(s.watch, kind, result, now);
    changed();
  };

  const begin = (container: Container, c: ObservedContainer, before: Beginning["before"]): Subject => {
    const age = c.startedAt === undefined ? 0 : o.host.now() - c.startedAt;
    const beginning = { now: o.host.monotonic(), age, jitter: o.jitter() };
    return {
      watch: beginWatch(container, before === undefined ? beginning : { ...beginning, before }),
      container,
      podIP: undefined,
      timers: new Map(),
      asking: new Set(),
      counts: new Map(),
      stop: new AbortController(),
    };
  };

  const followOne = (container: Container, c: ObservedContainer, at: Surroundings) => {
    // Those without probes, too: one that is added later must not make an old container a new one.
    const s = subjects.get(c.id) ?? begin(container, c, at.before);
    subjects.set(c.id, s);
    s.watch = reviseWatch(s.watch, container, at.ending, o.host.monotonic());
    s.container = container;
    s.podIP = at.podIP;
    schedule(c.id, s);
  };

  return {
    recall(text) {
      recalled = note.recall(text);
    },
    async prepare(pod) {
      const { initContainers = [], containers = [] } = pod.spec ?? {};
      if (!note.exists && [...initContainers, ...containers].some(isGated)) await note.keep(said());
    },
    follow(pod, observed, ending) {
      if (ending) note.end();
      if (pod === undefined) return;
      const { initContainers = [], containers = [], hostNetwork = false } = pod.spec ?? {};
      const order = [...initContainers, ...containers];
      for (const c of observed.containers) {
        const i = order.findIndex((spec) => spec.name === c.name);
        if (c.state !== "running" || i < 0) continue;
        const sandbox = observed.sandboxes.find((s) => s.id === c.sandboxId);
        const podIP = (hostNetwork ? o.hostIPs : sandbox?.ips)?.[0];
        const passed = i >= initContainers.length || hasCome(order.slice(i + 1), c.sandboxId, observed);
        const unsaid = passed ? "unknown" : undefined;
        const before = first ? recalled === undefined ? unsaid : recalled.get(c.id) : undefined;
        followOne(order[i]!, c, { podIP, ending, before });
      }
      first = false;
      for (const [id, s] of subjects) {
        const seen = observed.containers.find((c) => c.id === id);
        if (seen?.state !== "running") rest(s);
        if (seen === undefined) subjects.delete(id);
      }
    },
    reports: () =>
      [...subjects.values()].filter((s) => !s.stop.signal.aborted)
        .flatMap((s) => reportProbes(s.container.name, s.watch, o.host.monotonic(), s.counts)),
    verdicts: () => new Map([...subjects].map(([id, s]) => [id, verdictOf(s.watch)])),
    end() {
      note.end();
      for (const s of subjects.values()) rest(s);
    },
  };
}

const isSame = (a: Verdict, b: Verdict) =>
  a.started === b.started && a.ready === b.ready && a.failed === b.failed;

/** Whether any of these has been there: the sidecar before them must have been started then. */
const hasCome = (later: readonly Container[], sandboxId: string, observed: ObservedPod): boolean =>
  observed.containers.some((c) => c.sandboxId === sandboxId && later.some((l) => l.name === c.name));

/** Asks; whatever goes wrong on the way is `unknown`, and says nothing about the container. */
async function put(
  o: ProbeOptions,
  id: string,
  target: ProbeTarget,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    switch (target.kind) {
      case "error":
        return { outcome: "unknown", message: target.message };
      case "exec":
        return await o.places.exec.run(() => askExec(o, id, target.command, timeoutMs, signal), signal);
      default:
        return await o.places.network.run(() => o.prober.ask(target, timeoutMs, signal), signal);
    }
  } catch (error) {
    return { outcome: "unknown", message: errorText(error) };
  }
}

async function askExec(
  o: ProbeOptions,
  id: string,
  command: string[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const { exitCode, output } = await o.runtime.execSync(id, command, timeoutMs / 1000, signal);
  if (exitCode === undefined) {
    return {
      outcome: "failure",
      message: `command "${command.join(" ")}" timed out after ${timeoutMs / 1000}s`,
    };
  }
  return { outcome: exitCode === 0 ? "success" : "failure", message: output.slice(0, maxMessage) };
}
