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

Deno.test("httpHeaders are sent, repeated ones too; Host and User-Agent stand instead of the prober's own", async () => {
  const seen: Headers[] = [];
  const ask = async (url: string, ...headers: [string, string][]) => {
    const result = await http(url, 2000, headers.map(([name, value]) => ({ name, value })));
    return result.outcome === "success" ? seen.at(-1)! : result.message;
  };
  await withServer((r) => (seen.push(r.headers), status(200)), async (url) => {
    const plain = await ask(url) as Headers;
    assertEquals([plain.get("host"), plain.get("accept"), plain.get("connection")], [
      new URL(url).host,
      "*/*",
      "close",
    ]);
    assertMatch(plain.get("user-agent")!, /^kube-probe\/1\.\d+$/);
    const given = await ask(
      url,
      ["host", "shop.example"],
      ["Host", "second"],
      ["X-A", "1"],
      ["X-A", "2"],
      [
        "user-agent",
        "mine",
      ],
      ["Accept", "text/plain"],
      ["X-Empty", ""],
      ["Content-Length", "5"],
    ) as Headers;
    const names = ["host", "x-a", "user-agent", "accept", "x-empty", "content-length"];
    assertEquals(names.map((name) => given.get(name)), [
      "shop.example",
      "1, 2",
      "mine",
      "text/plain",
      "",
      null,
    ]);
    const empty = await ask(url, ["User-Agent", ""], ["Accept", ""], ["Host", ""]) as Headers;
    assertEquals(["user-agent", "accept", "host"].map((name) => empty.get(name)), [
      null,
      null,
      new URL(url).host,
    ]);
    assertMatch(await ask(url, ["X", "a\r\nEvil: 1"]) as string, /not a header that can be sent/);
  });
});

Deno.test("redirects are followed on the same host only, at most ten requests, with Host where they are relative", () => {
  const hosts: string[] = [];
  return withServer((r) => {
    const { pathname, origin } = new URL(r.url);
    const to = (location: string, code = 302) => status(code, { location });
    hosts.push(r.headers.get("host")!);
    if (pathname === "/good") return status(200);
    if (pathname === "/bad") return status(500);
    if (pathname === "/away") return to("http://127.0.0.2:1/");
    if (pathname === "/round") return to("/round");
    if (pathname === "/to-bad") return to("/bad", 307);
    if (pathname === "/nowhere") return status(302);
    if (pathname === "/wrong") return to("http://[/");
    if (pathname === "/ftp") return to("ftp://127.0.0.1/");
    if (pathname === "/absolute") return to(`${origin.replace("shop.example", "127.0.0.1")}/good`);
    if (/^\/\d+$/.test(pathname)) return to(`/${Number(pathname.slice(1)) - 1}`.replace("/0", "/good"));
    return to("/good", 301);
  }, async (url) => {
    const outcomes = ["/", "/to-bad", "/away", "/nowhere", "/wrong", "/ftp", "/9", "/10"].map(async (path) =>
      (await http(url + path)).outcome
    );
    assertEquals(await Promise.all(outcomes), [
      "success",
      "failure",
      "warning",
      "warning",
      "failure",
      "failure",
      "success",
      "failure",
    ]);
    assertEquals(await http(`${url}/round`), { outcome: "failure", message: "stopped after 10 redirects" });
    hosts.length = 0;
    const { port, host } = new URL(url);
    const named = [{ name: "Host", value: `shop.example:${port}` }];
    await http(`${url}/`, 2000, named);
    await http(`${url}/absolute`, 2000, named);
    assertEquals(hosts, [named[0]!.value, named[0]!.value, named[0]!.value, host]);
  });
});

Deno.test("a redirect away from the host is told with the beginning of its body, in one piece or in chunks", () => {
  const moved = '<a href="http://192.0.2.1/">Schön</a>';
  const chunks = (text: string) => ReadableStream.from([text.slice(0, 9), text.slice(9)]);
  const headers = { location: "http://192.0.2.1/" };
  return withServer((r) => {
    const body = r.url.endsWith("/long") ? "x".repeat(100_000) : moved;
    if (!r.url.endsWith("/chunks")) return new Response(body, { status: 302, headers });
    return new Response(chunks(body).pipeThrough(new TextEncoderStream()), { status: 302, headers });
  }, async (url) => {
    const message = `Probe terminated redirects, Response body: ${moved}`;
    assertEquals(await http(`${url}/`), { outcome: "warning", message });
    assertEquals(await http(`${url}/chunks`), { outcome: "warning", message });
    const long = await http(`${url}/long`) as { message: string };
    assertEquals(long.message.length < 11_000, true);
  });
});

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

Deno.test("pods with IPv6 addresses are asked by HTTP and TCP", async () => {
  const server = Deno.serve({ hostname: "::1", port: 0, onListen() {} }, () => status(200));
  const { port } = server.addr;
  assertEquals((await http(`http://[::1]:${port}/`)).outcome, "success");
  const tcp = (port: number) => prober.ask({ kind: "tcp", host: "::1", port }, 1000, never);
  assertEquals((await tcp(port)).outcome, "success");
  await server.shutdown();
  assertMatch((await tcp(port)).message, /^dial tcp \[::1\]:\d+: .*refused/i);
});

Deno.test("who gives up the question gets no answer", () =>
  withRaw(() => Promise.resolve(), async (url) => {
    const stop = new AbortController();
    const asked = prober.ask({ kind: "http", url, headers: [] }, 60_000, stop.signal);
    setTimeout(() => stop.abort(), 20);
    await assertRejects(() => asked, DOMException);
  }));
