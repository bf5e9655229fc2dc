/**
 * The environment of a container from its manifest and the local objects, and `$(VAR)` expansion. Pure. Order and
 * precedence are the kubelet's: envFrom in order, then env in order, later wins; Services come after all.
 */
import type { Container, EnvVarSource, FileKeySelector, Pod } from "./gen/v1.ts";
import type { Objects } from "./wish.ts";
import { extractField, extractResource, type PodFacts } from "./downward.ts";
import { envFileKey, type EnvFiles, envFileValue } from "./env_file.ts";
import { BadContent, configMapNamed, secretBytes, secretNamed } from "./objects.ts";
import { serviceEnv } from "./service_env.ts";

export interface EnvVariable {
  name: string;
  value: string;
}

/** `warnings` say which keys were left out, for an event InvalidEnvironmentVariableNames. */
export type ResolvedEnv = { env: EnvVariable[]; warnings: string[] } | { error: string };

/** Where variables come from besides the container itself. */
interface Sources {
  pod: Pod;
  container: Container;
  objects: Objects;
  facts: PodFacts;
  files: EnvFiles | undefined;
}

/**
 * The variables of a container, each name once, in order of first mention. `error` is the message of
 * CreateContainerConfigError. Without `files`, which init containers have yet to write, what comes from them is left out.
 */
export function resolveEnv(
  pod: Pod,
  container: Container,
  objects: Objects,
  facts: PodFacts,
  files?: EnvFiles,
): ResolvedEnv {
  try {
    return resolve({ pod, container, objects, facts, files });
  } catch (error) {
    if (error instanceof BadContent) return { error: error.message };
    throw error;
  }
}

function resolve(sources: Sources): ResolvedEnv {
  const { pod, container, objects } = sources;
  const env = new Map<string, string>();
  const warnings: string[] = [];
  const services = serviceEnv(pod, objects);
  for (const source of container.envFrom ?? []) {
    const read = readSource(source, pod, objects);
    if ("error" in read) return read;
    const invalid: string[] = [];
    for (const [key, value] of read.entries) {
      const name = (source.prefix ?? "") + key;
      if (!validName(name)) invalid.push(key);
      else if (value === undefined) return { error: `key ${key} in ${read.label} is not UTF-8 text` };
      else env.set(name, value);
    }
    if (invalid.length > 0) {
      warnings.push(
        `Keys [${
          invalid.join(", ")
        }] from the EnvFrom ${read.label} were skipped since they are considered ` +
          `invalid environment variable names.`,
      );
    }
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (value !== undefined && value !== "") {
      env.set(
        name,
        expand(value, (known) => env.get(known) ?? services.get(known)),
      );
    } else if (valueFrom === undefined) env.set(name, "");
    else {
      const read = readValue(valueFrom, sources);
      if ("error" in read) return read;
      if (read.value !== undefined) env.set(name, read.value);
    }
  }
  for (const [name, value] of services) if (!env.has(name)) env.set(name, value);
  for (const [name, value] of env) {
    if (value.includes("\0")) return { error: `environment variable ${name} contains a NUL byte` };
  }
  return { env: [...env].map(([name, value]) => ({ name, value })), warnings };
}

/** Any printable ASCII but `=` (core/v1 EnvVar.name since the relaxed validation of 1.34). */
const validName = (name: string): boolean => /^[\x20-\x3c\x3e-\x7e]+$/.test(name);

type Entries = { entries: [string, string | undefined][]; label: string };

function readSource(
  source: NonNullable<Container["envFrom"]>[number],
  pod: Pod,
  objects: Objects,
): Entries | { error: string } {
  const namespace = pod.metadata?.namespace ?? "default";
  if (source.configMapRef !== undefined) {
    const { name = "", optional } = source.configMapRef;
    const label = `configMap ${namespace}/${name}`;
    const found = configMapNamed(objects, namespace, name);
    if (found === undefined) {
      return optional === true ? { entries: [], label } : { error: `configmap "${name}" not found` };
    }
    return { entries: sorted(found.data ?? {}), label };
  }
  if (source.secretRef !== undefined) {
    const { name = "", optional } = source.secretRef;
    const label = `secret ${namespace}/${name}`;
    const found = secretNamed(objects, namespace, name);
    if (found === undefined) {
      return optional === true ? { entries: [], label } : { error: `secret "${name}" not found` };
    }
    const bytes = secretBytes(found);
    return { entries: [...bytes].sort(([a], [b]) => a < b ? -1 : 1).map(([k, v]) => [k, text(v)]), label };
  }
  return { entries: [], label: "nothing" };
}

