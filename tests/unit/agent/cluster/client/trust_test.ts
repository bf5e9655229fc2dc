/** Whom a connection believes: the cluster's authority alone, whatever public ones the platform knows. */
import { assertEquals, assertRejects } from "@std/assert";
import https from "node:https";
import { ApiError } from "../../../../../agent/cluster/client/api_error.ts";
import { trustOf } from "../../../../../agent/cluster/client/trust.ts";
import { createAuthority } from "../../../../fakes/cluster/authority.ts";
import { createFakeHost } from "../../../../fakes/host.ts";

const client = new URL("../../../../../agent/cluster/client/client.ts", import.meta.url).href;

/** Asks a server in a process of its own: what the platform believes is settled once in each. */
async function answerTo(port: number, ca: string, publicAuthorities: string): Promise<string> {
  const program = `
    const { createConnection } = await import("${client}");
    const connection = createConnection({ server: "https://127.0.0.1:${port}", ca: Deno.args[0] });
    const sent = { method: "GET", path: "/", headers: {}, signal: new AbortController().signal };
    const said = await connection.send({}, sent).then((r) => r.text(), (error) => String(error.cause ?? error));
    console.log(said, Deno.env.get("DENO_TLS_CA_STORE"));
    connection.close();`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", program, ca],
    env: { DENO_TLS_CA_STORE: "system", SSL_CERT_FILE: publicAuthorities },
    stderr: "null",
  }).output();
  return new TextDecoder().decode(stdout).trim();
}

Deno.test("a server that a public authority vouches for is not the cluster's", async () => {
  const [public_, own] = [await createAuthority("public"), await createAuthority("own")];
  const identity = await public_.identity({ commonName: "server", organizations: [] }, "server", {
    ipAddresses: ["127.0.0.1"],
  });
  const server = https.createServer({ ...identity }, (_request, response) => void response.end("hello"));
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  const list = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(list, public_.cert);
    const { port } = server.address() as { port: number };
    assertEquals(await answerTo(port, public_.cert, list), "hello system");
    const refused = await answerTo(port, own.cert, list);
    assertEquals([refused.includes("UnknownIssuer"), refused.endsWith(" system")], [true, true], refused);
  } finally {
    await Deno.remove(list);
    server.closeAllConnections();
    const closed = Promise.withResolvers<void>();
    server.close(() => closed.resolve());
    await closed.promise;
  }
});

Deno.test("without an authority in the kubeconfig the system's list counts, and none is an error", async () => {
  const kubeconfig = { server: "https://a:6443" };
  const files = { "/etc/pki/tls/certs/ca-bundle.crt": "PEM" };
  assertEquals(await trustOf(createFakeHost({ files }), kubeconfig), {
    server: kubeconfig.server,
    ca: "PEM",
  });
  await assertRejects(() => trustOf(createFakeHost(), kubeconfig), ApiError, "certificate-authority-data");
});
