/** How sessions and answers that go on end at the kubelet's server. Not for: what they carry (relay_test.ts). */
import { assertEquals, assertMatch } from "@std/assert";
import type { Route } from "../../../../../agent/api/kubelet/routes.ts";
import { earlyConnection } from "../../../../../agent/api/kubelet/early.ts";
import { createAuthority } from "../../../../fakes/cluster/authority.ts";
import { until } from "../../../../fakes/until.ts";
import { type Served, served } from "./serving.ts";

const opened = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: voice\r\n\r\n";
const never = (signal: AbortSignal) =>
  new Promise<undefined>((resolve) => signal.addEventListener("abort", () => resolve(undefined)));

const routes: Route[] = [{
  methods: ["GET"],
  path: "/held",
  answer: ({ signal }) => new Response(ReadableStream.from(onceAndWait(signal))),
  async upgrade({ signal }, { socket }) {
    socket.write(opened);
    return await never(signal);
  },
}, {
  methods: ["GET"],
  path: "/going-on",
  answer: ({ signal }) => new Response(ReadableStream.from(onceAndWait(signal))),
}, {
  methods: ["GET"],
  path: "/wordless",
  answer: () => new Response(),
  upgrade: () => Promise.resolve(new Response(null, { status: 403 })),
}];

async function* onceAndWait(signal: AbortSignal) {
  yield new TextEncoder().encode("begun");
  await never(signal);
}

async function ask({ server, authority, admin }: Served, path: string, more = ""): Promise<Deno.TlsConn> {
  const { cert, key } = admin;
  const connection = await Deno.connectTls({
    ...{ hostname: "127.0.0.1", port: server.port, caCerts: [authority.cert], cert, key },
  });
  await connection.write(new TextEncoder().encode(`GET ${path} HTTP/1.1\r\nHost: node\r\n${more}\r\n`));
  return connection;
}

const upgrade = "Connection: Upgrade\r\nUpgrade: voice\r\n";

async function readOn(connection: Deno.Conn, seen: { text: string }): Promise<void> {
  const buffer = new Uint8Array(1024);
  for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
    seen.text += new TextDecoder().decode(buffer.subarray(0, count));
  }
}

const administrator = { commonName: "admin", organizations: ["system:masters"] };
const options = { sanitizeOps: false, sanitizeResources: false };

Deno.test("the server's stop ends sessions, and answers that go on", options, async () => {
  const it = await served({ routes });
  using session = await ask(it, "/held", upgrade);
  using answer = await ask(it, "/held");
  const seen = [{ text: "" }, { text: "" }];
  const over = Promise.allSettled([readOn(session, seen[0]!), readOn(answer, seen[1]!)]);
  await until("both have begun", () => seen[0]!.text === opened && seen[1]!.text.includes("begun"));
  await it[Symbol.asyncDispose]();
  await over;
});

Deno.test(
  "a refusal without words is whole, and closes the connection as it should be closed",
  options,
  async () => {
    await using it = await served({ routes });
    using connection = await ask(it, "/wordless", upgrade);
    const seen = { text: "" };
    await readOn(connection, seen);
    assertMatch(
      seen.text,
      /^HTTP\/1\.1 403 Forbidden\r\n[^]*\r\nConnection: close\r\n[^]*\r\n\r\n0\r\n\r\n$/,
    );
    assertEquals((await it.ask("/wordless", { as: it.admin })).status, 200);
  },
);

Deno.test(
  "who also offers another protocol is answered piece by piece, and gone when it leaves",
  options,
  async () => {
    await using it = await served({ routes });
    const connection = await ask(it, "/going-on", upgrade);
    const seen = { text: "" };
    const read = readOn(connection, seen).catch(() => {});
    await until("it has begun", () => seen.text.includes("begun"));
    connection.close();
    await read;
  },
);

Deno.test("a session of an early connection outlives the time for introductions", options, async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const authority = await createAuthority();
  const { cert, key } = await authority.identity(administrator, "client");
  const accepted = listener.accept().then((raw) => earlyConnection(raw, "127.0.0.1"));
  const connecting = Deno.connectTls({
    ...{ hostname: "127.0.0.1", port: listener.addr.port, caCerts: [authority.cert], cert, key },
  });
  const introduction = 500;
  await using _it = await served({ authority, routes, early: [await accepted], limits: { introduction } });
  const session = await connecting;
  await session.write(new TextEncoder().encode(`GET /held HTTP/1.1\r\nHost: node\r\n${upgrade}\r\n`));
  const seen = { text: "" };
  let over = false;
  const read = readOn(session, seen).catch(() => {}).then(() => over = true);
  await until("it has begun", () => seen.text === opened);
  await new Promise((resolve) => setTimeout(resolve, 2 * introduction));
  assertEquals(over, false);
  session.close();
  await read;
});
