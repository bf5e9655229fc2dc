/** Certificates and requests of our own, read by ourselves and by OpenSSL. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  certificatesIn,
  parseCertificate,
  pinOf,
} from "../../../../../agent/cluster/certificates/certificate.ts";
import { BadDer, type Bytes } from "../../../../../agent/cluster/certificates/der.ts";
import {
  createRequest,
  generateKey,
  importKeyPair,
  issueCertificate,
  privateKeyPem,
  publicKeyOf,
} from "../../../../../agent/cluster/certificates/issue.ts";
import { pem, pemBlocks } from "../../../../../agent/cluster/certificates/pem.ts";

const ca = { commonName: "a CA", organizations: [] };
const node = { commonName: "system:node:box", organizations: ["system:nodes"] };
const names = { dnsNames: ["box", "box.example"], ipAddresses: ["192.0.2.7", "2001:db8::7", "::1"] };

async function openssl(args: string[], input: string): Promise<string> {
  const child = new Deno.Command("openssl", { args, stdin: "piped", stdout: "piped", stderr: "piped" })
    .spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { stdout, stderr } = await child.output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

async function authority() {
  const keys = await generateKey();
  const whole = await issueCertificate({
    subject: ca,
    issuer: ca,
    issuerKey: keys.privateKey,
    publicKey: await publicKeyOf(keys),
    notBefore: Date.UTC(2026, 0, 1),
    notAfter: Date.UTC(2055, 0, 1),
    authority: true,
  });
  return { keys, whole };
}

Deno.test("a certificate says what it was made of, to us and to OpenSSL, which also trusts its signature", async () => {
  const { keys, whole } = await authority();
  const own = await generateKey();
  const publicKey = await publicKeyOf(own);
  const [notBefore, notAfter] = [Date.UTC(2026, 1, 3, 4, 5, 6), Date.UTC(2049, 11, 31, 23, 59, 59)];
  const leaf = await issueCertificate({
    subject: node,
    issuer: ca,
    issuerKey: keys.privateKey,
    publicKey,
    notBefore,
    notAfter,
    usages: ["client", "server"],
    ...names,
  });
  const text = pem("CERTIFICATE", leaf);
  assertEquals(certificatesIn(text + pem("CERTIFICATE", whole)).map((c) => c.subject), [node, ca]);
  const read = parseCertificate(leaf);
  assertEquals(read, { subject: node, issuer: ca, notBefore, notAfter, publicKey, whole: leaf, ...names });
  assertEquals(parseCertificate(whole).notAfter, Date.UTC(2055, 0, 1));

  const said = await openssl(["x509", "-noout", "-text", "-nameopt", "RFC2253"], text);
  for (
    const part of [
      "Subject: CN=system:node:box,O=system:nodes",
      "Not After : Dec 31 23:59:59 2049 GMT",
      "DNS:box, DNS:box.example, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7",
      "TLS Web Client Authentication, TLS Web Server Authentication",
      "CA:FALSE",
    ]
  ) assert(said.includes(part), `${part} in ${said}`);

  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, pem("CERTIFICATE", whole));
  assertEquals(await openssl(["verify", "-no_check_time", "-CAfile", file], text), "stdin: OK\n");
  await Deno.remove(file);
});

Deno.test("the pin of a certificate is what kubeadm's documentation computes with OpenSSL", async () => {
  const { whole } = await authority();
  const publicKey = await openssl(["x509", "-pubkey", "-noout"], pem("CERTIFICATE", whole));
  const [block] = pemBlocks(publicKey);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", block!.content)).toHex();
  assertEquals(await pinOf(parseCertificate(whole)), `sha256:${digest}`);
});

Deno.test("a request is signed by the key that it is about; the key survives its file", async () => {
  const keys = await generateKey();
  const [block] = pemBlocks(await privateKeyPem(keys.privateKey));
  const again = await importKeyPair(block!.content);
  assertEquals(await publicKeyOf(again), await publicKeyOf(keys));
  const request = await createRequest({ subject: node, ...names }, again);
  const said = await openssl(["req", "-noout", "-verify", "-text", "-nameopt", "RFC2253"], request);
  for (const part of ["verify OK", "Subject: CN=system:node:box,O=system:nodes", "DNS:box.example"]) {
    assert(said.includes(part), `${part} in ${said}`);
  }
});

Deno.test("octets that are cut off, damaged or something else are refused, never believed", async () => {
  const { whole } = await authority();
  for (let end = 0; end < whole.length; end += 7) {
    assertThrows(() => parseCertificate(whole.slice(0, end) as Bytes), BadDer);
  }
  assertThrows(() => parseCertificate(Uint8Array.from([...whole, 0])), BadDer);
  assertThrows(() => parseCertificate(Uint8Array.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff)), BadDer);
  assertEquals(pemBlocks("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"), []);
});
