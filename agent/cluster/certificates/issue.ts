/**
 * Makes keys, certificate signing requests and certificates: ECDSA on P-256 with SHA-256, by WebCrypto. Sources: RFC 2986,
 * 5280, 5480. Not for: reading them (certificate.ts), nor for storing them.
 */
import type { AltNames, Subject } from "./certificate.ts";
import { oids } from "./certificate.ts";
import * as der from "./der.ts";
import type { Bytes } from "./der.ts";
import { pem } from "./pem.ts";

const curve = { name: "ECDSA", namedCurve: "P-256" } as const;
const signing = { name: "ECDSA", hash: "SHA-256" } as const;

const ecdsaWithSha256 = der.sequence(der.objectId("1.2.840.10045.4.3.2"));
const usages = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" } as const;

export const generateKey = (): Promise<CryptoKeyPair> =>
  crypto.subtle.generateKey(curve, true, ["sign", "verify"]);

/** PKCS #8, which Go's and OpenSSL's readers take as well as the older form. */
export const privateKeyPem = async (key: CryptoKey): Promise<string> =>
  pem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", key)));

/** @param content of a `PRIVATE KEY` block of ours. */
export async function importKeyPair(content: Bytes): Promise<CryptoKeyPair> {
  const privateKey = await crypto.subtle.importKey("pkcs8", content, curve, true, ["sign"]);
  const { d: _secret, key_ops: _ops, ...open } = await crypto.subtle.exportKey("jwk", privateKey);
  const publicKey = await crypto.subtle.importKey("jwk", { ...open, key_ops: ["verify"] }, curve, true, [
    "verify",
  ]);
  return { privateKey, publicKey };
}

export interface Requested extends Partial<AltNames> {
  subject: Subject;
}

/** A certificate signing request, PEM. */
export async function createRequest(wanted: Requested, keys: CryptoKeyPair): Promise<string> {
  const names = altNames(wanted);
  // extensionRequest, PKCS #9
  const attributes = names.length === 0 ? [] : [
    der.sequence(der.objectId("1.2.840.113549.1.9.14"), der.set(der.sequence(...names))),
  ];
  const content = der.sequence(
    der.unsignedInteger(Uint8Array.of(0)),
    nameOf(wanted.subject),
    await publicKeyOf(keys),
    der.write(der.contextTag(0, true), ...attributes),
  );
  return pem("CERTIFICATE REQUEST", await signed(content, keys.privateKey));
}

export interface Issued extends Requested {
  /** SubjectPublicKeyInfo, DER. */
  publicKey: Bytes;
  issuer: Subject;
  issuerKey: CryptoKey;
  /** Milliseconds since the epoch. */
  notBefore: number;
  notAfter: number;
  /** May sign others. */
  authority?: boolean;
  usages?: (keyof typeof usages)[];
}

/** A certificate, DER. */
export async function issueCertificate(wanted: Issued): Promise<Bytes> {
  const serial = crypto.getRandomValues(new Uint8Array(16));
  serial[0] = serial[0]! & 0x7f | 0x40;
  const content = der.sequence(
    der.write(der.contextTag(0, true), der.unsignedInteger(Uint8Array.of(2))),
    der.unsignedInteger(serial),
    ecdsaWithSha256,
    nameOf(wanted.issuer),
    der.sequence(der.time(wanted.notBefore), der.time(wanted.notAfter)),
    nameOf(wanted.subject),
    wanted.publicKey,
    der.write(der.contextTag(3, true), der.sequence(...extensionsOf(wanted))),
  );
  return await signed(content, wanted.issuerKey);
}

export const publicKeyOf = async (keys: CryptoKeyPair): Promise<Bytes> =>
  new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey));

function extensionsOf(wanted: Issued): Bytes[] {
  const basic = wanted.authority ? der.sequence(der.boolean(true)) : der.sequence();
  // Bits of KeyUsage, the first one leftmost: digitalSignature, and keyCertSign for an authority.
  const keyUsage = wanted.authority ? [0x02, 0x84] : [0x07, 0x80];
  const purposes = (wanted.usages ?? []).map((use) => der.objectId(usages[use]));
  return [
    extension("2.5.29.19", basic, true),
    extension("2.5.29.15", der.write(der.tags.bitString, Uint8Array.from(keyUsage)), true),
    ...purposes.length === 0 ? [] : [extension("2.5.29.37", der.sequence(...purposes))],
    ...altNames(wanted),
  ];
}

const extension = (oid: string, value: Bytes, critical = false): Bytes =>
  der.sequence(der.objectId(oid), ...critical ? [der.boolean(true)] : [], der.octetString(value));

function altNames({ dnsNames = [], ipAddresses = [] }: Partial<AltNames>): Bytes[] {
  const names = [
    ...dnsNames.map((name) => der.write(der.contextTag(2, false), new TextEncoder().encode(name))),
    ...ipAddresses.map((ip) => der.write(der.contextTag(7, false), addressOctets(ip))),
  ];
  return names.length === 0 ? [] : [extension(oids.altNames, der.sequence(...names))];
}

function addressOctets(address: string): Bytes {
  if (!address.includes(":")) return Uint8Array.from(address.split(".").map(Number));
  // The URL's form is the canonical one: no dotted end, at most one "::".
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const groups = (text: string) => text === "" ? [] : text.split(":").map((g) => parseInt(g, 16));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const middle = Array<number>(8 - before.length - after.length).fill(0);
  return Uint8Array.from([...before, ...middle, ...after].flatMap((g) => [g >> 8, g & 0xff]));
}

/** Groups first, as Go writes them. */
function nameOf({ commonName, organizations }: Subject): Bytes {
  const attribute = (oid: string, text: string) => der.sequence(der.objectId(oid), der.utf8String(text));
  return der.sequence(
    ...organizations.length === 0
      ? []
      : [der.set(...sorted(organizations.map((o) => attribute(oids.organization, o))))],
    ...commonName === "" ? [] : [der.set(attribute(oids.commonName, commonName))],
  );
}

/** DER orders the elements of a set by their octets. */
const sorted = (elements: Bytes[]): Bytes[] => elements.sort((a, b) => a.toHex() < b.toHex() ? -1 : 1);

async function signed(content: Bytes, key: CryptoKey): Promise<Bytes> {
  const signature = new Uint8Array(await crypto.subtle.sign(signing, key, content));
  const half = signature.length / 2;
  const [r, s] = [signature.subarray(0, half), signature.subarray(half)];
  const encoded = der.sequence(der.unsignedInteger(r), der.unsignedInteger(s));
  return der.sequence(content, ecdsaWithSha256, der.bitString(encoded));
}
