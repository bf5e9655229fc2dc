/** Tokens of service accounts: JWTs signed with ES256 (RFC 7519, 7515). Not for: whether they still count (authenticate.ts). */
import { fromBase64 } from "../../../agent/cluster/certificates/pem.ts";
import { asObject, type Json } from "./objects.ts";

export interface Tokens {
  sign(claims: Json): Promise<string>;
  /** `undefined` unless it was signed here; its time is not looked at. */
  verify(token: string): Promise<Json | undefined>;
}

export const issuer = "https://kubernetes.default.svc.cluster.local";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const encode = (bytes: Uint8Array) => bytes.toBase64({ alphabet: "base64url", omitPadding: true });
const encodeJson = (value: unknown) => encode(new TextEncoder().encode(JSON.stringify(value)));
const decode = (text: string) => fromBase64(text.replaceAll("-", "+").replaceAll("_", "/"));

export async function createTokens(): Promise<Tokens> {
  const keys = await crypto.subtle.generateKey(algorithm, false, ["sign", "verify"]);
  return {
    async sign(claims) {
      const content = `${encodeJson({ alg: "ES256", kid: "double" })}.${encodeJson(claims)}`;
      const signature = await crypto.subtle.sign(
        algorithm,
        keys.privateKey,
        new TextEncoder().encode(content),
      );
      return `${content}.${encode(new Uint8Array(signature))}`;
    },
    async verify(token) {
      const [head, body, signature, ...more] = token.split(".");
      if (head === undefined || body === undefined || signature === undefined || more.length > 0) {
        return undefined;
      }
      const [claims, signed] = [decode(body), decode(signature)];
      const content = new TextEncoder().encode(`${head}.${body}`);
      if (claims === undefined || signed === undefined) return undefined;
      if (!await crypto.subtle.verify(algorithm, keys.publicKey, signed, content)) return undefined;
      return asObject(JSON.parse(new TextDecoder().decode(claims)));
    },
  };
}
