/**
 * Rules for metadata, ConfigMaps, Secrets and RuntimeClasses. Source: kubernetes pkg/apis/core/validation and
 * pkg/apis/node/validation. Not for: pods.
 */
import type { ConfigMap, ObjectMeta, RuntimeClass, Secret } from "./gen/v1.ts";
import type { Report } from "./finding.ts";
import type { Kind } from "./objects.ts";
import { dnsLabel, dnsSubdomain, labelValue, objectKey, qualifiedName } from "./names.ts";
import { checkName, checkPresent } from "./rules.ts";
import { validateOverhead } from "./validate_resources.ts";
import { validateTolerations } from "./validate_scheduling.ts";

const annotationsLimit = 256 * 1024;
const contentLimit = 1024 * 1024;

export function validateMetadata(metadata: ObjectMeta | undefined, report: Report): void {
  if (metadata?.name === undefined || metadata.name === "") {
    const hint = metadata?.generateName === undefined ? "" : " (generateName is not for files)";
    report(["metadata", "name"], `required: expected a name${hint}`);
  } else checkName(metadata.name, dnsSubdomain, ["metadata", "name"], report);
  if (metadata?.namespace !== "") checkName(metadata?.namespace, dnsLabel, ["metadata", "namespace"], report);
  for (const [key, value] of Object.entries(metadata?.labels ?? {})) {
    checkName(key, qualifiedName, ["metadata", "labels", key], report);
    checkName(value, labelValue, ["metadata", "labels", key], report);
  }
  let size = 0;
  for (const [key, value] of Object.entries(metadata?.annotations ?? {})) {
    checkName(key.toLowerCase(), qualifiedName, ["metadata", "annotations", key], report);
    size += key.length + (value ?? "").length;
  }
  if (size > annotationsLimit) report(["metadata", "annotations"], "expected at most 256 KiB in all");
}

function validateContent(
  maps: Readonly<Record<string, Record<string, string> | undefined>>,
  report: Report,
): void {
  let size = 0;
  for (const [field, entries] of Object.entries(maps)) {
    for (const [key, value] of Object.entries(entries ?? {})) {
      checkName(key, objectKey, [field, key], report);
      size += (value ?? "").length * (field === "data" || field === "stringData" ? 1 : 0.75);
    }
  }
  if (size > contentLimit) {
    report([], `expected at most 1 MiB of content, got ${(size / contentLimit).toFixed(1)} MiB`);
  }
}

export function validateConfigMap(configMap: ConfigMap, report: Report): void {
  validateMetadata(configMap.metadata, report);
  validateContent({ data: configMap.data, binaryData: configMap.binaryData }, report);
  for (const key of Object.keys(configMap.binaryData ?? {})) {
    if (Object.hasOwn(configMap.data ?? {}, key)) {
      report(["binaryData", key], "stands in data, too; expected in one of them");
    }
  }
}

/** Of an object that belongs to no namespace. */
export function validateClusterMetadata(kind: Kind, metadata: ObjectMeta | undefined, report: Report): void {
  validateMetadata(metadata, report);
  if (metadata?.namespace) report(["metadata", "namespace"], `a ${kind} has no namespace: expected none`);
}

export function validateRuntimeClass(runtimeClass: RuntimeClass, report: Report): void {
  const { metadata, handler, overhead, scheduling } = runtimeClass;
  validateClusterMetadata("RuntimeClass", metadata, report);
  checkPresent(handler, ["handler"], "the name of a handler in the runtime's configuration", report);
  if (handler) checkName(handler, dnsLabel, ["handler"], report);
  validateOverhead(overhead?.podFixed, ["overhead", "podFixed"], report);
  for (const [key, value] of Object.entries(scheduling?.nodeSelector ?? {})) {
    checkName(key, qualifiedName, ["scheduling", "nodeSelector", key], report);
    checkName(value, labelValue, ["scheduling", "nodeSelector", key], report);
  }
  validateTolerations(scheduling?.tolerations, ["scheduling", "tolerations"], report);
}

/** Keys that a Secret of a type must have, and whether their content is JSON. */
const secretTypes: Readonly<Record<string, { keys: readonly string[]; json?: boolean }>> = {
  "kubernetes.io/dockerconfigjson": { keys: [".dockerconfigjson"], json: true },
  "kubernetes.io/dockercfg": { keys: [".dockercfg"], json: true },
  "kubernetes.io/tls": { keys: ["tls.crt", "tls.key"] },
  "kubernetes.io/ssh-auth": { keys: ["ssh-privatekey"] },
};

export function validateSecret(secret: Secret, report: Report): void {
  validateMetadata(secret.metadata, report);
  validateContent({ data: secret.data, stringData: secret.stringData }, report);
  const wanted = Object.hasOwn(secretTypes, secret.type ?? "") ? secretTypes[secret.type!]! : { keys: [] };
  for (const key of wanted.keys) {
    const text = own(secret.stringData, key) ?? decodedText(own(secret.data, key));
    if (text === undefined) report(["data", key], `required for type ${secret.type}`);
    else if (wanted.json && !isJson(text)) report(["data", key], "expected JSON");
  }
}

const own = (map: Record<string, string> | undefined, key: string) =>
  map !== undefined && Object.hasOwn(map, key) ? map[key] : undefined;

function decodedText(base64: string | undefined): string | undefined {
  if (base64 === undefined) return undefined;
  try {
    return atob(base64);
  } catch {
    return "";
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
