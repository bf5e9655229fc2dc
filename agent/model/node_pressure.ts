/**
 * Whether a node is short of memory, disk or process ids: thresholds of the configuration against what was measured.
 * Pure. Not for: measuring, or what follows from it.
 *
 * Source: kubernetes pkg/kubelet/eviction (defaults_linux.go, helpers.go, eviction_manager.go).
 */
import { parseQuantity } from "./quantity.ts";

export type Pressure = "MemoryPressure" | "DiskPressure" | "PIDPressure";

const conditionOf = {
  "memory.available": "MemoryPressure",
  "allocatableMemory.available": "MemoryPressure",
  "nodefs.available": "DiskPressure",
  "nodefs.inodesFree": "DiskPressure",
  "imagefs.available": "DiskPressure",
  "imagefs.inodesFree": "DiskPressure",
  "containerfs.available": "DiskPressure",
  "containerfs.inodesFree": "DiskPressure",
  "pid.available": "PIDPressure",
} as const satisfies Record<string, Pressure>;

export type Signal = keyof typeof conditionOf;

/** In base units, or a part (0 to 1) of the capacity. */
export type Threshold = { signal: Signal } & ({ amount: number } | { part: number });

/** What is left of what there is, in base units. */
export interface Room {
  available: number;
  capacity: number;
}

/** By signal; one that could not be measured is absent. */
export type Rooms = Partial<Record<Signal, Room>>;

const isSignal = (name: string): name is Signal => Object.hasOwn(conditionOf, name);

/** Of a configuration's `signal: quantity or percentage`; those of 0 are none. */
export function parseThresholds(
  texts: Readonly<Record<string, string>>,
): { thresholds: Threshold[] } | { wrong: string } {
  const thresholds: Threshold[] = [];
  for (const [signal, text] of Object.entries(texts)) {
    if (!isSignal(signal)) {
      return { wrong: `holds ${signal}: expected one of ${Object.keys(conditionOf).join(", ")}` };
    }
    const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
    const number = percent === undefined ? parseQuantity(text) : Number(percent) / 100;
    if (number === undefined || number < 0 || (percent !== undefined && number > 1)) {
      return { wrong: `holds ${signal}: ${JSON.stringify(text)}: expected a quantity, or 0% to 100%` };
    }
    if (number > 0) {
      thresholds.push({ signal, ...(percent === undefined ? { amount: number } : { part: number }) });
    }
  }
  return { thresholds };
}

/** In base units. */
export const amountOf = (threshold: Threshold, capacity: number): number =>
  "amount" in threshold ? threshold.amount : Math.floor(threshold.part * capacity);

/** What is kept free of a resource by its threshold; 0 is nothing. */
export const keptFree = (thresholds: readonly Threshold[], signal: Signal, capacity: number): number =>
  Math.max(0, ...thresholds.filter((t) => t.signal === signal).map((t) => amountOf(t, capacity)));

/** Those of which a threshold is passed now. */
export function pressuresNow(thresholds: readonly Threshold[], rooms: Rooms): Set<Pressure> {
  const passed = thresholds.filter((threshold) => {
    const room = rooms[threshold.signal];
    return room !== undefined && room.available < amountOf(threshold, room.capacity);
  });
  return new Set(passed.map(({ signal }) => conditionOf[signal]));
}

/** When each pressure was seen last, on a clock that never jumps, in ms. */
export type PressureTimes = ReadonlyMap<Pressure, number>;

/** A pressure lasts `transition` ms after it was seen last, so that the node does not waver. */
export function holdPressures(
  before: PressureTimes,
  seen: ReadonlySet<Pressure>,
  now: number,
  transition: number,
): PressureTimes {
  const kept = [...before].filter(([, at]) => now - at < transition);
  return new Map([...kept, ...[...seen].map((pressure) => [pressure, now] as const)]);
}
