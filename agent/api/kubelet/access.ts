/**
 * Whether a request may be answered: who asks, by client certificate or token, and whether that user may. Source:
 * pkg/kubelet/server/server.go, InstallAuthFilter. Not for: how users and verdicts are had (reviews.ts).
 */
import { accessOf, anonymous, type NodeAccess, type User } from "../../model/kubelet_access.ts";
import { errorText } from "../../model/errors.ts";
import type { Log } from "../../lib/log.ts";
import { text } from "./routes.ts";

/** What a request brings to show who it is from. */
export interface Credentials {
  /** Of a client certificate that a trusted authority has signed and that holds now; "untrusted": of another one. */
  certificate?: User | "untrusted";
  /** Of the header Authorization: Bearer. */
  token?: string;
}

export interface AccessControl {
  /** Undefined where tokens are not believed; the user is undefined for one that is nobody's. Throws when nobody knows. */
  reviewToken?(token: string, signal: AbortSignal): Promise<User | undefined>;
  /** Throws when nobody knows. */
  allows(user: User, asked: NodeAccess, signal: AbortSignal): Promise<boolean>;
  /** Requests without credentials are somebody's, too: system:anonymous. */
  anonymous: boolean;
  log: Log;
}

export async function admit(
  control: AccessControl,
  credentials: Credentials,
  method: string,
  path: string,
  signal: AbortSignal,
): Promise<{ user: User } | { refusal: Response }> {
  const user = await identify(control, credentials, signal);
  if (user === undefined) return { refusal: text(401, "Unauthorized") };
  const { verb, subresources } = accessOf(method, path);
  for (const subresource of subresources) {
    try {
      if (await control.allows(user, { verb, subresource }, signal)) return { user };
    } catch (error) {
      const named = `user=${user.name}, verb=${verb}, resource=nodes, subresource=${subresource}`;
      control.log.warn("nobody says whether a request may be answered", {
        user: user.name,
        path,
        error: errorText(error),
      });
      return { refusal: text(500, `Authorization error (${named})`) };
    }
  }
  const named = `user=${user.name}, verb=${verb}, resource=nodes, subresource(s)=[${subresources.join(" ")}]`;
  return { refusal: text(403, `Forbidden (${named})\n`) };
}

/** A certificate goes before a token. What is nobody's is no stranger's request but a wrong one. */
async function identify(
  { reviewToken, anonymous: open, log }: AccessControl,
  { certificate, token }: Credentials,
  signal: AbortSignal,
): Promise<User | undefined> {
  if (certificate !== undefined && certificate !== "untrusted") return authenticated(certificate);
  if (token !== undefined && reviewToken !== undefined) {
    try {
      const user = await reviewToken(token, signal);
      return user && authenticated(user);
    } catch (error) {
      log.debug("nobody says whose token it is", { error: errorText(error) });
      return undefined;
    }
  }
  // Where tokens are not believed, nobody reads them.
  return open && certificate === undefined && (token === undefined || reviewToken === undefined)
    ? anonymous
    : undefined;
}

const everyone = "system:authenticated";

const authenticated = (user: User): User =>
  user.groups.includes(everyone) ? user : { ...user, groups: [...user.groups, everyone] };
