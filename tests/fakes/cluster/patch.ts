/**
 * Patches: JSON patch (RFC 6902), merge patch (RFC 7386), strategic merge patch with Kubernetes' merge keys. Pure.
 * Source: the patchStrategy and patchMergeKey tags of k8s.io/api. Not for: whether the result is valid.
 */
import { badRequest } from "./errors.ts";
import { asList, asText, equal, isObject, type Json } from "./objects.ts";

export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Json = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

// ---- strategic merge -----------------------------------------------------------------------------------------------

/** What tells the elements of a list apart; "" when the elements are texts. Lists that are not here are replaced. */
const mergeKeys: Readonly<Record<string, string>> = {
  containers: "name",
  initContainers: "name",
  ephemeralContainers: "name",
  volumes: "name",
  env: "name",
  volumeMounts: "mountPath",
  volumeDevices: "devicePath",
  imagePullSecrets: "name",
  secrets: "name",
  resourceClaims: "name",
  resourceClaimStatuses: "name",
  hostAliases: "ip",
  podIPs: "ip",
  hostIPs: "ip",
  topologySpreadConstraints: "topologyKey",
  readinessGates: "conditionType",
  conditions: "type",
  addresses: "type",
  ownerReferences: "uid",
  drivers: "name",
  finalizers: "",
  podCIDRs: "",
};
const certificateConditions = "CertificateSigningRequest";

function mergeKeyOf(field: string, kind: string, elements: readonly unknown[]): string | undefined {
  if (field === "conditions" && kind === certificateConditions) return undefined;
  if (field === "ports") {
    return elements.some((e) => isObject(e) && "containerPort" in e) ? "containerPort" : "port";
  }
  return mergeKeys[field];
}

export function strategicMerge(target: unknown, patch: Json, kind: string): Json {
  const { $patch, $retainKeys, ...rest } = patch;
  if ($patch === "delete") return {};
  let result: Json = isObject(target) && $patch !== "replace" ? { ...target } : {};
  if ($retainKeys !== undefined) {
    result = Object.fromEntries(Object.entries(result).filter(([key]) => asList($retainKeys).includes(key)));
  }
  for (const [key, value] of Object.entries(rest)) {
    if (key.startsWith("$setElementOrder/")) continue;
    if (key.startsWith("$deleteFromPrimitiveList/")) {
      const field = key.slice(key.indexOf("/") + 1);
      result[field] = asList(result[field]).filter((item) => !asList(value).includes(item));
    } else if (value === null) delete result[key];
    else if (Array.isArray(value)) result[key] = mergeLists(key, kind, asList(result[key]), value);
    else result[key] = isObject(value) ? strategicMerge(result[key], value, kind) : value;
  }
  for (const [key, order] of Object.entries(rest)) {
    if (key.startsWith("$setElementOrder/")) {
      reorder(result, key.slice(key.indexOf("/") + 1), kind, asList(order));
    }
  }
  return result;
}

function mergeLists(field: string, kind: string, target: unknown[], patch: unknown[]): unknown[] {
  const key = mergeKeyOf(field, kind, [...target, ...patch]);
  const replaces = patch.some((item) => isObject(item) && item.$patch === "replace");
  if (key === undefined || replaces) return patch.filter((item) => !(isObject(item) && "$patch" in item));
  if (key === "") return [...new Set([...target, ...patch])];
  const result = [...target];
  for (const item of patch) {
    if (!isObject(item) || item[key] === undefined) {
      throw badRequest(`map: ${field} does not contain declared merge key: ${key}`);
    }
    const at = result.findIndex((old) => isObject(old) && old[key] === item[key]);
    if (item.$patch === "delete") {
      if (at >= 0) result.splice(at, 1);
    } else if (at < 0) result.push(strategicMerge({}, item, kind));
    else result[at] = strategicMerge(result[at], item, kind);
  }
  return result;
}

function reorder(result: Json, field: string, kind: string, order: unknown[]): void {
  const list = asList(result[field]);
  const key = mergeKeyOf(field, kind, list);
  if (list.length === 0 || key === undefined) return;
  const nameOf = (item: unknown) => key === "" || !isObject(item) ? item : item[key];
  const rank = (item: unknown) => {
    const at = order.findIndex((o) => nameOf(o) === nameOf(item));
    return at < 0 ? order.length : at;
  };
  result[field] = list.toSorted((a, b) => rank(a) - rank(b));
}

// ---- JSON patch ----------------------------------------------------------------------------------------------------

export function jsonPatch(target: unknown, operations: unknown): unknown {
  return asList(operations).reduce((value, step) => {
    if (!isObject(step)) throw badRequest("expected a list of operations");
    const path = pointer(asText(step.path));
    switch (step.op) {
      case "add":
        return place(value, path, step.value, true);
      case "replace":
        return place(value, path, step.value, false);
      case "remove":
        return take(value, path);
      case "test":
        if (equal(at(value, path), step.value)) return value;
        throw badRequest(`testing value ${asText(step.path)} failed`);
      case "copy":
        return place(value, path, at(value, pointer(asText(step.from))), true);
      case "move": {
        const from = pointer(asText(step.from));
        return place(take(value, from), path, at(value, from), true);
      }
      default:
        throw badRequest(`unexpected kind: ${String(step.op)}`);
    }
  }, target);
}

const pointer = (text: string): string[] =>
  text.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));

function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (v, part) => Array.isArray(v) ? v[Number(part)] : isObject(v) ? v[part] : undefined,
    value,
  );
}

function place(value: unknown, [part, ...rest]: readonly string[], what: unknown, insert: boolean): unknown {
  if (part === undefined) return what;
  if (Array.isArray(value)) {
    const index = part === "-" ? value.length : Number(part);
    const inner = rest.length === 0 ? what : place(value[index], rest, what, insert);
    return value.toSpliced(index, insert && rest.length === 0 ? 0 : 1, inner);
  }
  if (!isObject(value)) throw badRequest(`the path to ${part} does not exist`);
  return { ...value, [part]: place(value[part], rest, what, insert) };
}

function take(value: unknown, [part, ...rest]: readonly string[]): unknown {
  if (part === undefined) return undefined;
  if (Array.isArray(value)) {
    return rest.length === 0
      ? value.toSpliced(Number(part), 1)
      : value.with(Number(part), take(value[Number(part)], rest));
  }
  if (!isObject(value) || !(part in value)) throw badRequest(`remove of a path that does not exist: ${part}`);
  const { [part]: old, ...others } = value;
  return rest.length === 0 ? others : { ...others, [part]: take(old, rest) };
}
