/** A certificate authority of a cluster: certificates for its servers, its users and, on request, its nodes. */
import {
  type AltNames,
  parseCertificate,
  type Subject,
} from "../../../agent/cluster/certificates/certificate.ts";
import type { Bytes } from "../../../agent/cluster/certificates/der.ts";
import {
  generateKey,
  issueCertificate,
  type Issued,
  privateKeyPem,
  publicKeyOf,
} from "../../../agent/cluster/certificates/issue.ts";
import { pem } from "../../../agent/cluster/certificates/pem.ts";

export interface Identity {
  /** PEM */
  cert: string;
  /** PEM */
  key: string;
}

export interface Life {
  notBefore: number;
  notAfter: number;
}

export interface Authority {
  /** PEM */
  cert: string;
  /** For a key that somebody else has. @returns PEM */
  sign(wanted: Pick<Issued, "subject" | "publicKey" | "usages"> & Partial<AltNames> & Life): Promise<string>;
  /** With a new key. Lives a year unless told. */
  identity(
    subject: Subject,
    usage: "client" | "server",
    more?: Partial<AltNames & Life>,
  ): Promise<Identity>;
}

const year = 365 * 24 * 3_600_000;
/** Clocks differ. */
const leeway = 5 * 60_000;

export async function createAuthority(commonName = "kubernetes"): Promise<Authority> {
  const keys = await generateKey();
  const own = { commonName, organizations: [] };
  const issue = (wanted: Omit<Issued, "issuer" | "issuerKey">) =>
    issueCertificate({ ...wanted, issuer: own, issuerKey: keys.privateKey });
  const whole: Bytes = await issue({
    subject: own,
    publicKey: await publicKeyOf(keys),
    authority: true,
    notBefore: Date.now() - leeway,
    notAfter: Date.now() + 10 * year,
  });
  parseCertificate(whole);
  const sign: Authority["sign"] = async (wanted) => pem("CERTIFICATE", await issue(wanted));
  return {
    cert: pem("CERTIFICATE", whole),
    sign,
    async identity(subject, usage, more = {}) {
      const pair = await generateKey();
      const life = { notBefore: Date.now() - leeway, notAfter: Date.now() + year };
      const publicKey = await publicKeyOf(pair);
      const cert = await sign({ subject, publicKey, usages: [usage], ...life, ...more });
      return { cert, key: await privateKeyPem(pair.privateKey) };
    },
  };
}
