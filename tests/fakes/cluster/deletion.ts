/**
 * Deletion: grace, preconditions, finalizers. Source: apiserver pkg/registry/rest/delete.go, pod strategy. Not for: what is
 * deleted with it (controllers.ts).
 */
import { conflict } from "./errors.ts";
import { asObject, type Json, type Stored, timestamp } from "./objects.ts";
import { nodeOf } from "./references.ts";
import type { Resource } from "./resources.ts";
import type { World } from "./world.ts";

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  uid?: string;
  resourceVersion?: string;
}

export function deleteOptions(query: URLSearchParams, body: Json): DeleteOptions {
  const { uid, resourceVersion } = asObject(body.preconditions);
  const grace = body.gracePeriodSeconds ?? query.get("gracePeriodSeconds") ?? undefined;
  return {
    ...(grace === undefined ? {} : { gracePeriodSeconds: Number(grace) }),
    ...(typeof uid === "string" ? { uid } : {}),
    ...(typeof resourceVersion === "string" ? { resourceVersion } : {}),
  };
}

/** Whether it is gone, and its last or present state. @throws {ApiError} 409 */
export function deleteObject(
  { store, now }: World,
  resource: Resource,
  object: Stored,
  options: DeleteOptions,
): { gone: boolean; object: Stored } {
  checkPreconditions(resource, object, options);
  const { metadata } = object;
  const grace = graceOf(object, options);
  const left = metadata.deletionGracePeriodSeconds;
  if (metadata.deletionTimestamp !== undefined && left !== undefined && left <= grace && grace > 0) {
    return { gone: false, object }; // it may only be shortened
  }
  const held = (metadata.finalizers?.length ?? 0) > 0;
  if (grace === 0 && !held) return { gone: true, object: store.remove(resource, ending(object, 0, now())) };
  if (metadata.deletionTimestamp !== undefined && left === grace) return { gone: false, object };
  return { gone: false, object: store.put(resource, ending(object, grace, now())) };
}

function ending(object: Stored, grace: number, now: number): Stored {
  const { generation, deletionTimestamp } = object.metadata;
  const until = timestamp(now + grace * 1000);
  const first = deletionTimestamp === undefined;
  return {
    ...object,
    metadata: {
      ...object.metadata,
      deletionTimestamp: first || until < deletionTimestamp ? until : deletionTimestamp,
      deletionGracePeriodSeconds: grace,
      ...(generation === undefined ? {} : { generation: generation + (first ? 1 : 0) }),
    },
  };
}

/** Seconds; pods alone have any. */
function graceOf(object: Stored, { gracePeriodSeconds }: DeleteOptions): number {
  if (object.kind !== "Pod") return 0;
  const phase = asObject(object.status).phase;
  if (nodeOf(object) === "" || phase === "Succeeded" || phase === "Failed") return 0;
  const grace = gracePeriodSeconds ?? Number(object.spec?.terminationGracePeriodSeconds ?? 30);
  return grace < 0 ? 1 : grace;
}

function checkPreconditions(resource: Resource, { metadata }: Stored, options: DeleteOptions): void {
  for (const [field, title] of [["uid", "UID"], ["resourceVersion", "ResourceVersion"]] as const) {
    const wanted = options[field];
    if (wanted === undefined || wanted === metadata[field]) continue;
    const why = `Precondition failed: ${title} in precondition: ${wanted}, ${title} in object meta: ${
      metadata[field]
    }`;
    throw conflict(resource, metadata.name, why);
  }
}
