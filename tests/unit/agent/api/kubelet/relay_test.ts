/** The relay between two real sockets: a node:https server in front, a double of the runtime's streaming server behind. */
import type http from "node:http";
import https from "node:https";
import net from "node:net";
import type { Duplex } from "node:stream";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { relay } from "../../../../../agent/api/kubelet/relay.ts";
import { errorText } from "../../../../../agent/model/errors.ts";
import { createAuthority } from "../../../../fakes/cluster/authority.ts";
import { until } from "../../../../fakes/until.ts";

const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n";
const [bytes, text] = [
  (words: string) => new TextEncoder().encode(words),
  (octets: Uint8Array) => new TextDecoder().decode(octets),
];

/** All that comes until the other side ends, or `enough`. */
async function read(connection: Deno.Conn, enough = (_: string) => false): Promise<string> {
  let seen = "";
  const buffer = new Uint8Array(4096);
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) return seen;
    seen += text(buffer.subarray(0, count));
    if (enough(seen)) return seen;
  }
}

async function write(connection: Deno.Conn, octets: Uint8Array): Promise<void> {
  for (let sent = 0; sent < octets.length;) sent += await connection.write(octets.subarray(sent));
}

interface Stage extends AsyncDisposable {
  /** A client's connection that has sent its request. */
  ask(more?: string): Promise<Deno.TlsConn>;
  /** What each relay has come to. */
  outcomes: unknown[];
  /** Of requests, as the runtime has them. */
  heads: string[];
  abort(): void;
}

/** @param serve what the runtime does with a connection whose request it has read */
async function createStage(serve: (connection: Deno.Conn) => Promise<unknown>, idleMs = 0): Promise<Stage> {
  const [heads, outcomes, open] = [[] as string[], [] as unknown[], [] as Disposable[]];
  const runtime = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = (async () => {
    for await (const connection of runtime) {
      open.push(connection);
      heads.push(await read(connection, (seen) => seen.endsWith("\r\n\r\n")));
      serve(connection).catch(() => {});
    }
  })();
  const url = `http://127.0.0.1:${runtime.addr.port}/exec/token`;
  const authority = await createAuthority();
  const names = { ipAddresses: ["127.0.0.1"] };
  const identity = await authority.identity({ commonName: "node", organizations: [] }, "server", names);
  const stop = new AbortController();
  const front = https.createServer(identity);
  front.on("upgrade", (request: http.IncomingMessage, socket: Duplex, head: Uint8Array) => {
    socket.on("error", () => {});
    const { rawHeaders, method = "" } = request;
    relay({ socket, head, method, rawHeaders, url, idleMs, signal: stop.signal }).then(
      async (answer) => outcomes.push(answer === undefined ? "ended" : [answer.status, await answer.text()]),
      (error) => outcomes.push(errorText(error)),
    ).finally(() => socket.destroy());
  });
  await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
  const { port } = front.address() as net.AddressInfo;
  return {
    outcomes,
    heads,
    abort: () => stop.abort(),
    async ask(more = "") {
      const client = await Deno.connectTls({ hostname: "127.0.0.1", port, caCerts: [authority.cert] });
      open.push(client);
      const head = "POST /exec/default/web/app?command=sh&output=1 HTTP/1.1\r\nHost: node\r\n" +
        "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nAuthorization: Bearer secret\r\n" +
        "X-Stream-Protocol-Version: v4.channel.k8s.io\r\nX-Stream-Protocol-Version: v3.channel.k8s.io\r\n\r\n";
      await write(client, bytes(head + more));
      return client;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      runtime.close();
      await accepting;
      for (const one of open) one[Symbol.dispose]();
      front.closeAllConnections();
      await new Promise((done) => front.close(done));
    },
  };
}

// node:https keeps sockets a little beyond their end.
const options = { sanitizeOps: false, sanitizeResources: false };

