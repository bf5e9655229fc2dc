/** The network prober against servers that behave, and against such that do not. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { ProbeResult } from "../../../../agent/model/probe.ts";
import { createProber } from "../../../../plugins/probe/mod.ts";

const prober = createProber();
const never = new AbortController().signal;

const http = (url: string, timeoutMs = 2000, headers: { name: string; value: string }[] = []) =>
  prober.ask({ kind: "http", url, headers }, timeoutMs, never);

/** A server that says raw bytes to each connection, once it has been asked; it goes with the test. */
async function withRaw(
  speak: (conn: Deno.Conn) => Promise<void>,
  test: (url: string, port: number) => Promise<void>,
): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.Conn[] = [];
  const serve = (async () => {
    for await (const conn of listener) {
      conns.push(conn);
      conn.read(new Uint8Array(4096)).then(() => speak(conn)).catch(() => {});
    }
  })();
  try {
    await test(`http://127.0.0.1:${listener.addr.port}/`, listener.addr.port);
  } finally {
    listener.close();
    await serve.catch(() => {});
    for (const conn of conns) {
      try {
        conn.close();
      } catch {
        // The test has closed it.
      }
    }
  }
}

const write = (conn: Deno.Conn, text: string) => conn.write(new TextEncoder().encode(text)).then(() => {});

async function withServer(
  answer: (request: Request) => Response,
  test: (url: string) => Promise<void>,
  tls: { key: string; cert: string } | undefined = undefined,
): Promise<void> {
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const server = tls === undefined ? Deno.serve(options, answer) : Deno.serve({ ...options, ...tls }, answer);
  try {
    await test(`http${tls === undefined ? "" : "s"}://127.0.0.1:${server.addr.port}`);
  } finally {
    await server.shutdown();
  }
}

const status = (code: number, headers: Record<string, string> = {}) =>
  new Response(null, { status: code, headers });

Deno.test("200 to 399 are good, all else is not", () =>
  withServer((r) => status(Number(new URL(r.url).pathname.slice(1))), async (url) => {
    const outcome = async (code: number) => (await http(`${url}/${code}`)).outcome;
    assertEquals(await Promise.all([200, 204, 304, 399].map(outcome)), [
      "success",
      "success",
      "warning",
      "warning",
    ]);
    assertEquals(await http(`${url}/503`), {
      outcome: "failure",
      message: "HTTP probe failed with statuscode: 503",
    });
    assertEquals(await outcome(404), "failure");
  }));

