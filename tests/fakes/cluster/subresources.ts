/** What pods and service accounts can be asked beside themselves: binding, eviction, tokens. Not for: logs and exec (kubelet_proxy.ts). */
import { type Answer, type Call, jsonBody, ok } from "./call.ts";
import { conflict, invalid } from "./errors.ts";
import { restrictNode } from "./node_restriction.ts";
import { asList, asObject, asText, type Json, type Stored, timestamp } from "./objects.ts";
import { nodeOf } from "./references.ts";
import type { Target } from "./resources.ts";
import { existing, remove } from "./rest.ts";
import { issuer } from "./tokens.ts";
import { kinds, type World } from "./world.ts";

const success = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 };

export async function bind(world: World, call: Call, target: Target): Promise<Answer> {
  const pod = existing(world, target);
  const node = asText(asObject((await jsonBody(call)).target).name);
  if (nodeOf(pod) !== "") {
    throw conflict(
      kinds.pod,
      pod.metadata.name,
      `pod ${pod.metadata.name} is already assigned to node "${nodeOf(pod)}"`,
    );
  }
  if (pod.metadata.deletionTimestamp !== undefined) {
    throw conflict(
      kinds.pod,
      pod.metadata.name,
      `pod ${pod.metadata.name} is being deleted, cannot be assigned to a host`,
    );
  }
  const scheduled = {
    type: "PodScheduled",
    status: "True",
    lastProbeTime: null,
    lastTransitionTime: timestamp(world.now()),
  };
  world.store.put(kinds.pod, {
    ...pod,
    spec: { ...pod.spec, nodeName: node },
    status: { ...pod.status, conditions: [...asList(pod.status?.conditions), scheduled] },
  });
  return ok(success, 201);
}

export async function evict(world: World, call: Call, target: Target): Promise<Answer> {
  const pod = existing(world, target);
  const body = await jsonBody(call);
  const { namespace, name = "" } = target;
  restrictNode({ world, user: call.user, resource: target.resource, subresource: "eviction" }, {
    operation: "create",
    name,
    ...(namespace === undefined ? {} : { namespace }),
    after: body,
  });
  remove(world, { ...call }, { ...target }, pod, asObject(body.deleteOptions));
  return ok(success, 201);
}

/** TokenRequest. Source: pkg/registry/core/serviceaccount/storage/token.go. */
export async function requestToken(world: World, call: Call, target: Target): Promise<Answer> {
  const account = existing(world, target);
  const body = await jsonBody(call);
  const { namespace = "", name = "" } = target;
  const writing = { world, user: call.user, resource: target.resource, subresource: "token" };
  restrictNode(writing, { operation: "create", name, namespace, after: body });
  const spec = asObject(body.spec);
  const seconds = Number(spec.expirationSeconds ?? 3600);
  if (seconds < 600) {
    throw invalid({ ...target.resource, kind: "TokenRequest", group: "authentication.k8s.io" }, "", [{
      reason: "FieldValueInvalid",
      field: "spec.expirationSeconds",
      message: `Invalid value: ${seconds}: may not specify a duration less than 10 minutes`,
    }]);
  }
  const audiences = asList(spec.audiences).length === 0 ? [issuer] : asList(spec.audiences);
  const life = Math.min(seconds * 1000, world.settings.tokenLife ?? Infinity);
  const [now, end] = [world.now(), world.now() + life];
  const token = await world.tokens.sign({
    iss: issuer,
    sub: `system:serviceaccount:${namespace}:${name}`,
    aud: audiences,
    iat: Math.floor(now / 1000),
    nbf: Math.floor(now / 1000),
    exp: end / 1000,
    jti: crypto.randomUUID(),
    "kubernetes.io": {
      namespace,
      serviceaccount: { name, uid: account.metadata.uid },
      ...boundTo(world, target, spec),
    },
  });
  return ok({
    kind: "TokenRequest",
    apiVersion: "authentication.k8s.io/v1",
    metadata: { name, namespace, creationTimestamp: timestamp(now) },
    spec: { ...spec, audiences, expirationSeconds: seconds, boundObjectRef: spec.boundObjectRef ?? null },
    status: { token, expirationTimestamp: timestamp(end) },
  }, 201);
}

function boundTo(world: World, { namespace }: Target, spec: Json): Json {
  const bound = asObject(spec.boundObjectRef);
  if (bound.kind !== "Pod") return {};
  const pod = existing(world, {
    resource: kinds.pod,
    name: asText(bound.name),
    ...(namespace === undefined ? {} : { namespace }),
    rest: "",
  });
  if (bound.uid !== undefined && bound.uid !== pod.metadata.uid) {
    const why =
      `the UID in the bound object reference (${asText(bound.uid)}) does not match the UID in record. ` +
      "The object might have been deleted and then recreated";
    throw conflict(kinds.pod, pod.metadata.name, why);
  }
  const tie = ({ metadata }: Stored) => ({ name: metadata.name, uid: metadata.uid });
  const node = world.store.get(kinds.node, undefined, nodeOf(pod));
  return { pod: tie(pod), ...(node === undefined ? {} : { node: tie(node) }) };
}
