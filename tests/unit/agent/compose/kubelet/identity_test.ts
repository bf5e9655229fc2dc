/** By which certificate the kubelet's API shows itself: files that are replaced are taken up, wrong ones told. */
import { assertEquals } from "@std/assert";
import type { ServerIdentity } from "../../../../../agent/api/kubelet/server.ts";
import { followIdentity } from "../../../../../agent/compose/kubelet/identity.ts";
import { parseConfig } from "../../../../../agent/config/config.ts";
import { createListeners } from "../../../../../agent/lib/listeners.ts";
import type { Problem } from "../../../../../agent/model/errors.ts";
import { createAuthority } from "../../../../fakes/cluster/authority.ts";
import { until } from "../../../../fakes/until.ts";
import { createFakeHost, type FakeHost } from "../../../../fakes/host.ts";

const pem = (text: string) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;

function follow(host: FakeHost, flags: Record<string, string>, more: { joined?: boolean } = {}) {
  const { config } = parseConfig({
    ...{ files: [], dropIns: [], env: {}, hostname: "box" },
    flags: Object.fromEntries(Object.entries(flags).map(([name, value]) => [name, [value]])),
  });
  const leave = new AbortController();
  const seen: ServerIdentity[] = [];
  let problems: Problem[] = [];
  let signed: string | undefined;
  const changes = createListeners<void>();
  const done = followIdentity(
    {
      ...{
        config,
        host,
        joined: more.joined ?? false,
        report: (found: Problem[]) => void (problems = found),
      },
      names: () => ({ dnsNames: ["box"], ipAddresses: ["192.0.2.1"] }),
      signed: () => signed,
      changes,
    },
    (identity) => seen.push(identity),
    leave.signal,
  );
  return {
    seen,
    problems: () => problems.map((p) => `${p.file}: ${p.field}: ${p.message}`),
    sign(pair: string) {
      signed = pair;
      changes.tell();
    },
    async [Symbol.asyncDispose]() {
      leave.abort();
      await done;
    },
  };
}

const flags = {
  "tls-cert-file": "/tls/cert",
  "tls-private-key-file": "/tls/key",
  "client-ca-file": "/ca.crt",
};

Deno.test("replaced files are a new identity; what is missing, nonsense or of another pair is told, and what was stays", async () => {
  const authority = await createAuthority();
  const pair = () => authority.identity({ commonName: "box", organizations: [] }, "server");
  const [first, second] = [await pair(), await pair()];
  const host = createFakeHost({
    files: { "/tls/cert": first.cert, "/tls/key": first.key, "/ca.crt": authority.cert },
  });
  await using it = follow(host, flags);
  const shows = (cert: string) => until("it is shown", () => it.seen.at(-1)?.cert === cert);
  const says = (text: string) => until(text, () => it.problems().join("; ").includes(text));
  await shows(first.cert);
  assertEquals(it.seen, [{ ...first, clientCA: authority.cert }]);
  await host.writeFile("/tls/cert", second.cert);
  await says(
    "/tls/key: tlsPrivateKeyFile: is the key of another certificate; expected the key of /tls/cert as PEM",
  );
  await host.writeFile("/tls/key", "nonsense");
  await says("/tls/key: tlsPrivateKeyFile: holds no private key that can be used");
  await host.writeFile("/ca.crt", pem("YWJj"));
  await says("/ca.crt: authentication.x509.clientCAFile: holds something that is no certificate");
  assertEquals(it.seen.length, 1);
  await host.writeFile("/tls/key", second.key);
  await shows(second.cert);
  assertEquals(it.seen.at(-1), { ...second, clientCA: authority.cert });
  await host.writeFile("/ca.crt", authority.cert);
  await until("all is well", () => it.problems().length === 0);
});

Deno.test("on a node of a cluster nobody is believed but whom its configuration names, and what the cluster signs is shown", async () => {
  const host = createFakeHost();
  await using it = follow(host, {}, { joined: true });
  const own = () => it.seen.length === 1;
  for (let i = 0; i < 200 && !own(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assertEquals(it.seen[0]?.clientCA, undefined);
  it.sign(pem("signed"));
  await host.settle();
  assertEquals(it.seen[1], { cert: pem("signed"), key: pem("signed") });
});
