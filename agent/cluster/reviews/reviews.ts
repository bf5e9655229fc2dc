/**
 * Asks the API server whose a token is and what somebody may with this node, and remembers the answers. Source: the
 * authentication.k8s.io and authorization.k8s.io APIs; the webhooks of k8s.io/apiserver. Not for: requests to this node
 * (api/kubelet/).
 */
import { createGate } from "../../lib/gate.ts";
import { createRemembered } from "../../lib/remembered.ts";
import { sha256 } from "../../lib/sha256.ts";
import type { NodeAccess, User } from "../../model/kubelet_access.ts";
import type { Api } from "../client/api.ts";

export interface ReviewOptions {
  api: Pick<Api, "ask">;
  nodeName: string;
  monotonic(): number;
  /** How long answers hold, in ms. */
  tokenTTL: number;
  allowTTL: number;
  denyTTL: number;
  signal: AbortSignal;
}

export interface Reviews {
  /** Undefined for one that is nobody's. Rejects when the API server does not answer. */
  reviewToken(token: string): Promise<User | undefined>;
  /** Rejects when the API server does not answer. */
  allows(user: User, asked: NodeAccess): Promise<boolean>;
}

/** Who asks here waits for the answer. */
const deadline = 10_000;
const most = { tokens: 1024, verdicts: 4096 };
/** Anybody can send tokens: the API server is not asked about more of them at once, and no more wait for their turn. */
const tokens = { atOnce: 16, waiting: 256 };

export function createReviews(o: ReviewOptions): Reviews {
  const users = createRemembered<User | undefined>(most.tokens, o.monotonic);
  const verdicts = createRemembered<boolean>(most.verdicts, o.monotonic);
  const create = async (path: string, kind: string, spec: object): Promise<Record<string, unknown>> => {
    const [group, version] = path.split("/").slice(2);
    const body = { apiVersion: `${group}/${version}`, kind, spec };
    const answer = await o.api.ask({ method: "POST", path, body, deadline, signal: o.signal });
    return objectOf(objectOf(answer)["status"]);
  };
  const gate = createGate(tokens.atOnce);
  let coming = 0;
  const review = async (token: string) => {
    if (coming >= tokens.atOnce + tokens.waiting) throw new Error("too many tokens are to be looked at");
    coming++;
    try {
      const status = await gate.run(() => create(tokenReviews, "TokenReview", { token }), o.signal);
      return userOf(status);
    } finally {
      coming--;
    }
  };
  return {
    // Of the token only its digest is kept.
    reviewToken: async (token) =>
      await users.get(await sha256(token), async () => ({ value: await review(token), ms: o.tokenTTL })),
    allows: async (user, asked) =>
      await verdicts.get(JSON.stringify([user, asked]), async () => {
        const status = await create(accessReviews, "SubjectAccessReview", specOf(user, asked, o.nodeName));
        const value = status["allowed"] === true && status["denied"] !== true;
        return { value, ms: value ? o.allowTTL : o.denyTTL };
      }),
  };
}

const tokenReviews = "/apis/authentication.k8s.io/v1/tokenreviews";
const accessReviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

const specOf = ({ name, groups, uid, extra }: User, { verb, subresource }: NodeAccess, node: string) => ({
  resourceAttributes: { verb, version: "v1", resource: "nodes", subresource, name: node },
  user: name,
  groups,
  ...(uid === undefined ? {} : { uid }),
  ...(extra === undefined ? {} : { extra }),
});

function userOf(status: Record<string, unknown>): User | undefined {
  const user = objectOf(status["user"]);
  const name = user["username"];
  if (status["authenticated"] !== true || typeof name !== "string" || name === "") return undefined;
  const extra = Object.entries(objectOf(user["extra"])).map(([key, value]) => [key, textsOf(value)] as const);
  return {
    name,
    groups: textsOf(user["groups"]),
    ...(typeof user["uid"] === "string" ? { uid: user["uid"] } : {}),
    ...(extra.length > 0 ? { extra: Object.fromEntries(extra) } : {}),
  };
}

const objectOf = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? value as Record<string, unknown> : {};

const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