Deno.test("headers of the manifest are sent, repeated ones too, and an empty one drops the prober's own", async () => {
  const seen: Headers[] = [];
  await withServer((r) => (seen.push(r.headers), status(200)), async (url) => {
    await http(url, 2000, [{ name: "Host", value: "shop.example" }, { name: "X-A", value: "1" }, {
      name: "X-A",
      value: "2",
    }]);
    await http(url, 2000, [{ name: "User-Agent", value: "" }]);
    const refused = await http(url, 2000, [{ name: "X", value: "a\r\nEvil: 1" }]);
    assertMatch(refused.message, /not a header that can be sent/);
  });
  assertEquals(seen.length, 2);
  assertEquals([seen[0]!.get("host"), seen[0]!.get("x-a")], ["shop.example", "1, 2"]);
  assertMatch(seen[0]!.get("user-agent")!, /^kube-probe\//);
  assertEquals(seen[1]!.get("user-agent"), null);
});

Deno.test("redirects are followed on the same host only, and not for ever", () =>
  withServer((r) => {
    const { pathname } = new URL(r.url);
    if (pathname === "/good") return status(200);
    if (pathname === "/bad") return status(500);
    if (pathname === "/away") return status(302, { location: "http://127.0.0.2:1/" });
    if (pathname === "/round") return status(302, { location: "/round" });
    if (pathname === "/to-bad") return status(307, { location: "/bad" });
    return status(301, { location: "/good" });
  }, async (url) => {
    assertEquals((await http(`${url}/`)).outcome, "success");
    assertEquals((await http(`${url}/to-bad`)).outcome, "failure");
    assertEquals((await http(`${url}/away`)).outcome, "warning");
    assertEquals(await http(`${url}/round`), { outcome: "failure", message: "stopped after 10 redirects" });
  }));

const certificate = async () => {
  const dir = await Deno.makeTempDir();
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const files = ["-keyout", `${dir}/key`, "-out", `${dir}/cert`, "-days", "2", "-subj", "/CN=nobody"];
  await new Deno.Command("openssl", { args: [...args, ...files], stderr: "null" }).output();
  const [key, cert] = await Promise.all([Deno.readTextFile(`${dir}/key`), Deno.readTextFile(`${dir}/cert`)]);
  await Deno.remove(dir, { recursive: true });
  return { key, cert };
};

Deno.test("HTTPS, whoever has signed the certificate", async () => {
  await withServer(() => status(200), async (url) => {
    assertEquals((await http(url)).outcome, "success");
  }, await certificate());
  await withRaw((conn) => write(conn, "HTTP/1.1 200 OK\r\n\r\n"), async (_url, port) => {
    assertEquals((await http(`https://127.0.0.1:${port}/`)).outcome, "failure");
  });
});

Deno.test("a server that is silent, slow, or stops in the middle is a failure in time", async () => {
  const speeches: Record<string, (conn: Deno.Conn) => Promise<void>> = {
    silent: () => Promise.resolve(),
    "half a head": (conn) => write(conn, "HTTP/1.1 200 OK\r\nX: "),
    "half a body": (conn) => write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"),
  };
  for (const [what, speak] of Object.entries(speeches)) {
    await withRaw(speak, async (url, port) => {
      const began = performance.now();
      const result = await http(url, 150);
      assertEquals(result, { outcome: "failure", message: `Get "${url}": no answer within 0.15s` }, what);
      assert(performance.now() - began < 1000);
      const tls = await http(`https://127.0.0.1:${port}/`, 150);
      assertEquals(tls.outcome, "failure");
    });
  }
});

Deno.test("answers that are none are failures", async () => {
  const answers: Record<string, RegExp> = {
    "SSH-2.0-OpenSSH\r\n": /malformed HTTP response/,
    "HTTP/1.1 abc\r\n\r\n": /malformed HTTP status line "HTTP\/1.1 abc"/,
    "HTTP/1.1 200 OK\r\nX": /unexpected EOF/,
    "": /EOF/,
  };
  for (const [text, expected] of Object.entries(answers)) {
    const speak = async (conn: Deno.Conn) => {
      if (text !== "") await write(conn, text);
      conn.close();
    };
    await withRaw(speak, async (url) => {
      const result = await http(url);
      assertEquals(result.outcome, "failure", text);
      assertMatch(result.message, expected);
    });
  }
  await withRaw((conn) => write(conn, "HTTP/1.1 200 OK\r\nX: " + "y".repeat(100_000)), async (url) => {
    assertMatch((await http(url)).message, /headers are longer than/);
  });
});

Deno.test("interim answers are passed over, chunked and endless bodies are left in time", async () => {
  const fine: Record<string, string> = {
    interim: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    chunked: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    bare: "HTTP/1.0 200 OK\nContent-Length: 2\n\nhi",
  };
  for (const [what, text] of Object.entries(fine)) {
    await withRaw((conn) => write(conn, text), async (url) => {
      assertEquals((await http(url)).outcome, "success", what);
    });
  }
  let sent = 0;
  const flood = async (conn: Deno.Conn) => {
    await write(conn, "HTTP/1.1 200 OK\r\n\r\n");
    const block = new Uint8Array(64 * 1024);
    for (;;) sent += await conn.write(block);
  };
  await withRaw(flood, async (url) => assertEquals((await http(url, 5000)).outcome, "success"));
  assert(sent < 64 * 2 ** 20, `${sent} bytes were taken`);
});

Deno.test("a TCP probe asks whether somebody listens", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const ask = (): Promise<ProbeResult> => prober.ask({ kind: "tcp", host: "127.0.0.1", port }, 1000, never);
  assertEquals((await ask()).outcome, "success");
  listener.close();
  const refused = await ask();
  assertEquals(refused.outcome, "failure");
  assertMatch(refused.message, /dial tcp 127\.0\.0\.1:\d+: .*refused/i);
});

Deno.test("who gives up the question gets no answer", () =>
  withRaw(() => Promise.resolve(), async (url) => {
    const stop = new AbortController();
    const asked = prober.ask({ kind: "http", url, headers: [] }, 60_000, stop.signal);
    setTimeout(() => stop.abort(), 20);
    await assertRejects(() => asked, DOMException);
  }));
