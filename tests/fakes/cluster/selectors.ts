/** Label and field selectors as queries have them. Pure. Source: apimachinery pkg/labels, pkg/fields. */
import { badRequest } from "./errors.ts";
import { asText, type Stored, valueAt } from "./objects.ts";
import type { Resource } from "./resources.ts";

export type Selector = (object: Stored) => boolean;

const everything: Selector = () => true;
const all = (selectors: Selector[]): Selector => (object) => selectors.every((fits) => fits(object));

/** @throws {ApiError} 400 */
export function parseLabelSelector(text: string): Selector {
  if (text.trim() === "") return everything;
  // A comma within parentheses separates values, not requirements.
  return all(text.split(/,(?![^(]*\))/).map((part) => labelRequirement(part.trim())));
}

function labelRequirement(text: string): Selector {
  const match = /^(!?)\s*([\w./-]+)\s*(?:(==|=|!=|\s(?:in|notin)\s*\()\s*([^)]*)\)?)?$/.exec(text);
  if (match === null) throw badRequest(`unable to parse requirement: ${text}`);
  const [, not, key = "", operator, list = ""] = match;
  const of = ({ metadata }: Stored) => metadata.labels?.[key];
  if (operator === undefined) return (object) => (of(object) === undefined) === (not === "!");
  const values = list.split(",").map((v) => v.trim());
  const among: Selector = (object) => of(object) !== undefined && values.includes(of(object)!);
  return operator === "!=" || operator.includes("notin") ? (object) => !among(object) : among;
}

/** Beside metadata.name and metadata.namespace. */
const fieldsOf: Readonly<Record<string, readonly string[]>> = {
  Pod: [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
  ],
  Node: ["spec.unschedulable"],
  Namespace: ["status.phase"],
  Secret: ["type"],
  Service: ["spec.clusterIP", "spec.type"],
  CertificateSigningRequest: ["spec.signerName"],
  Event: [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
  ],
  ResourceSlice: ["spec.nodeName", "spec.driver"],
};

export interface FieldRequirement {
  field: string;
  value: string;
  equal: boolean;
}

/** @throws {ApiError} 400 */
export function parseFieldRequirements(text: string): FieldRequirement[] {
  return text.split(",").filter((part) => part !== "").map((part) => {
    const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(part);
    if (match === null) throw badRequest(`invalid selector: '${text}'; can't understand '${part}'`);
    return { field: match[1]!, value: match[3]!.replace(/\\([=,\\])/g, "$1"), equal: match[2] !== "!=" };
  });
}

/** @throws {ApiError} 400 when the kind has no such field. */
export function parseFieldSelector(resource: Resource, text: string): Selector {
  return all(
    parseFieldRequirements(text).map(({ field, value, equal }) => {
      if (!/^metadata\.(name|namespace)$/.test(field) && !fieldsOf[resource.kind]?.includes(field)) {
        throw badRequest(`field label not supported: ${field}`);
      }
      return (object) => {
        const found = valueAt(object, field.split("."));
        return ((typeof found === "boolean" ? String(found) : asText(found)) === value) === equal;
      };
    }),
  );
}
