/**
 * What a certificate says: whose it is, who issued it, how long it lives, which key it is about. Source: RFC 5280. Pure but
 * for the digest. Not for: deciding whether to trust it (TLS does), nor for making one (issue.ts).
 */
import { BadDer, type Bytes, children, contextTag, type Der, expectTag, readDer } from "./der.ts";
import { readObjectId, readText, readTime, tags } from "./der.ts";
import { pemBlocks } from "./pem.ts";

/** The parts of a distinguished name that Kubernetes uses: who (user), and of which groups. */
export interface Subject {
  commonName: string;
  organizations: string[];
}

export interface AltNames {
  dnsNames: string[];
  ipAddresses: string[];
}

export interface Certificate extends AltNames {
  subject: Subject;
  issuer: Subject;
  /** Milliseconds since the epoch. */
  notBefore: number;
  notAfter: number;
  /** SubjectPublicKeyInfo, DER: what is pinned. */
  publicKey: Bytes;
  /** All of it, DER. */
  whole: Bytes;
}

export const oids = {
  commonName: "2.5.4.3",
  organization: "2.5.4.10",
  altNames: "2.5.29.17",
} as const;

/** @throws {BadDer} when it is no certificate. */
export function parseCertificate(whole: Bytes): Certificate {
  const [tbs] = children(expectTag(readDer(whole), tags.sequence, "a certificate"));
  const fields = children(expectTag(tbs, tags.sequence, "what is signed in a certificate"));
  const versioned = fields[0]?.tag === contextTag(0, true) ? 1 : 0;
  const [, , issuer, validity, subject, publicKey, ...rest] = fields.slice(versioned);
  const [notBefore, notAfter] = children(expectTag(validity, tags.sequence, "a validity"));
  const extensions = rest.find((der) => der.tag === contextTag(3, true));
  return {
    subject: readSubject(expectTag(subject, tags.sequence, "a subject")),
    issuer: readSubject(expectTag(issuer, tags.sequence, "an issuer")),
    notBefore: readTime(notBefore),
    notAfter: readTime(notAfter),
    publicKey: expectTag(publicKey, tags.sequence, "a public key").whole,
    ...readAltNames(extensions === undefined ? undefined : children(extensions)[0]),
    whole,
  };
}

/** The certificates of a PEM text, in order. @throws {BadDer} when one of them is none. */
export const certificatesIn = (text: string): Certificate[] =>
  pemBlocks(text).filter((b) => b.label === "CERTIFICATE").map((b) => parseCertificate(b.content));

export function readSubject(name: Der): Subject {
  const subject: Subject = { commonName: "", organizations: [] };
  for (const relative of children(name)) {
    for (const attribute of children(relative)) {
      const [type, value] = children(attribute);
      const oid = readObjectId(type);
      if (oid === oids.commonName) subject.commonName = readText(value);
      else if (oid === oids.organization) subject.organizations.push(readText(value));
    }
  }
  return subject;
}

/** Of a list of extensions. */
export function readAltNames(extensions: Der | undefined): AltNames {
  const names: AltNames = { dnsNames: [], ipAddresses: [] };
  for (const extension of extensions === undefined ? [] : children(extensions)) {
    const parts = children(extension);
    if (readObjectId(parts[0]) !== oids.altNames) continue;
    for (const name of children(readDer(expectTag(parts.at(-1), tags.octetString, "an extension").content))) {
      if (name.tag === contextTag(2, false)) names.dnsNames.push(readText(name));
      else if (name.tag === contextTag(7, false)) names.ipAddresses.push(addressText(name.content));
    }
  }
  return names;
}

function addressText(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join(".");
  if (octets.length !== 16) throw new BadDer("expected an address of 4 or 16 octets");
  const groups = Array.from(
    { length: 8 },
    (_, i) => (octets[2 * i]! * 256 + octets[2 * i + 1]!).toString(16),
  );
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

/** `sha256:<hex>` over the public key, as kubeadm's --discovery-token-ca-cert-hash has it (RFC 7469 pins, but in hex). */
export async function pinOf(certificate: Certificate): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", certificate.publicKey);
  return "sha256:" + new Uint8Array(digest).toHex();
}
