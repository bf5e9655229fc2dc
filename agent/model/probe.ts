/**
 * What probes say about one container: a state machine on values, fed with results and monotonic times. Source: core/v1
 * Probe and the kubelet's prober (thresholds, what gates what). Not for: asking anything (reconcile/probes.ts).
 */
import type { Container, Probe } from "./gen/v1.ts";
import type { Said } from "./probe_note.ts";

export const probeKinds = ["startup", "liveness", "readiness"] as const;
export type ProbeKind = (typeof probeKinds)[number];

/** What one probe brought. `warning` counts as success; `unknown`: the question could not be put, nothing counts. */
export interface ProbeResult {
  outcome: "success" | "warning" | "failure" | "unknown";
  message: string;
}

/** What planner and status need to know of a running container. */
export interface Verdict {
  started: boolean;
  ready: boolean;
  /** The container is to be stopped: a startup or liveness probe has failed as often as it may. */
  failed?: FailedProbe;
}

export interface FailedProbe {
  kind: "startup" | "liveness";
  message: string;
  /** The probe's own termination grace, in seconds. */
  graceSeconds?: number;
}

interface Track {
  readonly probe: Probe;
  /** When to ask next, in monotonic ms. */
  readonly next: number;
  readonly last?: "success" | "failure";
  /** How many results in a row were like the last. */
  readonly run: number;
  /** The newest answer, and when it came, in monotonic ms. */
  readonly said?: ProbeResult & { at: number };
}

/** One container under watch. Readiness and liveness wait until `passed`: the startup probe has succeeded, or there is none. */
export interface Watch {
  readonly tracks: Readonly<Partial<Record<ProbeKind, Track>>>;
  readonly passed: boolean;
  readonly started: boolean;
  readonly ready: boolean;
  readonly failed?: FailedProbe;
  /** The pod is on its way out: only readiness still matters. */
  readonly ending: boolean;
}

export interface Beginning {
  /** Monotonic ms. */
  now: number;
  /** How long the container has run, in ms. */
  age: number;
  /**
   * Set for one that ran before this agent did: what its probes had said. Where that is `unknown` it counts as started
   * and ready until they have failed as often as they may: a restart of the agent takes no working pod out of service.
   */
  before?: Said | "unknown";
  /** 0 to 1: spreads the first questions to adopted containers over their periods. */
  jitter: number;
}

const field = { startup: "startupProbe", liveness: "livenessProbe", readiness: "readinessProbe" } as const;

const seconds = (value: number | undefined, otherwise: number) => (value || otherwise) * 1000;
const periodOf = (probe: Probe) => seconds(probe.periodSeconds, 10);
/** In ms. */
export const timeoutOf = (probe: Probe): number => seconds(probe.timeoutSeconds, 1);