Deno.test("octets go both ways, the request reaches the runtime without its secrets", options, async () => {
  await using stage = await createStage(async (connection) => {
    await write(connection, bytes(`${upgraded}first `));
    await write(connection, bytes(`heard ${await read(connection, (seen) => seen === "early")}`));
    await connection.closeWrite();
  });
  const client = await stage.ask("early");
  assertEquals(await read(client), `${upgraded}first heard early`);
  client.close();
  await until("the relay ends", () => stage.outcomes.length === 1);
  assertEquals(stage.outcomes, ["ended"]);
  const [head] = stage.heads;
  assertMatch(head!, /^POST \/exec\/token HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n/);
  assertMatch(head!, /X-Stream-Protocol-Version: v4.*\r\nX-Stream-Protocol-Version: v3/);
  assert(!head!.includes("secret"), head);
});

Deno.test(
  "an answer that is no agreement is handed back, and the connection is not the client's",
  options,
  async () => {
    let after: string | undefined;
    await using stage = await createStage(async (connection) => {
      const refused =
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nno, never";
      await write(connection, bytes(refused));
      after = await read(connection);
    });
    await stage.ask("GET /exec/other HTTP/1.1\r\n\r\n");
    await until("the runtime's side is closed", () => after !== undefined);
    assertEquals([stage.outcomes, after], [[[403, "no, never"]], ""]);
  },
);

Deno.test("a runtime that leaves without having heard all has still been heard", options, async () => {
  await using stage = await createStage(async (connection) => {
    await write(connection, bytes(`${upgraded}last words`));
    connection.close(); // with input that was not read: the connection is reset
  });
  const client = await stage.ask("x".repeat(100_000));
  assertEquals(await read(client), `${upgraded}last words`);
});

Deno.test("a runtime that is not there, or speaks something else", options, async () => {
  for (const words of ["", "SSH-2.0\r\n", "x".repeat(20_000)]) {
    await using stage = await createStage(async (connection) => {
      await write(connection, bytes(words));
      connection.close();
    });
    await stage.ask();
    await until("the relay fails", () => stage.outcomes.length === 1);
    assertMatch(String(stage.outcomes[0]), /^the runtime's streaming server does not speak HTTP as expected/);
  }
  const refuse = (url: string) =>
    relay({
      socket: new net.Socket(),
      head: new Uint8Array(),
      method: "POST",
      rawHeaders: [],
      url,
      idleMs: 0,
      signal: new AbortController().signal,
    }).then(() => "done", errorText);
  assertMatch(await refuse("http://127.0.0.1:1/x"), /streaming server at 127.0.0.1:1: .*REFUSED/);
  assertMatch(await refuse("https://127.0.0.1:1/x"), /streams over https:\/\/; expected http/);
});

for (const how of ["its client leaving", "its client's last word", "silence", "the agent's stop"]) {
  Deno.test(`the session ends by ${how}`, options, async () => {
    let over = false;
    await using stage = await createStage(async (connection) => {
      await write(connection, bytes(upgraded));
      await read(connection);
      over = true;
    }, how === "silence" ? 200 : 0);
    const client = await stage.ask();
    await read(client, (seen) => seen === upgraded);
    if (how === "its client leaving") client.close();
    if (how === "its client's last word") await client.closeWrite();
    if (how === "the agent's stop") stage.abort();
    await until("it has ended", () => over && stage.outcomes.length === 1);
    assertEquals(stage.outcomes, ["ended"]);
  });
}

Deno.test("a slow reader holds the runtime back, and gets all to the last octet", options, async () => {
  const size = 64 * 1024 * 1024;
  const block = new Uint8Array(64 * 1024).fill(7);
  let written = 0;
  await using stage = await createStage(async (connection) => {
    await write(connection, bytes(upgraded));
    for (; written < size; written += block.length) await write(connection, block);
    connection.close();
  });
  const client = await stage.ask();
  let before = -1;
  await until("the runtime is held back", async () => {
    const same = written === before;
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return same && written > 0;
  });
  // What the kernel holds for two connections on the loopback device.
  assert(written < size / 4, `${written} octets are somewhere between`);
  let got = 0;
  const buffer = new Uint8Array(64 * 1024);
  for (let count = await client.read(buffer); count !== null; count = await client.read(buffer)) got += count;
  assertEquals(got, size + upgraded.length);
});
