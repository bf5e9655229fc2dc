/**
 * What becomes of an object that is written: names, times, generation, who may write which half of it. Source: apiserver
 * pkg/registry/rest. Not for: reading, nor for watching.
 */
import { newRequest } from "./certificates.ts";
import { badRequest, type Cause, conflict, invalid } from "./errors.ts";
import {
  asObject,
  asText,
  equal,
  isObject,
  type Json,
  type Metadata,
  type Stored,
  timestamp,
} from "./objects.ts";
import { checkPodUpdate, newPod, podStatus, resized, suffix, withEphemeral } from "./pod_rules.ts";
import { withoutUnknown } from "./older.ts";
import { groupVersion, type Resource } from "./resources.ts";
import type { Writing } from "./world.ts";

/** A body as an object of this resource. @throws {ApiError} 400 */
export function asStored(resource: Resource, body: unknown): Stored {
  if (!isObject(body)) {
    throw badRequest("the body of the request was in an unknown format - expected an object");
  }
  const [kind, version] = [body.kind ?? resource.kind, body.apiVersion ?? groupVersion(resource)];
  if (kind !== resource.kind || (version !== groupVersion(resource) && resource.kind !== "Event")) {
    throw badRequest(
      `${asText(kind)} in version "${asText(version)}" cannot be handled as a ${resource.kind}: ` +
        `no kind "${asText(kind)}" is registered for version "${groupVersion(resource)}"`,
    );
  }
  return {
    ...body,
    kind,
    apiVersion: groupVersion(resource),
    metadata: asObject(body.metadata),
  } as unknown as Stored;
}

/** Their generation says how often their spec changed. */
const counted = new Set([
  "Pod",
  "Deployment",
  "ReplicaSet",
  "DaemonSet",
  "StatefulSet",
  "CSIDriver",
  "ResourceSlice",
]);

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** @throws {ApiError} 400, 422 */
export async function prepareCreate(
  writing: Writing,
  body: unknown,
  namespace: string | undefined,
): Promise<Stored> {
  const { resource, world } = writing;
  const object = withoutUnknown(asStored(resource, body), world.settings.unknownFields);
  const given = object.metadata;
  if ((given.namespace ?? namespace ?? "") !== (namespace ?? "")) {
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
  }
  if ((given.resourceVersion ?? "") !== "") {
    throw badRequest("resourceVersion should not be set on objects to be created");
  }
  const name = given.name || (given.generateName === undefined ? "" : given.generateName + suffix());
  const wrong = nameCauses(name);
  if (wrong.length > 0) throw invalid(resource, name, wrong);
  const { deletionTimestamp: _gone, deletionGracePeriodSeconds: _grace, generation: _own, ...kept } = given;
  const metadata: Metadata = {
    ...kept,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    uid: crypto.randomUUID(),
    resourceVersion: "",
    creationTimestamp: timestamp(world.now()),
    ...(counted.has(resource.kind) ? { generation: 1 } : {}),
  };
  return await completed(writing, { ...object, metadata });
}

function nameCauses(name: string): Cause[] {
  const field = "metadata.name";
  if (name === "") {
    return [{
      reason: "FieldValueRequired",
      field,
      message: "Required value: name or generateName is required",
    }];
  }
  if (name.length <= 253 && (subdomain.test(name) || name.includes(":"))) return [];
  return [{
    reason: "FieldValueInvalid",
    field,
    message:
      `Invalid value: "${name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric ` +
      "characters, '-' or '.', and must start and end with an alphanumeric character",
  }];
}

/** Those whose status is not the creator's to write begin with this one. */
const beginnings: Readonly<Record<string, Json | undefined>> = {
  PersistentVolumeClaim: { phase: "Pending" },
  PersistentVolume: { phase: "Pending" },
  Namespace: { phase: "Active" },
  Service: { loadBalancer: {} },
  VolumeAttachment: { attached: false },
};

