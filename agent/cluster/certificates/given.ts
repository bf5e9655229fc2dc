/**
 * Whether certificates that somebody else has put there can be believed, or shown: the platform takes anything and then
 * breaks each connection. Not for: whether they are good for anybody (TLS says).
 */
import { certificatesIn } from "./certificate.ts";

/** Why nobody can be believed by these; undefined where they are certificates. */
export function wrongAuthorities(text: string): string | undefined {
  try {
    return certificatesIn(text).length > 0 ? undefined : "holds no certificate";
  } catch {
    return "holds something that is no certificate";
  }
}
