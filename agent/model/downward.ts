/**
 * The downward API: fields of a pod and resources of its containers as text, for environment variables and for
 * volumes. Pure. Not for: which references exist (env.ts, volumes.ts).
 */
import type { Container, ObjectFieldSelector, Pod, ResourceFieldSelector } from "./gen/v1.ts";
import { parseQuantity } from "./quantity.ts";

/** What is known of a pod outside its manifest. */
export interface PodFacts {
  /** Primary first; empty before the sandbox has an address, or with host network (then the node's own are used). */
  podIPs: readonly string[];
  /** Addresses of the node, primary first. */
  hostIPs: readonly string[];
  nodeName: string;
  /** What the node gives to pods, in base units (cores, bytes): the limits of containers that set none. */
  allocatable: Readonly<Record<string, number>>;
}

/** A value, or what is wrong in the kubelet's words. */
export type Extracted = { value: string } | { error: string };

const subscript = /^metadata\.(labels|annotations)\['([^']*)'\]$/;

/** Text of `fieldRef` (core/v1 ObjectFieldSelector). */
export function extractField(ref: ObjectFieldSelector, pod: Pod, facts: PodFacts): Extracted {
  if (ref.apiVersion !== undefined && ref.apiVersion !== "" && ref.apiVersion !== "v1") {
    return { error: `unsupported pod version: ${ref.apiVersion}` };
  }
  const keyed = subscript.exec(ref.fieldPath);
  if (keyed !== null) {
    const map = (keyed[1] === "labels" ? pod.metadata?.labels : pod.metadata?.annotations) ?? {};
    const key = keyed[2] ?? "";
    return { value: Object.hasOwn(map, key) ? map[key] ?? "" : "" };
  }
  const read = Object.hasOwn(fields, ref.fieldPath) ? fields[ref.fieldPath] : undefined;
  if (read === undefined) return { error: `field label not supported: ${ref.fieldPath}` };
  return { value: read(pod, facts) };
}

const podIPs = (pod: Pod, facts: PodFacts): readonly string[] =>
  facts.podIPs.length === 0 && pod.spec?.hostNetwork === true ? facts.hostIPs : facts.podIPs;

const fields: Record<string, (pod: Pod, facts: PodFacts) => string> = {
  "metadata.name": (pod) => pod.metadata?.name ?? "",
  "metadata.namespace": (pod) => pod.metadata?.namespace ?? "",
  "metadata.uid": (pod) => pod.metadata?.uid ?? "",
  "metadata.labels": (pod) => formatMap(pod.metadata?.labels ?? {}),
  "metadata.annotations": (pod) => formatMap(pod.metadata?.annotations ?? {}),
  "spec.nodeName": (pod, facts) => pod.spec?.nodeName || facts.nodeName,
  "spec.serviceAccountName": (pod) => pod.spec?.serviceAccountName ?? "",
  "status.hostIP": (_, facts) => facts.hostIPs[0] ?? "",
  "status.hostIPs": (_, facts) => facts.hostIPs.join(","),
  "status.podIP": (pod, facts) => podIPs(pod, facts)[0] ?? "",
  "status.podIPs": (pod, facts) => podIPs(pod, facts).join(","),
};

/** `key="value"` lines in the order of the keys, values quoted as Go's %q. */
export function formatMap(map: Readonly<Record<string, string>>): string {
  return Object.keys(map).sort().map((key) => `${key}=${quote(map[key] ?? "")}`).join("\n");
}

const escapes: Record<string, string> = {
  '"': '\\"',
  "\\": "\\\\",
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

/** A Go string literal: strconv.Quote. */
function quote(text: string): string {
  let out = "";
  for (const c of text) {
    const code = c.codePointAt(0) ?? 0;
    const known = escapes[c];
    if (known !== undefined) out += known;
    else if (code < 0x20 || code === 0x7f) out += `\\x${code.toString(16).padStart(2, "0")}`;
    else if (c === " " || !/[\p{C}\p{Z}]/u.test(c)) out += c;
    else if (code < 0x10000) out += `\\u${code.toString(16).padStart(4, "0")}`;
    else out += `\\U${code.toString(16).padStart(8, "0")}`;
  }
  return `"${out}"`;
}

/**
 * Text of `resourceFieldRef`: the amount divided by the divisor, rounded up. A limit that the container does not set is
 * the pod's, else what the node can give; a request that is not set is the limit that is set, else 0. `own` is the container meant when
 * the reference names none.
 */
export function extractResource(
  ref: ResourceFieldSelector,
  pod: Pod,
  own: Container | undefined,
  facts: PodFacts,
): Extracted {
  const container = ref.containerName ? findContainer(pod, ref.containerName) : own;
  if (container === undefined) return { error: `container ${ref.containerName ?? ""} not found` };
  const match = /^(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-.+)$/.exec(ref.resource);
  const name = match?.[2];
  if (match === null || name === undefined) {
    return { error: `unsupported container resource : ${ref.resource}` };
  }
  const limit = amount(container.resources?.limits, name);
  const used = match[1] === "limits"
    ? (limit || amount(pod.spec?.resources?.limits, name) || nodeAmount(name, facts)) ?? 0
    : amount(container.resources?.requests, name) ?? limit ?? 0;
  const divisor = (ref.divisor === undefined ? undefined : parseQuantity(ref.divisor)) || 1;
  return { value: String(name === "cpu" ? divideMilli(used, divisor) : Math.ceil(used / divisor)) };
}

const nodeAmount = (name: string, { allocatable }: PodFacts): number | undefined =>
  name.startsWith("hugepages-") ? undefined : allocatable[name];

/** Kubernetes counts CPU in whole thousandths, each rounded up, before it divides. */
const divideMilli = (amount: number, divisor: number): number =>
  Math.ceil(toMilli(amount) / toMilli(divisor));

/** Thousandths, rounded up, forgiving what binary fractions add (0.07 * 1000). */
export const toMilli = (amount: number): number => Math.ceil(Math.round(amount * 1e6) / 1e3);

const amount = (list: Record<string, string> | undefined, name: string): number | undefined => {
  const text = list !== undefined && Object.hasOwn(list, name) ? list[name] : undefined;
  return text === undefined ? undefined : parseQuantity(text);
};

function findContainer(pod: Pod, name: string): Container | undefined {
  return [...pod.spec?.containers ?? [], ...pod.spec?.initContainers ?? []].find((c) => c.name === name);
}
