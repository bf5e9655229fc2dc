/** The verbs on resources: get, list, watch, create, update, patch, delete. Not for: subresources with verbs of their own. */
import { parse as parseYaml } from "@std/yaml";
import { type Answer, type Call, jsonBody, ok, parseJson } from "./call.ts";
import { deleteObject, deleteOptions } from "./deletion.ts";
import { alreadyExists, badRequest, expired, noMethod, notFound, tooLarge, unsupported } from "./errors.ts";
import { type Admitted, restrictNode } from "./node_restriction.ts";
import { asText, isObject, type Json, type Stored } from "./objects.ts";
import { jsonPatch, mergePatch, strategicMerge } from "./patch.ts";
import { groupVersion, type Target } from "./resources.ts";
import { prepareCreate, prepareUpdate } from "./strategy.ts";
import { isTrue, selectorOf, watch } from "./watch.ts";
import { kinds, type World, type Writing } from "./world.ts";

/** The verb of authorisation. */
export function verbOf(method: string, target: Target, query: URLSearchParams): string {
  switch (method) {
    case "GET":
    case "HEAD":
      if (isTrue(query.get("watch"))) return "watch";
      return target.name === undefined ? "list" : "get";
    case "POST":
      return "create";
    case "PUT":
      return "update";
    case "PATCH":
      return "patch";
    case "DELETE":
      return target.name === undefined ? "deletecollection" : "delete";
    default:
      throw noMethod();
  }
}

const writingOf = (world: World, { user }: Call, { resource, subresource }: Target): Writing => ({
  world,
  user,
  resource,
  ...(subresource === undefined ? {} : { subresource }),
});

export async function answerRest(world: World, call: Call, target: Target): Promise<Answer> {
  if (call.query.has("dryRun")) throw badRequest("this API server does no dry runs");
  switch (verbOf(call.method, target, call.query)) {
    case "watch":
      return { events: watch(world, call, target) };
    case "list":
      return ok(list(world, call, target));
    case "get":
      return ok(existing(world, target));
    case "create":
      return ok(await create(world, call, target, await jsonBody(call)), 201);
    case "update":
      return update(world, call, target, await jsonBody(call));
    case "patch":
      return await patch(world, call, target);
    case "delete":
      return ok(remove(world, call, target, existing(world, target), await jsonBody(call)));
    default:
      return ok(await removeAll(world, call, target));
  }
}

export function existing({ store }: World, { resource, namespace, name = "" }: Target): Stored {
  const object = store.get(resource, namespace, name);
  if (object === undefined) throw notFound(resource, name);
  return object;
}

// ---- list ----------------------------------------------------------------------------------------------------------

interface Continuation {
  rv: number;
  start: string;
}

function list({ store }: World, call: Call, target: Target): Json {
  const { resource, namespace } = target;
  const { query } = call;
  const limit = Number(query.get("limit") ?? 0);
  const token = query.get("continue") ?? "";
  const from = Number(query.get("resourceVersion") ?? 0);
  if (from > store.revision()) throw tooLarge(from, store.revision());
  const at = token === ""
    ? (query.get("resourceVersionMatch") === "Exact" ? from : undefined)
    : continued(token).rv;
  if (at !== undefined && at < store.oldest()) throw expired(at, store.oldest());
  const keyOf = ({ metadata }: Stored) => `${metadata.namespace ?? ""}/${metadata.name}`;
  const after = token === "" ? "" : continued(token).start;
  const all = store.list(resource, namespace, at).filter(selectorOf(call, target)).filter((o) =>
    keyOf(o) > after
  );
  const items = limit > 0 ? all.slice(0, limit) : all;
  const left = all.length - items.length;
  const revision = at ?? store.revision();
  return {
    kind: `${resource.kind}List`,
    apiVersion: groupVersion(resource),
    metadata: {
      resourceVersion: String(revision),
      ...(left === 0 ? {} : {
        continue: btoa(JSON.stringify({ rv: revision, start: keyOf(items.at(-1)!) } satisfies Continuation)),
        remainingItemCount: left,
      }),
    },
    // Elements of typed lists do not say what they are.
    items: items.map(({ kind: _kind, apiVersion: _version, ...rest }) => rest),
  };
}