async function completed(writing: Writing, object: Stored): Promise<Stored> {
  switch (object.kind) {
    case "Pod":
      return newPod(writing, object);
    case "CertificateSigningRequest":
      return await newRequest(writing.user, object);
    case "Secret":
      return { type: "Opaque", ...withStringData(object) };
    case "Namespace":
      return { ...object, spec: { finalizers: ["kubernetes"] }, status: beginnings.Namespace! };
    default: {
      const status = beginnings[object.kind];
      return status === undefined ? object : { ...object, status };
    }
  }
}

function withStringData({ stringData, ...object }: Stored): Stored {
  const encoded = Object.entries(asObject(stringData)).map(([key, text]) =>
    [key, new TextEncoder().encode(asText(text)).toBase64()] as const
  );
  return {
    ...object,
    data: { ...asObject(object.data), ...Object.fromEntries(encoded) },
  } as unknown as Stored;
}

// ---- updates -------------------------------------------------------------------------------------------------------

const halves = ["status", "resize", "ephemeralcontainers", "approval"];

/** The object as it is kept after an update; the old one itself when nothing changes. @throws {ApiError} 409, 422 */
export function prepareUpdate(writing: Writing, before: Stored, body: unknown): Stored {
  const { resource, subresource } = writing;
  const given = withoutUnknown(asStored(resource, body), writing.world.settings.unknownFields);
  const { name } = before.metadata;
  if (given.metadata.name !== undefined && given.metadata.name !== name) {
    throw badRequest("the name of the object does not match the name on the URL");
  }
  const version = given.metadata.resourceVersion ?? "";
  if (version !== "" && version !== before.metadata.resourceVersion) throw conflict(resource, name);
  if ((given.metadata.uid ?? before.metadata.uid) !== before.metadata.uid) {
    throw conflict(
      resource,
      name,
      `Precondition failed: UID in precondition: ${given.metadata.uid}, UID in object meta: ${before.metadata.uid}`,
    );
  }
  const after = half(subresource, before, given, resource);
  const changed = !equal(after.spec, before.spec);
  const generation = before.metadata.generation === undefined
    ? {}
    : { generation: before.metadata.generation + (changed ? 1 : 0) };
  const whole = {
    ...after,
    metadata: { ...mergedMetadata(before.metadata, given.metadata, subresource), ...generation },
  };
  return equal(whole, before) ? before : whole;
}

function half(
  subresource: string | undefined,
  before: Stored,
  given: Stored,
  resource: Resource,
): Stored {
  switch (subresource) {
    case "status":
      return { ...before, status: before.kind === "Pod" ? podStatus(before, given) : asObject(given.status) };
    case "approval":
      return { ...before, status: { ...before.status, conditions: asObject(given.status).conditions } };
    case "resize":
      return resized(before, given);
    case "ephemeralcontainers":
      return withEphemeral(before, given);
    default: {
      if (before.kind === "Pod") checkPodUpdate(before, given);
      const hasHalves = resource.subresources.some((s) => halves.includes(s));
      const { status: _status, ...rest } = before.kind === "Secret" ? withStringData(given) : given;
      return {
        ...rest,
        ...(hasHalves && before.status !== undefined ? { status: before.status } : {}),
      } as Stored;
    }
  }
}

/** What clients cannot change stays; a status keeps what belongs to the other half. */
function mergedMetadata(old: Metadata, given: Metadata, subresource: string | undefined): Metadata {
  const { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, name, namespace } = old;
  const owners = subresource === undefined ? given.ownerReferences : old.ownerReferences;
  const { ownerReferences: _owners, finalizers: _finalizers, generation: _own, ...rest } = given;
  const finalizers = given.finalizers ?? (subresource === undefined ? undefined : old.finalizers);
  return {
    ...rest,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    uid,
    creationTimestamp,
    resourceVersion: old.resourceVersion,
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    ...(deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds }),
    ...(owners === undefined ? {} : { ownerReferences: owners }),
    ...(finalizers === undefined || finalizers.length === 0 ? {} : { finalizers }),
  };
}
