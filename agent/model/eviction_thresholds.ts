/**
 * What must stay free on a node, as a configuration says it: signals, thresholds hard and soft, how much is to be freed at
 * least. Pure. Not for: measuring, or what follows from it (node_pressure.ts).
 *
 * Source: kubernetes pkg/kubelet/eviction (api/types.go, helpers.go).
 */
import { parseDuration } from "./duration.ts";
import { parseQuantity } from "./quantity.ts";

export type Pressure = "MemoryPressure" | "DiskPressure" | "PIDPressure";

/** As the kubelet names them in messages. */
export type StarvedResource = "memory" | "ephemeral-storage" | "inodes" | "pids";

const signals = {
  "memory.available": { pressure: "MemoryPressure", resource: "memory" },
  "allocatableMemory.available": { pressure: "MemoryPressure", resource: "memory" },
  "nodefs.available": { pressure: "DiskPressure", resource: "ephemeral-storage" },
  "nodefs.inodesFree": { pressure: "DiskPressure", resource: "inodes" },
  "imagefs.available": { pressure: "DiskPressure", resource: "ephemeral-storage" },
  "imagefs.inodesFree": { pressure: "DiskPressure", resource: "inodes" },
  "containerfs.available": { pressure: "DiskPressure", resource: "ephemeral-storage" },
  "containerfs.inodesFree": { pressure: "DiskPressure", resource: "inodes" },
  "pid.available": { pressure: "PIDPressure", resource: "pids" },
} as const satisfies Record<string, { pressure: Pressure; resource: StarvedResource }>;

export type Signal = keyof typeof signals;

export const pressureOf = (signal: Signal): Pressure => signals[signal].pressure;
export const resourceOf = (signal: Signal): StarvedResource => signals[signal].resource;

/** In base units, or a part (0 to 1) of the capacity. */
export type Amount = { amount: number } | { part: number };

export type Threshold = { signal: Signal } & Amount & {
  /** How long it must be passed before a pod is evicted for it, in ms; absent: it is a hard one. */
  grace?: number;
  /** Pressure lasts until so much more is free. */
  reclaim?: Amount;
};

/** In base units. */
export const amountOf = (amount: Amount, capacity: number): number =>
  "amount" in amount ? amount.amount : Math.floor(amount.part * capacity);

type Texts = Readonly<Record<string, string>>;
type Read<T> = { read: T } | { wrong: string };

const isSignal = (name: string): name is Signal => Object.hasOwn(signals, name);

function readEach<T>(
  texts: Texts,
  expected: string,
  parse: (text: string) => T | undefined,
): Read<Map<Signal, T>> {
  const read = new Map<Signal, T>();
  for (const [signal, text] of Object.entries(texts)) {
    if (!isSignal(signal)) {
      return { wrong: `holds ${signal}: expected one of ${Object.keys(signals).join(", ")}` };
    }
    const value = parse(text);
    if (value === undefined) {
      return { wrong: `holds ${signal}: ${JSON.stringify(text)}: expected ${expected}` };
    }
    read.set(signal, value);
  }
  return { read };
}

function parseAmount(text: string): Amount | undefined {
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
  const number = percent === undefined ? parseQuantity(text) : Number(percent) / 100;
  if (number === undefined || number < 0 || (percent !== undefined && number > 1)) return undefined;
  return percent === undefined ? { amount: number } : { part: number };
}

const readAmounts = (texts: Texts) => readEach(texts, "a quantity, or 0% to 100%", parseAmount);

/** 0, 0% and 100% are no threshold. */
const counts = (amount: Amount) =>
  "amount" in amount ? amount.amount > 0 : amount.part > 0 && amount.part < 1;

/** Of a configuration's `signal: quantity or percentage`. */
export function parseThresholds(texts: Texts): { thresholds: Threshold[] } | { wrong: string } {
  const amounts = readAmounts(texts);
  if ("wrong" in amounts) return amounts;
  const given = [...amounts.read].filter(([, amount]) => counts(amount));
  return { thresholds: given.map(([signal, amount]) => ({ signal, ...amount })) };
}

/** `signal: duration`, in ms. */
export function parseGracePeriods(texts: Texts): Read<Map<Signal, number>> {
  return readEach(texts, "a duration of 0s or more, such as 1m30s", (text) => {
    const ms = parseDuration(text);
    return ms === undefined || ms < 0 ? undefined : ms;
  });
}

export const parseReclaims = (texts: Texts): Read<Map<Signal, Amount>> => readAmounts(texts);

export interface ThresholdTexts {
  hard: Texts;
  soft: Texts;
  softGrace: Texts;
  reclaim: Texts;
}

/** Of texts that are right; of wrong ones nothing is taken. */
export function thresholdsOf(texts: ThresholdTexts): { hard: Threshold[]; soft: Threshold[] } {
  const list = (of: Texts) => {
    const parsed = parseThresholds(of);
    return "wrong" in parsed ? [] : parsed.thresholds;
  };
  const [graces, reclaims] = [parseGracePeriods(texts.softGrace), parseReclaims(texts.reclaim)];
  const withReclaim = (threshold: Threshold): Threshold => {
    const reclaim = "wrong" in reclaims ? undefined : reclaims.read.get(threshold.signal);
    return reclaim === undefined ? threshold : { ...threshold, reclaim };
  };
  const graceOf = (signal: Signal) => "wrong" in graces ? undefined : graces.read.get(signal);
  return {
    hard: list(texts.hard).map(withReclaim),
    soft: list(texts.soft).flatMap((threshold) => {
      const grace = graceOf(threshold.signal);
      return grace === undefined ? [] : [withReclaim({ ...threshold, grace })];
    }),
  };
}

/** A soft threshold that says nothing of its grace period. */
export const withoutGrace = (soft: Texts, graces: Texts): string | undefined => {
  const missing = Object.keys(soft).find((signal) => !Object.hasOwn(graces, signal));
  return missing && `holds ${missing}: expected its grace period in evictionSoftGracePeriod`;
};

/** What is kept free of a resource by its hard threshold; 0 is nothing. */
export const keptFree = (hard: readonly Threshold[], signal: Signal, capacity: number): number =>
  Math.max(0, ...hard.filter((t) => t.signal === signal).map((t) => amountOf(t, capacity)));

const isOfContainers = ({ signal }: Threshold) => signal.startsWith("containerfs.");

/**
 * Those that are watched: what memory must be free on the node must be free in the share of its pods, too; and what has the
 * containers is either nodefs or imagefs, whose thresholds hold.
 */
export function watchedThresholds(hard: readonly Threshold[], soft: readonly Threshold[]): Threshold[] {
  const ofPods = hard.filter(({ signal }) => signal === "memory.available").map((threshold) => ({
    ...threshold,
    signal: "allocatableMemory.available" as const,
  }));
  return [...hard, ...soft, ...ofPods].filter((threshold) => !isOfContainers(threshold));
}
