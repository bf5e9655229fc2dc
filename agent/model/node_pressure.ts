/**
 * Whether a node is short of memory, disk or process ids, since when, and which thresholds pods are evicted for: what was
 * measured against the configuration, look by look. Pure. Not for: measuring (node/room.ts), whom to evict (eviction.ts).
 *
 * Source: kubernetes pkg/kubelet/eviction (eviction_manager.go synchronize, helpers.go).
 */
import {
  amountOf,
  type Pressure,
  pressureOf,
  resourceOf,
  type Signal,
  type Threshold,
} from "./eviction_thresholds.ts";

/** What is left of what there is, in base units. */
export interface Room {
  available: number;
  capacity: number;
}

/** By signal; one that could not be measured is absent. */
export type Rooms = Partial<Record<Signal, Room>>;

/** Times are of a clock that never jumps, in ms. */
export interface PressureState {
  /** Those of which the grace period is over, until enough is free again. */
  due: readonly Threshold[];
  /** When each that is passed was seen so first. */
  since: ReadonlyMap<Threshold, number>;
  /** When each pressure was seen last. */
  seen: ReadonlyMap<Pressure, number>;
}

export const noPressure: PressureState = { due: [], since: new Map(), seen: new Map() };

/** `enough`: not before what is to be freed at least is free, too. */
function isPassed(threshold: Threshold, rooms: Rooms, enough: boolean): boolean {
  const room = rooms[threshold.signal];
  if (room === undefined) return false;
  const more = enough && threshold.reclaim !== undefined ? amountOf(threshold.reclaim, room.capacity) : 0;
  return room.available < amountOf(threshold, room.capacity) + more;
}

/**
 * One look. A pressure lasts `transition` ms after it was seen last, so that the node does not waver; a soft threshold is
 * pressure at once, and due when it has been passed for its grace period.
 */
export function lookAtPressure(
  before: PressureState,
  thresholds: readonly Threshold[],
  rooms: Rooms,
  now: number,
  transition: number,
): PressureState {
  const passed = thresholds.filter((t) => isPassed(t, rooms, before.due.includes(t)));
  const since = new Map(passed.map((t) => [t, before.since.get(t) ?? now]));
  const lasting = [...before.seen].filter(([, at]) => now - at < transition);
  const seen = new Map([...lasting, ...passed.map(({ signal }) => [pressureOf(signal), now] as const)]);
  const due = passed.filter((t) => now - since.get(t)! >= (t.grace ?? 0));
  return { due: due.sort((a, b) => Number(isOfMemory(b)) - Number(isOfMemory(a))), since, seen };
}

/** Memory is freed before all else: without it nothing works. */
const isOfMemory = ({ signal }: Threshold) => resourceOf(signal) === "memory";

export const pressuresOf = ({ seen }: PressureState): ReadonlySet<Pressure> => new Set(seen.keys());

/** Whether enough is free by all of them, so that no pod needs to go. */
export const isRelieved = (thresholds: readonly Threshold[], rooms: Rooms): boolean =>
  !thresholds.some((threshold) => isPassed(threshold, rooms, true));

/** When a grace period ends next, in ms from now; Infinity: none runs. */
export const nextDue = ({ since }: PressureState, now: number): number =>
  Math.min(Infinity, ...[...since].map(([t, at]) => at + (t.grace ?? 0) - now).filter((ms) => ms > 0));
