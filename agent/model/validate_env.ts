/** Rules for environment variables and for references to fields. Source: kubernetes pkg/apis/core/validation. */
import type {
  Container,
  EnvVar,
  EnvVarSource,
  FileKeySelector,
  ObjectFieldSelector,
  ResourceFieldSelector,
  Volume,
} from "./gen/v1.ts";
import { type FieldPath, type Report, shown } from "./finding.ts";
import { dnsSubdomain, envName, fileInVolume, objectKey, qualifiedName } from "./names.ts";
import { checkExactlyOne, checkName, checkPresent, elements } from "./rules.ts";
import { didYouMean } from "./suggest.ts";

export function validateEnv(
  container: Container,
  at: FieldPath,
  volumes: readonly Volume[],
  report: Report,
): void {
  for (const [i, env] of elements(container.env)) {
    const here = [...at, "env", i];
    validateVariable(env, here, report);
    const ref = env.valueFrom?.fileKeyRef;
    if (ref !== undefined) validateFileKey(ref, [...here, "valueFrom", "fileKeyRef"], volumes, report);
  }
  for (const [i, from] of elements(container.envFrom)) {
    const here = [...at, "envFrom", i];
    if (from.prefix) checkName(from.prefix, envName, [...here, "prefix"], report);
    checkExactlyOne(from, ["configMapRef", "secretRef"], here, report);
    for (const field of ["configMapRef", "secretRef"] as const) {
      if (from[field] !== undefined) checkReference(from[field].name, [...here, field, "name"], report);
    }
  }
}

const keyLimit = 128;

function validateFileKey(
  ref: FileKeySelector,
  at: FieldPath,
  volumes: readonly Volume[],
  report: Report,
): void {
  checkName(ref.key, envName, [...at, "key"], report);
  if ((ref.key ?? "").length > keyLimit) {
    report([...at, "key"], `expected at most ${keyLimit} characters, got ${ref.key.length}`);
  }
  checkName(ref.path, fileInVolume, [...at, "path"], report);
  if (ref.volumeName === undefined) return;
  const named = volumes.filter((v) => v?.name === ref.volumeName);
  if (named.length === 0) {
    const names = volumes.map((v) => v?.name ?? "");
    const known = names.length === 0 ? "the pod has none" : `expected one of ${names.join(", ")}`;
    report([...at, "volumeName"], `no such volume: ${known}${didYouMean(ref.volumeName, names)}`);
  } else if (named.some((v) => Object.keys(v).some((kind) => kind !== "name" && kind !== "emptyDir"))) {
    report([...at, "volumeName"], "expected the name of an emptyDir volume");
  }
}

function checkReference(name: string | undefined, at: FieldPath, report: Report): void {
  checkPresent(name, at, "a name", report);
  if (name) checkName(name, dnsSubdomain, at, report);
}

const sources = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];

function validateVariable(env: EnvVar, at: FieldPath, report: Report): void {
  checkName(env.name, envName, [...at, "name"], report);
  const from = env.valueFrom;
  if (from === undefined) return;
  if (env.value) report([...at, "valueFrom"], "stands beside value; expected one of them");
  checkExactlyOne(from, sources, [...at, "valueFrom"], report);
  validateSource(from, [...at, "valueFrom"], report);
}

function validateSource(from: EnvVarSource, at: FieldPath, report: Report): void {
  if (from.fieldRef !== undefined) validateFieldRef(from.fieldRef, [...at, "fieldRef"], "env", report);
  if (from.resourceFieldRef !== undefined) {
    validateResourceFieldRef(from.resourceFieldRef, [...at, "resourceFieldRef"], report);
  }
  for (const field of ["configMapKeyRef", "secretKeyRef"] as const) {
    const selector = from[field];
    if (selector === undefined) continue;
    checkReference(selector.name, [...at, field, "name"], report);
    checkName(selector.key, objectKey, [...at, field, "key"], report);
  }
}

const fieldPaths = {
  env: [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
  ],
  volume: ["metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations"],
};

/** Environment variables and downwardAPI volumes may name different fields. */
export function validateFieldRef(
  ref: ObjectFieldSelector,
  at: FieldPath,
  use: keyof typeof fieldPaths,
  report: Report,
): void {
  if (ref.apiVersion !== undefined && ref.apiVersion !== "v1" && ref.apiVersion !== "") {
    report([...at, "apiVersion"], `expected v1, got ${shown(ref.apiVersion)}`);
  }
  const path = ref.fieldPath;
  if (path === undefined || fieldPaths[use].includes(path)) return;
  const subscript = /^metadata\.(labels|annotations)\['([^']*)'\]$/.exec(path)?.[2];
  if (subscript !== undefined) {
    return checkName(subscript.toLowerCase(), qualifiedName, [...at, "fieldPath"], report);
  }
  const known = [...fieldPaths[use], "metadata.labels['KEY']", "metadata.annotations['KEY']"];
  report(
    [...at, "fieldPath"],
    `expected one of ${known.join(", ")}, got ${shown(path)}${didYouMean(path, fieldPaths[use])}`,
  );
}

const resources = ["limits.cpu", "limits.memory", "limits.ephemeral-storage"]
  .flatMap((name) => [name, name.replace("limits", "requests")]);

export function validateResourceFieldRef(ref: ResourceFieldSelector, at: FieldPath, report: Report): void {
  const { resource, divisor } = ref;
  if (resource === undefined) return;
  if (!resources.includes(resource) && !/^(limits|requests)\.hugepages-/.test(resource)) {
    report([...at, "resource"], `expected one of ${resources.join(", ")}, got ${shown(resource)}`);
    return;
  }
  const allowed = resource.endsWith(".cpu")
    ? ["0", "1m", "1"]
    : ["0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
  if (divisor !== undefined && !allowed.includes(divisor)) {
    report([...at, "divisor"], `expected one of ${allowed.slice(1).join(", ")}, got ${shown(divisor)}`);
  }
}
