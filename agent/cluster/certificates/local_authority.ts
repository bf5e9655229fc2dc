/**
 * A small authority of the node's own: it signs the certificate by which the kubelet's API shows itself where nobody else
 * gives it one, and that of the operator who asks it on a node of no cluster. Made anew before anything of it ends. Not for:
 * certificates of a cluster (signing.ts).
 */
import { join } from "@std/path";
import type { Host } from "../../ports.ts";
import { type AltNames, type Certificate, certificatesIn, type Subject } from "./certificate.ts";
import { generateKey, importKeyPair, issueCertificate, privateKeyPem, publicKeyOf } from "./issue.ts";
import { pem, pemBlocks, toBase64 } from "./pem.ts";
import { renewalOf } from "./renewal.ts";

export type AuthorityHost = Pick<Host, "readText" | "writeFileAtomic" | "mkdir" | "now">;

export interface KeyPair {
  /** PEM; the authority's follows its own. */
  cert: string;
  key: string;
}

export interface LocalIdentities {
  server: KeyPair;
  /** PEM: the authority. */
  ca: string;
  /** Ms until it is time to look again. */
  again: number;
}

/** Where they lie, below the directory of certificates. The server's are the kubelet's names. */
export const localFiles = {
  ca: "local-ca",
  server: "kubelet",
  operator: "local-operator",
} as const;

const day = 24 * 3_600_000;
const lives = { ca: 10 * 365 * day, leaf: 365 * day };
/** Clocks differ; and one that has not been set yet begins in 1970. */
const leeway = 5 * 60_000;
const earliest = Date.UTC(2026, 0, 1);

const operator: Subject = { commonName: "local-operator", organizations: ["system:masters"] };

interface Held {
  certificate: Certificate;
  keys: CryptoKeyPair;
  pair: KeyPair;
}

/**
 * What is on the disk, made anew where it is missing, ends soon, is not for these names, or is not the authority's.
 * @throws what the host throws when nothing can be written.
 */
export async function localIdentities(
  host: AuthorityHost,
  directory: string,
  subject: Subject,
  names: AltNames,
): Promise<LocalIdentities> {
  await host.mkdir(directory, 0o700);
  const place = (name: string) => ({
    cert: join(directory, `${name}.crt`),
    key: join(directory, `${name}.key`),
  });
  const ca = await held(host, place(localFiles.ca), (c) => isOf(c, authority)) ??
    await make(host, place(localFiles.ca), { subject: authority, authority: true, life: lives.ca });
  const signedBy = (c: Certificate) => isOf(c, undefined, ca.certificate);
  const leaf = async (name: string, wanted: Omit<Wanted, "life" | "authority">) =>
    await held(
      host,
      place(name),
      (c, chain) =>
        signedBy(c) && isOf(c, wanted.subject) && covers(c, wanted.names) && sameAuthority(chain, ca),
    ) ??
      await make(host, place(name), { ...wanted, life: lives.leaf }, ca);
  const server = await leaf(localFiles.server, { subject, names, usage: "server" });
  const own = await leaf(localFiles.operator, { subject: operator, usage: "client" });
  const again = [ca, server, own].map(({ certificate }) => {
    const renewal = renewalOf(certificate, host.now(), 0);
    return "ms" in renewal ? renewal.ms : 0;
  });
  return { server: server.pair, ca: ca.pair.cert, again: Math.max(60_000, Math.min(...again)) };
}

const authority: Subject = { commonName: "agent-local-ca", organizations: [] };

const same = (a: Subject, b: Subject) => JSON.stringify(a) === JSON.stringify(b);

const isOf = (c: Certificate, subject?: Subject, issuer?: Certificate): boolean =>
  (subject === undefined || same(c.subject, subject)) &&
  (issuer === undefined || same(c.issuer, issuer.subject));

const covers = (c: Certificate, names?: AltNames): boolean =>
  names === undefined ||
  (names.dnsNames.every((n) => c.dnsNames.includes(n)) &&
    names.ipAddresses.every((a) => c.ipAddresses.includes(a)));

const sameAuthority = (chain: Certificate[], ca: Held): boolean =>
  chain.some((c) => toBase64(c.whole) === toBase64(ca.certificate.whole));

interface Place {
  cert: string;
  key: string;
}

async function held(
  host: AuthorityHost,
  place: Place,
  fits: (certificate: Certificate, chain: Certificate[]) => boolean,
): Promise<Held | undefined> {
  const [cert, key] = await Promise.all([host.readText(place.cert), host.readText(place.key)]);
  try {
    const chain = certificatesIn(cert ?? "");
    const block = pemBlocks(key ?? "").find((b) => b.label === "PRIVATE KEY");
    if (chain[0] === undefined || block === undefined) return undefined;
    const keys = await importKeyPair(block.content);
    if (toBase64(await publicKeyOf(keys)) !== toBase64(chain[0].publicKey)) return undefined;
    const lives = ["wait", "early"].includes(renewalOf(chain[0], host.now(), 0).state);
    return lives && fits(chain[0], chain)
      ? { certificate: chain[0], keys, pair: { cert: cert!, key: key! } }
      : undefined;
  } catch {
    return undefined;
  }
}

interface Wanted {
  subject: Subject;
  names?: AltNames;
  usage?: "client" | "server";
  authority?: boolean;
  life: number;
}

async function make(host: AuthorityHost, place: Place, wanted: Wanted, ca?: Held): Promise<Held> {
  const keys = await generateKey();
  const now = host.now();
  const whole = await issueCertificate({
    subject: wanted.subject,
    ...wanted.names,
    publicKey: await publicKeyOf(keys),
    issuer: ca?.certificate.subject ?? wanted.subject,
    issuerKey: ca?.keys.privateKey ?? keys.privateKey,
    notBefore: now - leeway,
    notAfter: Math.max(now, earliest) + wanted.life,
    ...(wanted.authority ? { authority: true } : {}),
    ...(wanted.usage === undefined ? {} : { usages: [wanted.usage] }),
  });
  const pair = {
    cert: pem("CERTIFICATE", whole) + (ca?.pair.cert ?? ""),
    key: await privateKeyPem(keys.privateKey),
  };
  // The key first: a certificate without its key is made anew.
  await host.writeFileAtomic(place.key, pair.key, 0o600);
  await host.writeFileAtomic(place.cert, pair.cert, 0o600);
  return { certificate: certificatesIn(pair.cert)[0]!, keys, pair };
}
