/**
 * Settings: which key was given which value, and where; later ones replace or, for mappings, join earlier ones. Not for:
 * defaults, or what the values mean.
 */
import type { Problem } from "../model/errors.ts";
import type { KeySpec } from "./keys.ts";
import { isMapping, readValue } from "./values.ts";

/** Where something stands: a file with a position, or `flag --node-ip`, or `environment AGENT_SOCKET`. */
export type Place = Pick<Problem, "file" | "line" | "column">;

/** `value` has the form that documents write; it was checked against the key's type. */
export interface Setting {
  spec: KeySpec;
  value: unknown;
  place: Place;
}

export interface Settings {
  settings: Setting[];
  problems: Problem[];
}

/** `/etc/agent.yaml:12`, `flag --node-ip`. */
export const placeText = (place: Place): string =>
  place.line === undefined ? place.file : `${place.file}:${place.line}`;

/**
 * By key, from first to last. Mappings join entry by entry, lists are replaced as a whole. Source: Kubernetes, "Kubelet
 * Configuration Directory Merging".
 */
export function mergeSettings(settings: readonly Setting[]): Map<string, Setting> {
  const merged = new Map<string, Setting>();
  for (const setting of settings) {
    if (meansUnset(setting)) continue;
    const before = merged.get(setting.spec.key)?.value;
    const value = isMapping(before) && isMapping(setting.value)
      ? { ...before, ...setting.value }
      : setting.value;
    merged.set(setting.spec.key, { ...setting, value });
  }
  return merged;
}

/** Where "" is a wish of its own: no static pods, no resolver. */
const emptyIsMeant = new Set(["staticPodPath", "resolvConf"]);

/** Files written by Go programs carry zero values for what nobody asked: the kubelet takes them as its defaults. */
function meansUnset({ spec, value }: Setting): boolean {
  if (spec.type === "duration") return value === "0s" && spec.default !== "0s";
  return value === "" && spec.default !== "" && !emptyIsMeant.has(spec.key);
}

/** What was asked for and has no effect, unless it asks for what is done anyway, or for nothing. */
export function unsupportedWarnings(settings: readonly Setting[]): Problem[] {
  const says = (s: Setting) => !meansUnset(s) && !isDefault(s) && !(isMapping(s.value) && isZero(s.value));
  return settings.filter((s) => !s.spec.supported && says(s)).map((s) => ({
    severity: "warning",
    ...s.place,
    field: s.spec.key,
    message: "is not supported yet and has no effect",
  }));
}

/** What Go writes where nobody said anything: `options: { json: { infoBufferSize: "0" } }`. */
const isZero = (value: unknown): boolean =>
  isMapping(value) ? Object.values(value).every(isZero) : [0, "0", "", false, null].some((z) => z === value);

function isDefault({ spec, value }: Setting): boolean {
  if (spec.anyway !== undefined && spec.anyway === value) return true;
  const reading = spec.default === undefined ? { value: undefined } : readValue(spec, spec.default);
  return "value" in reading && canonical(value) === canonical(reading.value);
}

const canonical = (value: unknown): string =>
  JSON.stringify(isMapping(value) ? Object.entries(value).sort() : value === "" ? null : value ?? null);