const sorted = (map: Record<string, string>): [string, string][] =>
  Object.entries(map).sort(([a], [b]) => a < b ? -1 : 1);

/** `undefined` when the bytes are not UTF-8: the runtime's API carries variables as text. */
function text(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** `value` undefined: optional and absent, the variable stays as it was. */
function readValue(
  source: EnvVarSource,
  { pod, container, objects, facts, files }: Sources,
): { value: string | undefined } | { error: string } {
  if (source.fieldRef !== undefined) return extractField(source.fieldRef, pod, facts);
  if (source.resourceFieldRef !== undefined) {
    return extractResource(source.resourceFieldRef, pod, container, facts);
  }
  const namespace = pod.metadata?.namespace ?? "default";
  if (source.configMapKeyRef !== undefined) {
    const { name = "", key, optional } = source.configMapKeyRef;
    const found = configMapNamed(objects, namespace, name);
    if (found === undefined) return missing(optional, `configmap "${name}" not found`);
    if (Object.hasOwn(found.data ?? {}, key)) return { value: found.data?.[key] };
    return missing(optional, `couldn't find key ${key} in ConfigMap ${namespace}/${name}`);
  }
  if (source.secretKeyRef !== undefined) {
    const { name = "", key, optional } = source.secretKeyRef;
    const found = secretNamed(objects, namespace, name);
    if (found === undefined) return missing(optional, `secret "${name}" not found`);
    const bytes = secretBytes(found).get(key);
    if (bytes === undefined) {
      return missing(optional, `couldn't find key ${key} in Secret ${namespace}/${name}`);
    }
    const value = text(bytes);
    return value === undefined
      ? { error: `key ${key} in Secret ${namespace}/${name} is not UTF-8 text` }
      : { value };
  }
  if (source.fileKeyRef !== undefined) return fileValue(source.fileKeyRef, files);
  return { value: "" };
}

/** An empty value counts as none, as the kubelet has it. */
function fileValue(
  ref: FileKeySelector,
  files: EnvFiles | undefined,
): { value: string | undefined } | { error: string } {
  if (files === undefined) return { value: undefined };
  const where = `file "${ref.path}" of volume "${ref.volumeName}"`;
  const file = files.get(envFileKey(ref));
  if (file === undefined) return missing(ref.optional, `couldn't parse env file: there is no ${where}`);
  const read = "error" in file ? file : envFileValue(file.text, ref.key);
  if ("error" in read) return { error: `couldn't parse env file: ${where}: ${read.error}` };
  return read.value
    ? { value: read.value }
    : missing(ref.optional, `environment variable key "${ref.key}" not found in ${where}`);
}

const missing = (optional: boolean | undefined, error: string): { value: undefined } | { error: string } =>
  optional === true ? { value: undefined } : { error };

/** Variables by name: a Map, an array of variables or a function. */
export type Lookup = ReadonlyMap<string, string> | ((name: string) => string | undefined);

/**
 * Replaces `$(NAME)`. A name that is not known stays as written; `$$` is one `$`; a `$` before anything else stays
 * (Kubernetes: third_party/forked/golang/expansion).
 */
export function expand(input: string, variables: Lookup): string {
  const find = typeof variables === "function" ? variables : (name: string) => variables.get(name);
  return input.replace(
    /\$\$|\$\(([^)]*)\)/g,
    (written, name: string | undefined) => name === undefined ? "$" : find(name) ?? written,
  );
}

/** Entry point and arguments of a container with its variables filled in; empty lists mean the image's own. */
export function expandCommand(
  container: Container,
  env: readonly EnvVariable[],
): { command: string[]; args: string[] } {
  const variables = new Map(env.map(({ name, value }) => [name, value]));
  return {
    command: (container.command ?? []).map((word) => expand(word, variables)),
    args: (container.args ?? []).map((word) => expand(word, variables)),
  };
}

/** `subPathExpr` filled in; every variable in it must have a value (`missing value for X`). */
export function expandSubPath(
  expression: string,
  env: readonly EnvVariable[],
): { value: string } | { error: string } {
  const variables = new Map(env.map(({ name, value }) => [name, value]));
  const unset = new Set<string>();
  const value = expand(expression, (name) => {
    const found = variables.get(name) ?? "";
    if (found === "") unset.add(name);
    return found;
  });
  return unset.size === 0 ? { value } : { error: `missing value for ${[...unset].sort().join(", ")}` };
}
