/** From a request to its answer: who asks, may they, and which part of the double answers. Not for: HTTP (server.ts). */
import type { Seen } from "./audit.ts";
import { authenticate, type Credentials, type User } from "./authenticate.ts";
import { type Attributes, authorize, forbidden } from "./authorize.ts";
import type { Answer, Call } from "./call.ts";
import { answerDiscovery } from "./discovery.ts";
import { noMethod, noSuchPath } from "./errors.ts";
import { findTarget, reviews, type Target } from "./resources.ts";
import { answerRest, verbOf } from "./rest.ts";
import { answerReview } from "./reviews.ts";
import { parseFieldRequirements } from "./selectors.ts";
import { bind, evict, requestToken } from "./subresources.ts";
import { isTrue } from "./watch.ts";
import type { World } from "./world.ts";

export interface Routed {
  user: User;
  /** Absent: no resource. */
  target?: Target;
}

/** Also writes what it finds out into `seen`. @throws {ApiError} 401, 403, 404, 405 */
export async function route(
  world: World,
  seen: Seen,
  credentials: Credentials,
  query: URLSearchParams,
): Promise<Routed> {
  const user = await authenticate(world, credentials);
  seen.user = user.name;
  const target = findTarget(seen.path, [...world.resources, ...reviews]);
  const asked = attributesOf(seen, target, query);
  if (target !== undefined) {
    seen.verb = asked.verb;
    seen.resource = asked.resource + (asked.subresource === undefined ? "" : `/${asked.subresource}`);
    if (asked.namespace !== undefined) seen.namespace = asked.namespace;
    if (asked.name !== undefined) seen.name = asked.name;
  }
  const decision = authorize(world, user, asked);
  if (!decision.allowed) throw forbidden(user, asked, decision.reason);
  return { user, ...(target === undefined ? {} : { target }) };
}

function attributesOf(seen: Seen, target: Target | undefined, query: URLSearchParams): Attributes {
  if (target === undefined) {
    return { verb: seen.method.toLowerCase(), group: "", resource: "", path: seen.path };
  }
  const { resource, namespace, subresource } = target;
  const fields = parseFieldRequirements(query.get("fieldSelector") ?? "");
  const name = target.name ?? fields.find((f) => f.field === "metadata.name" && f.equal)?.value;
  return {
    verb: verbOf(seen.method, target, query),
    group: resource.group,
    resource: resource.plural,
    ...(subresource === undefined ? {} : { subresource }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    fields,
  };
}

/** @throws {ApiError} */
export async function answer(world: World, call: Call, target: Target | undefined): Promise<Answer> {
  if (target === undefined) {
    const found = call.method === "GET" ? answerDiscovery(world, call.path) : undefined;
    if (found === undefined) throw noSuchPath();
    return found;
  }
  if (reviews.includes(target.resource)) {
    if (call.method !== "POST") throw noMethod();
    return await answerReview(world, call, target.resource);
  }
  const creates: Record<string, typeof bind> = { binding: bind, eviction: evict, token: requestToken };
  const create = creates[target.subresource ?? ""];
  if (create === undefined) {
    if (call.method === "POST" && target.name !== undefined) throw noMethod();
    return await answerRest(world, call, target);
  }
  if (call.method !== "POST" || isTrue(call.query.get("watch"))) throw noMethod();
  return await create(world, call, target);
}