export function beginWatch(container: Container, b: Beginning): Watch {
  const tracks: Partial<Record<ProbeKind, Track>> = {};
  for (const [i, kind] of probeKinds.entries()) {
    const probe = container[field[kind]];
    if (probe === undefined) continue;
    const delay = seconds(probe.initialDelaySeconds, 0) - Math.max(0, b.age);
    const spread = b.before === undefined ? 0 : (b.jitter + i / probeKinds.length) % 1 * periodOf(probe);
    tracks[kind] = { probe, next: b.now + Math.max(delay, spread), run: 0 };
  }
  const said = b.before === "unknown" ? { started: true, ready: true } : b.before;
  const passed = tracks.startup === undefined || (b.before !== "unknown" && b.before?.started === true);
  return {
    tracks,
    passed,
    started: passed || said?.started === true,
    ready: tracks.readiness === undefined || said?.ready === true,
    ending: false,
  };
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** Probes change in place: one that is new or other than before is asked at once, and what held so far holds until it speaks. */
export function reviseWatch(w: Watch, container: Container, ending: boolean, now: number): Watch {
  if (ending === w.ending && probeKinds.every((k) => same(w.tracks[k]?.probe, container[field[k]]))) return w;
  const tracks: Partial<Record<ProbeKind, Track>> = {};
  for (const kind of probeKinds) {
    const probe = container[field[kind]];
    const known = w.tracks[kind];
    if (probe === undefined) continue;
    tracks[kind] = known !== undefined && same(known.probe, probe) ? known : { probe, next: now, run: 0 };
  }
  return {
    ...w,
    tracks,
    ending,
    passed: w.passed || tracks.startup === undefined,
    started: w.started || tracks.startup === undefined,
    ready: w.ready || tracks.readiness === undefined,
  };
}

/** When this probe is to be asked next, in monotonic ms; undefined while it is not to be asked. */
export function dueOf(w: Watch, kind: ProbeKind): number | undefined {
  const idle = kind === "readiness"
    ? !w.passed
    : w.failed !== undefined || w.ending || w.passed === (kind === "startup");
  return idle ? undefined : w.tracks[kind]?.next;
}

/** The periods run from the first question on, so they do not drift; those that a slow answer has missed are left out. */
function nextDue({ next, probe }: Track, now: number): number {
  const period = periodOf(probe);
  return next + (Math.floor(Math.max(0, now - next) / period) + 1) * period;
}

/** @param now monotonic ms at which the result came */
export function learn(w: Watch, kind: ProbeKind, result: ProbeResult, now: number): Watch {
  const before = w.tracks[kind];
  if (before === undefined) return w;
  const asked = { ...before, next: nextDue(before, now), said: { ...result, at: now } };
  if (result.outcome === "unknown") return { ...w, tracks: { ...w.tracks, [kind]: asked } };
  const last = result.outcome === "failure" ? "failure" : "success";
  const track = { ...asked, last, run: before.last === last ? before.run + 1 : 1 } as const;
  const learnt = { ...w, tracks: { ...w.tracks, [kind]: track } };
  const { failureThreshold, successThreshold } = track.probe;
  const enough = last === "failure" ? failureThreshold || 3 : successThreshold || 1;
  return track.run < enough ? learnt : decide(learnt, kind, last === "success", result.message, now);
}

function decide(w: Watch, kind: ProbeKind, good: boolean, message: string, now: number): Watch {
  if (kind === "readiness") return { ...w, ready: good };
  if (good) return kind === "startup" && !w.passed ? pass(w, now) : w;
  const graceSeconds = w.tracks[kind]!.probe.terminationGracePeriodSeconds;
  const failed = { kind, message, ...(graceSeconds === undefined ? {} : { graceSeconds }) };
  return { ...w, started: kind !== "startup" && w.started, failed: w.failed ?? failed };
}

/** The startup probe has succeeded: those that waited for it are asked at once. */
function pass(w: Watch, now: number): Watch {
  const tracks = { ...w.tracks };
  for (const kind of ["liveness", "readiness"] as const) {
    const track = tracks[kind];
    if (track !== undefined) tracks[kind] = { ...track, next: Math.max(track.next, now) };
  }
  return { ...w, tracks, passed: true, started: true };
}

export const verdictOf = (w: Watch): Verdict => ({
  started: w.started,
  ready: w.started && w.ready,
  ...(w.failed === undefined ? {} : { failed: w.failed }),
});

const title = { startup: "Startup", liveness: "Liveness", readiness: "Readiness" } as const;

/** The event that tells of a result, in the kubelet's words; a success needs none. */
export function probeEvent(kind: ProbeKind, r: ProbeResult): { reason: string; message: string } | undefined {
  switch (r.outcome) {
    case "success":
      return undefined;
    case "warning":
      return { reason: "ProbeWarning", message: `${title[kind]} probe warning: ${r.message}` };
    case "failure":
      return { reason: "Unhealthy", message: `${title[kind]} probe failed: ${r.message}` };
    case "unknown":
      return { reason: "Unhealthy", message: `${title[kind]} probe errored: ${r.message}` };
  }
}
