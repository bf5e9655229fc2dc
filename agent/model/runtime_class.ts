/**
 * RuntimeClasses: which handler of the runtime runs a pod, and what the class adds to it, as the API server's admission
 * does. Pure. Not for: whether the runtime has the handler (plugins/cri).
 *
 * Source: kubernetes plugin/pkg/admission/runtimeclass, pkg/kubelet/runtimeclass.
 */
import type { Pod, RuntimeClass } from "./gen/v1.ts";
import { parseQuantity } from "./quantity.ts";

/** Annotation of a pod whose class is known: the spec names only the class, whose handler may change. */
const HANDLER = "agent/runtime-handler";

export type Classes = ReadonlyMap<string, RuntimeClass>;

/** The class, or why the pod cannot have it, and which field that is about. */
type Finding = { class: RuntimeClass } | { field: string; message: string };

function find(pod: Pod, name: string, classes: Classes): Finding {
  const found = classes.get(name);
  if (found === undefined) {
    const message = `runtimeclass.node.k8s.io "${name}" not found: no manifest describes it`;
    return { field: "spec.runtimeClassName", message };
  }
  const { overhead, nodeSelector = {} } = pod.spec!;
  if (overhead !== undefined && !sameAmounts(overhead, found.overhead?.podFixed ?? {})) {
    const message = `is not the overhead of RuntimeClass ${name}: expected the same, or none`;
    return { field: "spec.overhead", message };
  }
  for (const [key, value] of Object.entries(found.scheduling?.nodeSelector ?? {})) {
    if (Object.hasOwn(nodeSelector, key) && nodeSelector[key] !== value) {
      const message = `RuntimeClass ${name} wants ${key}=${value}: expected the same, or nothing`;
      return { field: `spec.nodeSelector[${JSON.stringify(key)}]`, message };
    }
  }
  return { class: found };
}

function sameAmounts(a: Record<string, string>, b: Record<string, string>): boolean {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every((name) => parseQuantity(a[name] ?? "0") === parseQuantity(b[name] ?? "0"));
}

const classNameOf = (pod: Pod): string => pod.spec?.runtimeClassName ?? "";

/** Why the class of a pod cannot be had; `undefined` when it can, or when the pod names none. */
export function runtimeClassProblem(
  pod: Pod,
  classes: Classes,
): { field: string; message: string } | undefined {
  const found = classNameOf(pod) === "" ? undefined : find(pod, classNameOf(pod), classes);
  return found === undefined || "class" in found ? undefined : found;
}

/** The pod with what its class adds; as it is when there is no class or it cannot be had. */
export function withRuntimeClass(pod: Pod, classes: Classes): Pod {
  const { [HANDLER]: stray, ...annotations } = pod.metadata?.annotations ?? {};
  const found = classNameOf(pod) === "" ? undefined : find(pod, classNameOf(pod), classes);
  if (found === undefined || !("class" in found)) {
    return stray === undefined ? pod : { ...pod, metadata: { ...pod.metadata, annotations } };
  }
  const { handler, overhead, scheduling } = found.class;
  const { nodeSelector, tolerations } = scheduling ?? {};
  const spec = pod.spec!;
  return {
    ...pod,
    metadata: { ...pod.metadata, annotations: { ...annotations, [HANDLER]: handler } },
    spec: {
      ...spec,
      ...(overhead?.podFixed === undefined ? {} : { overhead: overhead.podFixed }),
      ...(nodeSelector === undefined ? {} : { nodeSelector: { ...spec.nodeSelector, ...nodeSelector } }),
      ...(tolerations === undefined ? {} : { tolerations: [...spec.tolerations ?? [], ...tolerations] }),
    },
  };
}

const handed = new WeakMap<Pod, { handler: string | undefined; pod: Pod }>();

/**
 * A pod of an API server, which has added there what its class adds: only the handler is looked up. The same object as long
 * as neither changes.
 */
export function withHandler(pod: Pod, classes: Classes): Pod {
  const handler = classNameOf(pod) === "" ? undefined : classes.get(classNameOf(pod))?.handler;
  const { [HANDLER]: stray, ...annotations } = pod.metadata?.annotations ?? {};
  if (handler === stray) return pod;
  const known = handed.get(pod);
  if (known !== undefined && known.handler === handler) return known.pod;
  const next = handler === undefined ? annotations : { ...annotations, [HANDLER]: handler };
  const made = { ...pod, metadata: { ...pod.metadata, annotations: next } };
  handed.set(pod, { handler, pod: made });
  return made;
}

/** "" is the runtime's default; `undefined` while the pod's class cannot be had. */
export const runtimeHandlerOf = (pod: Pod): string | undefined =>
  classNameOf(pod) === "" ? "" : pod.metadata?.annotations?.[HANDLER];
