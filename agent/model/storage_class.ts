/**
 * What a StorageClass asks of its provisioner: parameters, secrets by name, topology. Pure. Not for: which class a claim
 * has (claim_match.ts).
 *
 * Source: kubernetes-csi external-provisioner pkg/controller (secret templates, reserved parameters).
 */
import type { SecretUse } from "./csi.ts";
import type { PersistentVolumeClaim, SecretReference, StorageClass, TopologySelectorTerm } from "./gen/v1.ts";

/** Parameters that begin so are for the agent, not for the driver. */
export const reservedPrefix = "csi.storage.k8s.io/";

const parameter = (use: SecretUse, word: string) => ({
  use,
  name: `${word}-secret-name`,
  namespace: `${word}-secret-namespace`,
});

/** Below `reservedPrefix`. */
export const secretParameters = [
  parameter("provisioner", "provisioner"),
  parameter("controllerPublish", "controller-publish"),
  parameter("nodeStage", "node-stage"),
  parameter("nodePublish", "node-publish"),
  parameter("controllerExpand", "controller-expand"),
  parameter("nodeExpand", "node-expand"),
] as const;

/** What the driver is told. */
export const driverParameters = ({ parameters = {} }: StorageClass): Record<string, string> =>
  Object.fromEntries(
    Object.entries(parameters).filter(([key]) =>
      !key.startsWith(reservedPrefix) && key.toLowerCase() !== "fstype"
    ),
  );

/** "" leaves it to the driver. */
export const fsTypeOf = ({ parameters = {} }: StorageClass): string =>
  parameters[`${reservedPrefix}fstype`] ??
    Object.entries(parameters).find(([key]) => key.toLowerCase() === "fstype")?.[1] ?? "";

export type SecretNames = Partial<Record<SecretUse, SecretReference>>;

/** The secrets that a volume's operations need, or what is wrong with the templates that name them. */
export function secretsOf(
  { parameters = {} }: StorageClass,
  claim: PersistentVolumeClaim,
  volumeName: string,
): { secrets: SecretNames } | { error: string } {
  const secrets: SecretNames = {};
  for (const { use, name, namespace } of secretParameters) {
    const [of, within] = [parameters[reservedPrefix + name], parameters[reservedPrefix + namespace]];
    if (of === undefined || within === undefined) continue;
    const names = expand(of, { claim, volumeName, full: true, annotations: use !== "provisioner" });
    const spaces = expand(within, { claim, volumeName, full: false, annotations: false });
    if ("error" in names) return { error: `${reservedPrefix}${name}: ${names.error}` };
    if ("error" in spaces) return { error: `${reservedPrefix}${namespace}: ${spaces.error}` };
    secrets[use] = { name: names.value, namespace: spaces.value };
  }
  return { secrets };
}

interface Template {
  claim: PersistentVolumeClaim;
  volumeName: string;
  /** Whether the claim's name may stand in it; a namespace knows only the claim's. */
  full: boolean;
  annotations: boolean;
}

/** `${pv.name}`, `${pvc.namespace}`, `${pvc.name}` and `${pvc.annotations['KEY']}`. */
function expand(text: string, t: Template): { value: string } | { error: string } {
  const { name = "", namespace = "default", annotations = {} } = t.claim.metadata ?? {};
  let unknown: string | undefined;
  const value = text.replace(/\$\{([^}]*)\}/g, (whole, token: string) => {
    const [, key] = /^pvc\.annotations\['(.+)'\]$/.exec(token) ?? [];
    const found = token === "pv.name"
      ? t.volumeName
      : token === "pvc.namespace"
      ? namespace
      : token === "pvc.name" && t.full
      ? name
      : key !== undefined && t.full && t.annotations
      ? annotations[key]
      : undefined;
    if (found === undefined) unknown ??= whole;
    return found ?? "";
  });
  return unknown === undefined ? { value } : { error: `${unknown} is not known here` };
}

/** Whether a node with these labels is one where the class's volumes may be. */
export const allowsTopology = (
  terms: readonly TopologySelectorTerm[] | undefined,
  labels: Readonly<Record<string, string>>,
): boolean =>
  terms === undefined || terms.length === 0 ||
  terms.some(({ matchLabelExpressions = [] }) =>
    matchLabelExpressions.every(({ key, values }) =>
      Object.hasOwn(labels, key) && values.includes(labels[key]!)
    )
  );
