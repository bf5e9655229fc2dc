/** Who asks: by client certificate, bootstrap token or service account token, or nobody. Source: apiserver pkg/authentication. */
import type { Certificate } from "../../../agent/cluster/certificates/certificate.ts";
import { unauthorized } from "./errors.ts";
import { asList, asObject, asText, type Json } from "./objects.ts";
import { kinds, type World } from "./world.ts";
import { issuer } from "./tokens.ts";

export interface User {
  name: string;
  uid?: string;
  groups: string[];
  extra?: Record<string, string[]>;
}

const authenticated = "system:authenticated";
export const anonymous: User = { name: "system:anonymous", groups: ["system:unauthenticated"] };
/** Who acts when the double itself does. */
export const itself: User = { name: "system:apiserver", groups: ["system:masters", authenticated] };

export interface Credentials {
  /** The client's, and whether the cluster's authority stands for it today. */
  certificate?: Certificate;
  trusted?: boolean;
  authorization?: string;
}

/** @throws {ApiError} 401 when what was given does not count. */
export async function authenticate(world: World, given: Credentials): Promise<User> {
  if (given.certificate !== undefined) {
    if (!given.trusted) throw unauthorized();
    const { commonName, organizations } = given.certificate.subject;
    return { name: commonName, groups: [...organizations, authenticated] };
  }
  if (given.authorization === undefined) return anonymous;
  const token = /^Bearer (.+)$/i.exec(given.authorization)?.[1];
  const user = token === undefined ? undefined : await userOfToken(world, token);
  if (user === undefined) throw unauthorized();
  return user;
}

/** `undefined` when the token does not count. @param audience that it must be meant for, by default the API server. */
export async function userOfToken(
  world: World,
  token: string,
  audiences: readonly string[] = [issuer],
): Promise<User | undefined> {
  const match = /^([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(token);
  if (match !== null) return bootstrapUser(world, match[1]!, match[2]!);
  const claims = await world.tokens.verify(token);
  if (claims === undefined || Number(claims.exp) * 1000 <= world.now()) return undefined;
  if (!audiences.some((a) => asList(claims.aud).includes(a))) return undefined;
  return serviceAccountUser(world, claims);
}

function bootstrapUser(world: World, id: string, secret: string): User | undefined {
  const stored = world.store.get(kinds.secret, "kube-system", `bootstrap-token-${id}`);
  if (stored?.type !== "bootstrap.kubernetes.io/token") return undefined;
  const field = (name: string) => atob(asText(asObject(stored.data)[name]));
  const expiration = field("expiration");
  if (field("token-secret") !== secret || field("usage-bootstrap-authentication") !== "true") {
    return undefined;
  }
  if (expiration !== "" && Date.parse(expiration) <= world.now()) return undefined;
  const extra = field("auth-extra-groups").split(",").filter((g) => g !== "");
  return { name: `system:bootstrap:${id}`, groups: ["system:bootstrappers", ...extra, authenticated] };
}

/** A token ends with what it is bound to. */
function serviceAccountUser({ store }: World, claims: Json): User | undefined {
  const bound = asObject(claims["kubernetes.io"]);
  const namespace = asText(bound.namespace);
  const [account, pod] = [asObject(bound.serviceaccount), asObject(bound.pod)];
  const alive = (of: Json, kind: typeof kinds.pod) =>
    store.get(kind, namespace, asText(of.name))?.metadata.uid === of.uid;
  if (!alive(account, kinds.serviceAccount) || (pod.name !== undefined && !alive(pod, kinds.pod))) {
    return undefined;
  }
  return {
    name: asText(claims.sub),
    uid: asText(account.uid),
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, authenticated],
    ...(pod.name === undefined ? {} : {
      extra: {
        "authentication.kubernetes.io/pod-name": [asText(pod.name)],
        "authentication.kubernetes.io/pod-uid": [asText(pod.uid)],
      },
    }),
  };
}
