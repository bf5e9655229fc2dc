/** What the configuration says of the node as an object of a cluster. Pure. Not for: checking it (checks.ts). */
import { parseDuration } from "../model/duration.ts";
import type { Taint } from "../model/gen/v1.ts";
import { type Threshold, thresholdsOf } from "../model/eviction_thresholds.ts";
import type { ImagePolicy } from "../model/image_collection.ts";
import { labelValue, qualifiedName } from "../model/names.ts";

/** Times are milliseconds. */
export interface NodeConfig {
  /** False: the Node is made by somebody else. */
  register: boolean;
  taints: Taint[];
  /** "" is none. */
  providerID: string;
  /** How often an unchanged status is sent. */
  reportFrequency: number;
  leaseDurationSeconds: number;
  /** -1 is all. */
  maxImages: number;
  /** The control plane attaches volumes. */
  controllerAttaches: boolean;
  evictionHard: Threshold[];
  evictionSoft: Threshold[];
  /** Longest grace of a pod that a soft threshold ends, in seconds. */
  evictionMaxPodGrace: number;
  /** How long pressure lasts at least. */
  pressureTransition: number;
  images: ImagePolicy;
}

type Values = ReadonlyMap<string, unknown>;
type Texts = Readonly<Record<string, string>>;

export function toNode(values: Values, defaults: Texts): NodeConfig {
  const time = (key: string) => parseDuration(String(values.get(key))) ?? 0;
  const texts = (key: string) => (values.get(key) ?? {}) as Texts;
  const { hard, soft } = thresholdsOf({
    hard: values.get("mergeDefaultEvictionSettings") === true
      ? { ...defaults, ...texts("evictionHard") }
      : texts("evictionHard"),
    soft: texts("evictionSoft"),
    softGrace: texts("evictionSoftGracePeriod"),
    reclaim: texts("evictionMinimumReclaim"),
  });
  const taints = readTaints((values.get("registerWithTaints") ?? []) as unknown[]);
  return {
    register: values.get("registerNode") === true,
    taints: "taints" in taints ? taints.taints : [],
    providerID: String(values.get("providerID") ?? ""),
    reportFrequency: time("nodeStatusReportFrequency"),
    leaseDurationSeconds: Number(values.get("nodeLeaseDurationSeconds")),
    maxImages: Number(values.get("nodeStatusMaxImages")),
    controllerAttaches: values.get("enableControllerAttachDetach") === true,
    evictionHard: hard,
    evictionSoft: soft,
    evictionMaxPodGrace: Number(values.get("evictionMaxPodGracePeriod")),
    pressureTransition: time("evictionPressureTransitionPeriod"),
    images: {
      minimumAge: time("imageMinimumGCAge"),
      maximumAge: time("imageMaximumGCAge"),
      high: Number(values.get("imageGCHighThresholdPercent")),
      low: Number(values.get("imageGCLowThresholdPercent")),
    },
  };
}

const effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/** `key=value:effect`, as a flag has it. */
const splitTaint = (text: string) => /^(?<key>[^=:]*)(=(?<value>[^:]*))?:(?<effect>.*)$/.exec(text)?.groups;

/** Of wrong ones nothing is taken. */
export function readTaints(values: readonly unknown[]): { taints: Taint[] } | { wrong: string } {
  const taints: Taint[] = [];
  for (const given of values) {
    const parts = typeof given === "string" ? splitTaint(given) : given;
    const { key, value = "", effect } = (parts ?? {}) as Record<string, unknown>;
    if (typeof key !== "string" || typeof value !== "string" || !effects.includes(String(effect))) {
      return {
        wrong: `holds ${JSON.stringify(given)}: expected key, value and effect (${effects.join(", ")})`,
      };
    }
    const wrong = qualifiedName(key) ?? labelValue(value);
    if (wrong !== undefined) return { wrong: `holds ${JSON.stringify(given)}: expected ${wrong}` };
    if (taints.some((t) => t.key === key && t.effect === effect)) {
      return { wrong: `holds ${key} with ${effect} twice: expected it once` };
    }
    taints.push({ key, ...(value !== "" && { value }), effect: String(effect) });
  }
  return { taints };
}
