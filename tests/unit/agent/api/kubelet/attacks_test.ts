/** What strangers can do to the kubelet's port: nothing that keeps others from being answered. */
import { assert, assertEquals } from "@std/assert";
import net from "node:net";
import tls from "node:tls";
import { limits } from "../../../../../agent/api/kubelet/strangers.ts";
import { createLog } from "../../../../../agent/lib/log.ts";
import { hello, served } from "./serving.ts";

const unreachable = new Promise<never>(() => {});

/** Resolves when the other side has closed it. */
function closed(socket: net.Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("error", () => {});
  socket.on("close", () => resolve());
  // The end is told only to who reads.
  socket.resume();
  return promise;
}

async function connected(port: number): Promise<{ socket: net.Socket; closed: Promise<void> }> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = net.connect(port, "127.0.0.1", resolve);
  const end = closed(socket);
  await Promise.race([promise, end]);
  return { socket, closed: end };
}

Deno.test("who says nothing, and who speaks no TLS, is closed; others are answered meanwhile", async () => {
  await using it = await served({ limits: { handshake: 300 } });
  const silent = await connected(it.server.port);
  const plain = await connected(it.server.port);
  plain.socket.write("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n");
  assertEquals((await it.ask("/hello", { as: it.admin })).status, 200);
  await Promise.all([silent.closed, plain.closed]);
});

/** A TLS connection that goes on to say something each 20 ms. */
function trickling(port: number, ca: string, words: string): { closed: Promise<void>; end(): void } {
  const socket = tls.connect(
    { port, host: "127.0.0.1", ca },
    () => socket.write("GET /hello HTTP/1.1\r\nhost: x\r\n"),
  );
  const timer = setInterval(() => socket.writable && socket.write(words), 20);
  const done = closed(socket);
  return {
    closed: done.finally(() => clearInterval(timer)),
    end: () => socket.destroy(),
  };
}

Deno.test("a request's head that never ends, or is too large, ends the connection", async () => {
  await using it = await served({ limits: { headTime: 300 } });
  const slow = trickling(it.server.port, it.authority.cert, "a: b\r\n");
  const large = trickling(it.server.port, it.authority.cert, `b: ${"x".repeat(limits.head / 2)}\r\n`);
  await Promise.all([slow.closed, large.closed]);
  const headers = { "x-long": "x".repeat(limits.head + 1) };
  const refused = await it.ask("/hello", { as: it.admin, headers }).then(() => false, () => true);
  assert(refused, "a head that is too large was read");
  assertEquals((await it.ask("/hello", { as: it.admin })).status, 200);
});

Deno.test("a stranger that is never introduced is closed in the end, one that is known stays", async () => {
  await using it = await served({ limits: { introduction: 400 } });
  const known = tls.connect({
    ...{ port: it.server.port, host: "127.0.0.1", ca: it.authority.cert },
    ...{ cert: it.admin.cert, key: it.admin.key },
  });
  const ended = closed(known);
  const answers: Promise<string>[] = [];
  const answer = () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    known.once("data", (bytes: Uint8Array) => resolve(new TextDecoder().decode(bytes)));
    known.write("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n");
    answers.push(promise);
    return promise;
  };
  assert((await answer()).startsWith("HTTP/1.1 200"));
  const stranger = tls.connect({ port: it.server.port, host: "127.0.0.1", ca: it.authority.cert });
  await closed(stranger);
  assert((await Promise.race([answer(), ended.then(() => "closed")])).startsWith("HTTP/1.1 200"));
  known.destroy();
  await Promise.race([ended, unreachable]);
});

Deno.test("hundreds of connections of strangers keep nobody else out, and only a few of them are held", async () => {
  await using it = await served();
  const many = await Promise.all(Array.from({ length: 400 }, () => connected(it.server.port)));
  assertEquals((await it.ask("/hello", { as: it.admin })).status, 200);
  let open = many.length;
  for (const one of many) void one.closed.then(() => open--);
  await Promise.all(many.slice(0, many.length - limits.strangersOfOne).map((one) => one.closed));
  assert(open <= limits.strangersOfOne, `${open} are held`);
  for (const { socket } of many) socket.destroy();
  await Promise.all(many.map((one) => one.closed));
});

Deno.test("a stranger that goes on asking before it is answered is closed; who is known may", async () => {
  const review = Promise.withResolvers<undefined>();
  let reviews = 0;
  const reviewToken = () => {
    reviews++;
    return review.promise;
  };
  await using it = await served({ control: { reviewToken } });
  const ask = (credentials: tls.ConnectionOptions) =>
    tls.connect({ port: it.server.port, host: "127.0.0.1", ca: it.authority.cert, ...credentials });
  const stranger = ask({});
  const end = closed(stranger);
  stranger.write("GET /hello HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\n\r\n".repeat(1000));
  await end;
  assertEquals(reviews, 1);
  review.resolve(undefined);
  const known = ask({ cert: it.admin.cert, key: it.admin.key });
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  let heard = "";
  known.on("data", (bytes: Uint8Array) => {
    heard += new TextDecoder().decode(bytes);
    if (heard.split("hello admin").length === 4) resolve();
  });
  const request = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
  known.write(request);
  known.once("data", () => known.write(request.repeat(2)));
  await answered;
  const gone = closed(known);
  known.destroy();
  await gone;
});

Deno.test("where tokens are not believed they are not read: an open port answers who sends one", async () => {
  await using open = await served({ control: { anonymous: true, allows: () => Promise.resolve(true) } });
  const headers = { authorization: "Bearer x" };
  assertEquals((await open.ask("/hello", { headers })).body, "hello system:anonymous");
  const reviewToken = () => Promise.resolve(undefined);
  await using wary = await served({
    control: { anonymous: true, allows: () => Promise.resolve(true), reviewToken },
  });
  assertEquals((await wary.ask("/hello", { headers })).status, 401);
  assertEquals((await wary.ask("/hello")).body, "hello system:anonymous");
});

Deno.test("what went wrong is logged without the query, which may hold a command's words", async () => {
  const lines: string[] = [];
  const log = createLog({ write: (line) => lines.push(line), format: "text", verbosity: 9, now: () => 0 });
  const broken = { ...hello, answer: () => Promise.reject(new Error("broken")) };
  await using it = await served({ routes: [broken], log });
  assertEquals((await it.ask("/hello?command=hunter2", { as: it.admin })).status, 500);
  assertEquals([lines.length, lines.join("").includes("hunter2")], [1, false]);
});
