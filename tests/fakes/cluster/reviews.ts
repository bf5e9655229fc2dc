/** Questions that are answered and forgotten: whose token it is, who may do what. Source: Kubernetes' review APIs. */
import { type User, userOfToken } from "./authenticate.ts";
import { type Attributes, authorize } from "./authorize.ts";
import { type Answer, type Call, jsonBody, ok } from "./call.ts";
import { asList, asObject, asText, type Json } from "./objects.ts";
import { groupVersion, type Resource } from "./resources.ts";
import { parseFieldRequirements } from "./selectors.ts";
import { issuer } from "./tokens.ts";
import type { World } from "./world.ts";

const texts = (value: unknown) => asList(value).map(asText);

export async function answerReview(world: World, call: Call, resource: Resource): Promise<Answer> {
  const body = await jsonBody(call);
  const spec = asObject(body.spec);
  const status = resource.kind === "TokenReview"
    ? await reviewToken(world, spec)
    : resource.kind === "SelfSubjectReview"
    ? { userInfo: userInfo(call.user) }
    : reviewAccess(world, resource.kind === "SubjectAccessReview" ? subjectOf(spec) : call.user, spec);
  return ok({ ...body, kind: resource.kind, apiVersion: groupVersion(resource), metadata: {}, status }, 201);
}

const userInfo = ({ name, uid, groups, extra }: User): Json => ({
  username: name,
  ...(uid === undefined ? {} : { uid }),
  groups,
  ...(extra === undefined ? {} : { extra }),
});

async function reviewToken(world: World, spec: Json): Promise<Json> {
  const audiences = spec.audiences === undefined ? [issuer] : texts(spec.audiences);
  const user = await userOfToken(world, asText(spec.token), audiences);
  if (user === undefined) return { authenticated: false, error: "[invalid bearer token]" };
  return { authenticated: true, user: userInfo(user), audiences };
}

function subjectOf(spec: Json): User {
  return { name: asText(spec.user), groups: texts(spec.groups) };
}

function reviewAccess(world: World, user: User, spec: Json): Json {
  const decision = authorize(world, user, attributesOf(spec));
  return decision.allowed
    ? { allowed: true }
    : { allowed: false, ...(decision.reason === "" ? {} : { reason: decision.reason }) };
}

function attributesOf(spec: Json): Attributes {
  const path = asObject(spec.nonResourceAttributes);
  if (spec.nonResourceAttributes !== undefined) {
    return { verb: asText(path.verb), group: "", resource: "", path: asText(path.path) };
  }
  const asked = asObject(spec.resourceAttributes);
  const optional = (field: string) => asText(asked[field]) === "" ? {} : { [field]: asText(asked[field]) };
  return {
    verb: asText(asked.verb),
    group: asText(asked.group),
    resource: asText(asked.resource),
    ...optional("subresource"),
    ...optional("namespace"),
    ...optional("name"),
    fields: parseFieldRequirements(asText(asObject(asked.fieldSelector).rawSelector)),
  };
}
