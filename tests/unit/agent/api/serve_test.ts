import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHealthApi } from "../../../../agent/api/health.ts";
import { formatResponse, maxHead, parseRequestHead } from "../../../../agent/api/http_head.ts";
import { serveApi, type ServeOptions } from "../../../../agent/api/serve.ts";
import { AgentError, type Problem } from "../../../../agent/model/errors.ts";

interface Stage extends AsyncDisposable {
  socket: string;
  serve(options?: Partial<ServeOptions>): ReturnType<typeof serveApi>;
  /** The newest report, once there is one. */
  reported(): Promise<Problem[]>;
}

async function createStage(): Promise<Stage> {
  const directory = await Deno.makeTempDir({ prefix: "agent-serve-" });
  const socket = `${directory}/run/agent.sock`;
  const ends = new AbortController();
  const finished: Promise<void>[] = [];
  let report = Promise.withResolvers<Problem[]>();
  return {
    socket,
    async serve(options = {}) {
      const serving = await serveApi({
        socket,
        app: { fetch: (request) => new Response(new URL(request.url).pathname) },
        health: createHealthApi({ ready: () => ({ ok: false, reasons: ["a secret reason"] }) }),
        report: (problems) => report.resolve(problems),
        signal: ends.signal,
        ...options,
      });
      finished.push(serving.finished);
      return serving;
    },
    async reported() {
      const problems = await report.promise;
      report = Promise.withResolvers<Problem[]>();
      return problems;
    },
    async [Symbol.asyncDispose]() {
      ends.abort();
      await Promise.all(finished);
      await Deno.remove(directory, { recursive: true });
    },
  };
}

async function ask(socket: string, path: string): Promise<string> {
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  try {
    return await (await fetch(`http://localhost${path}`, { client })).text();
  } finally {
    client.close();
  }
}

Deno.test("the socket is private, answers, and is gone when the agent leaves", async () => {
  const ends = new AbortController();
  await using stage = await createStage();
  const serving = await stage.serve({ signal: ends.signal });
  const found = await Deno.lstat(stage.socket);
  assert(found.isSocket);
  assertEquals(found.mode! & 0o777, 0o600);
  assertEquals(await ask(stage.socket, "/pods"), "/pods");
  ends.abort();
  await serving.finished;
  await assertRejects(() => Deno.lstat(stage.socket), Deno.errors.NotFound);
});

Deno.test("a client may ask hundreds of times; when it then sits idle the agent leaves at once", async () => {
  await using stage = await createStage();
  const ends = new AbortController();
  const { finished } = await stage.serve({ signal: ends.signal });
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: stage.socket } });
  const idle = await Deno.connect({ transport: "unix", path: stage.socket });
  const begin = performance.now();
  for (let i = 0; i < 200; i++) await (await fetch("http://localhost/x", { client })).text();
  const asked = performance.now();
  assert(asked - begin < 4000, `took ${asked - begin} ms: a stalled connection costs 5 s`);
  ends.abort();
  await finished;
  assert(performance.now() - asked < 1500, "an idle client holds up the end");
  client.close();
  idle.close();
});

Deno.test("a living agent's socket is refused, and goes on answering", async () => {
  await using stage = await createStage();
  await stage.serve();
  const error = await assertRejects(() => stage.serve(), AgentError, "another agent");
  assertEquals(error.retry, false);
  assertEquals(await ask(stage.socket, "/still"), "/still");
});

Deno.test("a dead agent's socket is taken over", async () => {
  await using stage = await createStage();
  await Deno.mkdir(stage.socket.replace(/\/[^/]*$/, ""));
  // A process that is killed leaves its socket; closing a listener here would remove it.
  const dies = `Deno.listen({ transport: "unix", path: ${
    JSON.stringify(stage.socket)
  } }); Deno.kill(Deno.pid, "SIGKILL");`;
  await new Deno.Command(Deno.execPath(), { args: ["eval", dies], stderr: "null" }).output();
  assert((await Deno.lstat(stage.socket)).isSocket);
  await stage.serve();
  assertEquals(await ask(stage.socket, "/new"), "/new");
});

