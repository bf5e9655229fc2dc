/** The kubelet's files for certificates. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createCertificateFiles } from "../../../../../agent/cluster/certificates/certificate_files.ts";
import { generateKey, privateKeyPem, publicKeyOf } from "../../../../../agent/cluster/certificates/issue.ts";
import { createAuthority } from "../../../../fakes/cluster/authority.ts";
import { createFakeHost } from "../../../../fakes/host.ts";

const directory = "/var/lib/kubelet/pki";
const authority = await createAuthority();

async function chainFor(keys: CryptoKeyPair): Promise<string> {
  return await authority.sign({
    subject: { commonName: "system:node:box", organizations: ["system:nodes"] },
    publicKey: await publicKeyOf(keys),
    usages: ["client"],
    notBefore: 0,
    notAfter: 1_000_000,
  });
}

Deno.test("certificate and key lie in one dated file, private, which a link names; the one before stays, older ones go", async () => {
  const host = createFakeHost({ now: Date.UTC(2026, 10, 25, 22, 50, 1) });
  const files = createCertificateFiles(host, directory, "kubelet-client");
  assertEquals(await files.current(), {});
  const keys = await files.pendingKey();
  assertEquals(await publicKeyOf(await files.pendingKey()), await publicKeyOf(keys));
  assertEquals(host.mode(`${directory}/kubelet-client.key.tmp`), 0o600);
  await files.store(await chainFor(keys), keys);
  assertEquals(files.path, `${directory}/kubelet-client-current.pem`);
  const first = await host.readlink(files.path);
  assertEquals(first, `${directory}/kubelet-client-2026-11-25-22-50-01.pem`);
  assertEquals(host.mode(first!), 0o600);
  assertEquals(await host.list(directory), [
    "kubelet-client-2026-11-25-22-50-01.pem",
    "kubelet-client-current.pem",
  ]);
  const { pair, wrong } = await files.current();
  assertEquals([pair?.certificate.subject.commonName, wrong], ["system:node:box", undefined]);
  assertMatch(pair!.text, /^-----BEGIN CERTIFICATE-----[^]*-----BEGIN PRIVATE KEY-----/);

  for (let i = 0; i < 3; i++) {
    const next = await generateKey();
    await files.store(await chainFor(next), next);
  }
  const left = (await host.list(directory))!.filter((name) => /\d/.test(name));
  assertEquals(left.length, 2);
  assert((await files.current()).pair !== undefined);
});

Deno.test("a file that holds no pair is told, never believed", async () => {
  const host = createFakeHost();
  const files = createCertificateFiles(host, directory, "kubelet-client");
  await host.mkdir(directory);
  const [own, other] = [await generateKey(), await generateKey()];
  const cases: [string, RegExp][] = [
    ["", /does not hold a certificate and its key/],
    ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", /no certificate/],
    [await chainFor(own), /does not hold/],
    [await chainFor(own) + await privateKeyPem(other.privateKey), /the key of another one/],
  ];
  for (const [text, expected] of cases) {
    await host.writeFile(files.path, text);
    const { pair, wrong } = await files.current();
    assertEquals(pair, undefined);
    assertMatch(wrong!, expected);
  }
});

Deno.test("a death between two steps of storing leaves the old pair or the new one", async () => {
  const host = createFakeHost();
  const files = createCertificateFiles(host, directory, "kubelet-client");
  const old = await generateKey();
  await files.store(await chainFor(old), old);
  const next = await files.pendingKey();
  const before = (await files.current()).pair!.text;
  const steps = [["symlink", `${directory}/kubelet-client-updated.pem`], ["rename", files.path]] as const;
  for (const [method, path] of steps) {
    host.fail(method, path, new Error("dies"));
    let died = false;
    await files.store(await chainFor(next), next).catch(() => died = true);
    assert(died, method);
    assertEquals((await files.current()).pair!.text, before);
    host.fail(method, path, undefined);
  }
  assertEquals(await publicKeyOf(await files.pendingKey()), await publicKeyOf(next));
  await files.store(await chainFor(next), next);
  assertEquals((await files.current()).pair!.certificate.publicKey, await publicKeyOf(next));
});
