/** The node's own authority: what it signs, and when anew. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { certificatesIn } from "../../../../../agent/cluster/certificates/certificate.ts";
import { localIdentities } from "../../../../../agent/cluster/certificates/local_authority.ts";
import { createFakeHost, type FakeHost } from "../../../../fakes/host.ts";

const directory = "/var/lib/kubelet/pki";
const subject = { commonName: "system:node:box", organizations: ["system:nodes"] };
const names = { dnsNames: ["box"], ipAddresses: ["192.0.2.1"] };
const day = 24 * 3_600_000;

const look = (host: FakeHost, of = names) => localIdentities(host, directory, subject, of);

Deno.test("a server's and an operator's certificate are made once, private, for the node's names, and kept", async () => {
  const host = createFakeHost();
  const { server, ca, again } = await look(host);
  const [own, above] = certificatesIn(server.cert);
  assertEquals([own?.subject, own?.dnsNames, own?.ipAddresses], [subject, ["box"], ["192.0.2.1"]]);
  assertEquals(above?.whole, certificatesIn(ca)[0]?.whole);
  assertEquals(own!.notAfter - host.now(), 365 * day);
  assertEquals(again, day);
  const [operator] = certificatesIn(host.text(`${directory}/local-operator.crt`)!);
  assertEquals(operator?.subject, { commonName: "local-operator", organizations: ["system:masters"] });
  for (const name of ["kubelet.key", "local-ca.key", "local-operator.key"]) {
    assertEquals(host.mode(`${directory}/${name}`), 0o600, name);
  }
  const changes = host.changes.length;
  assertEquals((await look(host)).server, server);
  assertEquals(host.changes.slice(changes).filter((c) => !c.startsWith("mkdir")), []);
});

Deno.test("another address, a file that is lost, cut off or of somebody else, and the end in sight make it anew", async () => {
  const host = createFakeHost();
  const first = await look(host);
  const moved = { ...names, ipAddresses: ["192.0.2.7"] };
  const second = await look(host, moved);
  assertEquals(certificatesIn(second.server.cert)[0]?.ipAddresses, ["192.0.2.7"]);
  assertEquals(second.ca, first.ca);
  await host.writeFile(`${directory}/kubelet.key`, host.text(`${directory}/local-operator.key`)!);
  const third = await look(host, moved);
  assertNotEquals(third.server.cert, second.server.cert);
  await host.writeFile(`${directory}/kubelet.crt`, third.server.cert.slice(0, 100));
  assertNotEquals((await look(host, moved)).server.cert, third.server.cert);
  await host.remove(`${directory}/local-ca.key`);
  const other = await look(host, moved);
  assertNotEquals(other.ca, first.ca);
  assertEquals(certificatesIn(other.server.cert)[1]?.whole, certificatesIn(other.ca)[0]?.whole);
  await host.advance(260 * day);
  const late = await look(host, moved);
  assertEquals(late.ca, other.ca);
  assert(certificatesIn(late.server.cert)[0]!.notAfter > host.now() + 364 * day);
});

Deno.test("what was made while the clock stood at 1970 serves when it is set", async () => {
  const host = createFakeHost({ now: 60_000 });
  const { server } = await look(host);
  const [own] = certificatesIn(server.cert);
  assert(own!.notBefore <= 60_000 && own!.notAfter > Date.UTC(2026, 6, 1));
});