Deno.test("a file that is no socket stays", async () => {
  await using stage = await createStage();
  await Deno.mkdir(stage.socket.replace(/\/[^/]*$/, ""));
  await Deno.writeTextFile(stage.socket, "precious");
  await assertRejects(() => stage.serve(), AgentError, "not a socket");
  assertEquals(await Deno.readTextFile(stage.socket), "precious");
  await assertRejects(() => stage.serve({ socket: "/tmp/" + "x".repeat(120) }), AgentError, "longer than");
});

async function raw(port: number, request: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(request));
  return await new Response(connection.readable).text();
}

const loopback = { address: "127.0.0.1", port: 0 };

Deno.test("over TCP there is health, and neither pods nor reasons", async () => {
  await using stage = await createStage();
  const serving = await stage.serve({ healthz: loopback });
  assertEquals(await stage.reported(), []);
  const url = `http://127.0.0.1:${serving.healthzPort()}`;
  const get = async (path: string) => {
    const response = await fetch(url + path);
    return [response.status, await response.text()] as const;
  };
  assertEquals(await get("/healthz"), [200, "ok"]);
  assertEquals(await get("/livez?verbose"), [200, "ok"]);
  assertEquals(await get("/readyz?verbose"), [503, "not ok"]);
  for (
    const path of [
      "/pods",
      "/exec/default/web/app?command=id&output=1",
      "/metrics",
      "/config",
      "/healthz/../pods",
      "//pods",
      "/",
    ]
  ) {
    assertEquals((await get(path))[0], 404, path);
  }
  const post = await fetch(`${url}/healthz`, { method: "POST", body: "x" });
  assertEquals([post.status, await post.text()], [405, "only GET here\n"]);
  const head = await raw(serving.healthzPort()!, "HEAD /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
  assert(head.startsWith("HTTP/1.1 200 OK\r\n") && head.endsWith("\r\n\r\n"));
  for (
    const request of [
      "nonsense\r\n\r\n",
      `GET /${"x".repeat(maxHead)} HTTP/1.1\r\n\r\n`,
      "GET http://[ HTTP/1.1\r\n\r\n",
    ]
  ) {
    assert((await raw(serving.healthzPort()!, request)).startsWith("HTTP/1.1 400 "), request.slice(0, 20));
  }
});

Deno.test("connections that say nothing do not keep others out for ever, and end with the agent", async () => {
  await using stage = await createStage();
  const serving = await stage.serve({ healthz: loopback });
  await stage.reported();
  const idle = await Promise.all(
    Array.from({ length: 40 }, () => Deno.connect({ hostname: "127.0.0.1", port: serving.healthzPort()! })),
  );
  assertEquals(await (await fetch(`http://127.0.0.1:${serving.healthzPort()}/healthz`)).text(), "ok");
  for (const connection of idle) connection.close();
});

Deno.test("a taken port is reported and does not stop the agent", async () => {
  await using stage = await createStage();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const serving = await stage.serve({ healthz: { address: "127.0.0.1", port } });
  const [problem] = await stage.reported();
  assertEquals([problem!.severity, problem!.field], ["warning", "healthzPort"]);
  assert(problem!.message.startsWith(`127.0.0.1:${port} is in use by another program`));
  assertEquals(serving.healthzPort(), undefined);
  assertEquals(await ask(stage.socket, "/pods"), "/pods");
});

Deno.test("request heads: whole, growing, and nonsense", () => {
  const parse = (text: string) => parseRequestHead(new TextEncoder().encode(text));
  assertEquals(parse("GET /a?b HTTP/1.1\r\nx: y\r\n\r\n"), { method: "GET", target: "/a?b" });
  assertEquals(parse("GET /a HTTP/1.0\n\n"), { method: "GET", target: "/a" });
  assertEquals(parse("GET /a HTTP/1.1\r\n"), "more");
  for (
    const text of [
      "\r\n\r\n",
      "GET\r\n\r\n",
      "GET a HTTP/1.1\r\n\r\n",
      "get /a HTTP/1.1\r\n\r\n",
      "GET /\u0001 HTTP/1.1\r\n\r\n",
    ]
  ) {
    assertEquals(parse(text), undefined, JSON.stringify(text));
  }
  assertEquals(parse("x".repeat(maxHead)), undefined);
  const response = new TextDecoder().decode(formatResponse(200, "text/plain", "é"));
  assert(response.includes("\r\ncontent-length: 2\r\n") && response.endsWith("\r\n\r\né"));
});