function continued(token: string): Continuation {
  try {
    const { rv, start } = JSON.parse(atob(token));
    return { rv: Number(rv), start: asText(start) };
  } catch {
    throw badRequest("continue key is not valid");
  }
}

// ---- write ---------------------------------------------------------------------------------------------------------

function admit(writing: Writing, asked: Admitted): void {
  restrictNode(writing, asked);
}

const placeOf = (namespace: string | undefined) => namespace === undefined ? {} : { namespace };

async function create(world: World, call: Call, target: Target, body: Json): Promise<Stored> {
  const { resource, namespace } = target;
  if (resource.namespaced && namespace === undefined) throw noMethod();
  const writing = writingOf(world, call, target);
  const given = isObject(body.metadata) ? asText(body.metadata.name) : "";
  admit(writing, { operation: "create", name: given, ...placeOf(namespace), after: body });
  if (namespace !== undefined && world.store.get(kinds.namespace, undefined, namespace) === undefined) {
    throw notFound(kinds.namespace, namespace);
  }
  const object = await prepareCreate(writing, body, namespace);
  if (world.store.get(resource, namespace, object.metadata.name) !== undefined) {
    throw alreadyExists(resource, object.metadata.name);
  }
  return world.store.put(resource, object);
}

function update(world: World, call: Call, target: Target, body: unknown): Answer {
  const before = existing(world, target);
  const writing = writingOf(world, call, target);
  const after = prepareUpdate(writing, before, body);
  admit(writing, {
    operation: "update",
    name: before.metadata.name,
    ...placeOf(target.namespace),
    before,
    after,
  });
  if (after === before) return ok(before);
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = after.metadata;
  const done = deletionTimestamp !== undefined && deletionGracePeriodSeconds === 0 && finalizers.length === 0;
  return ok(done ? world.store.remove(target.resource, after) : world.store.put(target.resource, after));
}

async function patch(world: World, call: Call, target: Target): Promise<Answer> {
  const text = await call.body();
  const type = (call.header("content-type") ?? "").split(";")[0]!.trim();
  const { kind } = target.resource;
  if (type === "application/apply-patch+yaml") {
    const applied = parseYaml(text) as Json;
    const present = world.store.get(target.resource, target.namespace, target.name ?? "");
    if (present === undefined) return ok(await create(world, call, target, applied), 201);
    return update(world, call, target, strategicMerge(present, applied, kind));
  }
  const before = existing(world, target);
  const patched = parseJson(text);
  switch (type) {
    case "application/json-patch+json":
      return update(world, call, target, jsonPatch(before, patched));
    case "application/merge-patch+json":
      return update(world, call, target, mergePatch(before, patched));
    case "application/strategic-merge-patch+json":
      if (!isObject(patched)) throw badRequest("expected a JSON object");
      return update(world, call, target, strategicMerge(before, patched, kind));
    default:
      throw unsupported(
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
      );
  }
}

export function remove(world: World, call: Call, target: Target, object: Stored, body: Json): unknown {
  const { name, uid } = object.metadata;
  const writing = writingOf(world, call, target);
  admit(writing, { operation: "delete", name, ...placeOf(target.namespace), before: object });
  const result = deleteObject(world, target.resource, object, deleteOptions(call.query, body));
  if (!result.gone || object.kind === "Pod") return result.object;
  const { group, plural } = target.resource;
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    details: { name, ...(group === "" ? {} : { group }), kind: plural, uid },
  };
}

async function removeAll(world: World, call: Call, target: Target): Promise<Json> {
  const { resource, namespace } = target;
  const body = await jsonBody(call);
  const items = world.store.list(resource, namespace).filter(selectorOf(call, target));
  for (const object of items) remove(world, call, target, object, body);
  return {
    kind: `${resource.kind}List`,
    apiVersion: groupVersion(resource),
    metadata: { resourceVersion: String(world.store.revision()) },
    items,
  };
}
