/**
 * How long a pod may run on while the API server is silent. Pure. Source: what the control plane's taint eviction does with a
 * node that it has not heard of (pkg/controller/tainteviction, node.kubernetes.io/unreachable). Not for: noticing silence.
 */
import type { Pod, Toleration } from "../../model/gen/v1.ts";

export interface SilenceRules {
  /** In ms; 0: for ever. */
  maxSilence: number;
  /** Whether a pod ends here when the control plane gives it to another node. */
  obeyTolerations: boolean;
}

/** kube-controller-manager's --node-monitor-grace-period, the shorter of its defaults: before that nothing is tainted. In ms. */
const unheard = 40_000;
const taint = { key: "node.kubernetes.io/unreachable", effect: "NoExecute" };

/** In ms of silence; Infinity: for ever. */
export function patienceOf(pod: Pod, { maxSilence, obeyTolerations }: SilenceRules): number {
  const longest = maxSilence > 0 ? maxSilence : Infinity;
  return obeyTolerations ? Math.min(longest, unheard + tolerated(pod.spec?.tolerations ?? [])) : longest;
}

/** The shortest of those that have an end, as the control plane takes it; none at all is none. */
function tolerated(tolerations: readonly Toleration[]): number {
  const matching = tolerations.filter(matches);
  if (matching.length === 0) return 0;
  const ends = matching.flatMap(({ tolerationSeconds }) =>
    tolerationSeconds === undefined ? [] : [Math.max(0, Number(tolerationSeconds)) * 1000]
  );
  return ends.length === 0 ? Infinity : Math.min(...ends);
}

const matches = ({ key = "", operator = "Equal", value = "", effect = "" }: Toleration): boolean =>
  (effect === "" || effect === taint.effect) &&
  (key === taint.key || (key === "" && operator === "Exists")) &&
  (operator === "Exists" || value === "");
