/** By which certificate the kubelet's API shows itself: files that are replaced are taken up, wrong ones told. */
import { assertEquals } from "@std/assert";
import type { ServerIdentity } from "../../../../../agent/api/kubelet/server.ts";
import { followIdentity } from "../../../../../agent/compose/kubelet/identity.ts";
import { parseConfig } from "../../../../../agent/config/config.ts";
import { createListeners } from "../../../../../agent/lib/listeners.ts";
import type { Problem } from "../../../../../agent/model/errors.ts";
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

Deno.test("replaced files are a new identity; a file that is missing is told, and what was stays until it is back", async () => {
  const host = createFakeHost({
    files: { "/tls/cert": pem("1"), "/tls/key": pem("k"), "/ca.crt": pem("ca") },
  });
  await using it = follow(host, flags);
  await host.settle();
  assertEquals(it.seen, [{ cert: pem("1"), key: pem("k"), clientCA: pem("ca") }]);
  await host.writeFile("/tls/cert", pem("2"));
  await host.settle();
  assertEquals([it.seen.length, it.seen[1]?.cert], [2, pem("2")]);
  await host.writeFile("/tls/key", "nonsense");
  await host.settle();
  assertEquals(it.problems(), [
    "/tls/key: tlsPrivateKeyFile: holds no PEM; expected a certificate or its key",
  ]);
  assertEquals(it.seen.length, 2);
  await host.writeFile("/tls/key", pem("k2"));
  await host.settle();
  assertEquals([it.problems(), it.seen.length], [[], 3]);
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
