/** The kubelet's API over real TLS: who is let in, what is answered. Attacks are in attacks_test.ts. */
import { assertEquals, assertRejects } from "@std/assert";
import { createAuthority } from "../../../../fakes/cluster/authority.ts";
import https from "node:https";
import type { Route } from "../../../../../agent/api/kubelet/routes.ts";
import { text } from "../../../../../agent/api/kubelet/routes.ts";
import { type Served, served } from "./serving.ts";

const said = ({ status, body }: { status: number; body: string }) => [status, body];

Deno.test("only who has shown a certificate of the trusted authority, and may, is answered", async () => {
  await using it = await served();
  const { authority, admin, ask } = it;
  const foreign = await createAuthority("another");
  const masters = { commonName: "admin", organizations: ["system:masters"] };
  const bob = { commonName: "bob", organizations: ["dev"] };
  assertEquals(said(await ask("/hello", { as: admin })), [200, "hello admin"]);
  assertEquals(said(await ask("/hello")), [401, "Unauthorized"]);
  const wrong = await foreign.identity(masters, "client");
  assertEquals(said(await ask("/hello", { as: wrong })), [401, "Unauthorized"], "another authority's");
  const past = { notBefore: Date.now() - 7_200_000, notAfter: Date.now() - 3_600_000 };
  assertEquals((await ask("/hello", { as: await authority.identity(masters, "client", past) })).status, 401);
  const server = await authority.identity(masters, "server");
  assertEquals((await ask("/hello", { as: server })).status, 401, "a certificate for servers");
  assertEquals(said(await ask("/hello", { as: await authority.identity(bob, "client") })), [
    403,
    "Forbidden (user=bob, verb=get, resource=nodes, subresource(s)=[proxy])\n",
  ]);
});

Deno.test("what is not there, and methods that are not for it, are told only to who may ask", async () => {
  await using it = await served();
  const { admin, ask } = it;
  assertEquals((await ask("/nothing", { as: admin })).status, 404);
  const { status, headers } = await ask("/hello", { as: admin, method: "DELETE" });
  assertEquals([status, headers["allow"]], [405, "GET"]);
  assertEquals((await ask("/nothing")).status, 401);
  assertEquals(said(await ask("/hello", { as: admin, method: "HEAD" })), [200, ""]);
  assertEquals((await ask("/%zz", { as: admin })).status, 400);
});

Deno.test("a new certificate, and a new authority of clients, are for connections made from then on", async () => {
  await using it = await served();
  const { authority, admin, ask, server } = it;
  assertEquals((await ask("/hello", { as: admin })).server, "node");
  const next = await createAuthority("next");
  const identity = await authority.identity({ commonName: "renewed", organizations: [] }, "server", {
    ipAddresses: ["127.0.0.1"],
  });
  server.renew({ ...identity, clientCA: next.cert });
  const after = await ask("/hello", { as: admin });
  assertEquals([after.server, after.status], ["renewed", 401]);
  const other = await next.identity({ commonName: "admin", organizations: ["system:masters"] }, "client");
  assertEquals((await ask("/hello", { as: other })).status, 200);
});

/** Gives back what comes, in capitals. */
const shout: Route = {
  methods: ["POST"],
  path: "/shout/:how",
  answer: () => text(400, "expected an upgrade"),
  upgrade({ params, rawHeaders }, { socket, head }) {
    if (params["how"] === "not") return Promise.resolve(text(404, "no such voice"));
    assertEquals(rawHeaders.includes("Upgrade"), true);
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: voice\r\n\r\n");
    const say = (bytes: Uint8Array) => socket.write(new TextDecoder().decode(bytes).toUpperCase());
    if (head.length > 0) say(head);
    socket.on("data", say);
    socket.on("end", () => socket.end("BYE"));
    return Promise.resolve(undefined);
  },
};

/** The status, and what was said until the end. */
function voice(
  { server, authority, admin }: Served,
  path: string,
  trusted = true,
): Promise<[number, string]> {
  const { promise, resolve, reject } = Promise.withResolvers<[number, string]>();
  const decoder = new TextDecoder();
  const request = https.request({
    host: "127.0.0.1",
    port: server.port,
    path,
    method: "POST",
    agent: false,
    ca: authority.cert,
    ...(trusted ? { cert: admin.cert, key: admin.key } : {}),
    headers: { Connection: "Upgrade", Upgrade: "voice" },
  });
  let heard = "";
  request.on("upgrade", (response, socket) => {
    socket.on("data", (bytes: Uint8Array) => heard += decoder.decode(bytes));
    socket.on("end", () => resolve([response.statusCode ?? 0, heard]));
    socket.write("hello ");
    socket.end("you ");
  });
  request.on("response", (response) => {
    response.on("data", (bytes: Uint8Array) => heard += decoder.decode(bytes));
    response.on("end", () => resolve([response.statusCode ?? 0, heard]));
  });
  request.on("error", reject);
  request.end();
  return promise;
}

Deno.test("a connection that changes its protocol is the route's, with all that was sent, or refused in HTTP", async () => {
  await using it = await served({ routes: [shout] });
  assertEquals(await voice(it, "/shout/loud"), [101, "HELLO YOU BYE"]);
  assertEquals(await voice(it, "/shout/not"), [404, "no such voice"]);
  assertEquals(await voice(it, "/elsewhere"), [404, "404: Page Not Found"]);
  assertEquals(await voice(it, "/shout/loud", false), [401, "Unauthorized"]);
  assertEquals((await it.ask("/shout/loud", { as: it.admin, method: "POST" })).status, 400);
});

Deno.test("an answer of nothing ends, as do pauses in one that has something to say", async () => {
  const pieces = (...texts: string[]) =>
    new Response(ReadableStream.from(texts.map((t) => new TextEncoder().encode(t))));
  const route = (path: string, ...texts: string[]): Route => ({
    methods: ["GET"],
    path,
    answer: () => pieces(...texts),
  });
  await using it = await served({
    routes: [route("/none"), route("/empty", ""), route("/some", "a", "", "b", "")],
  });
  const bodies = ["/none", "/empty", "/some"].map(async (path) =>
    (await it.ask(path, { as: it.admin })).body
  );
  assertEquals(await Promise.all(bodies), ["", "", "ab"]);
});

Deno.test("requests are counted by the kubelet's groups of paths; what is not there is other", async () => {
  const counted: string[] = [];
  await using it = await served({ answered: (method, path) => counted.push(`${method} ${path}`) });
  for (const path of ["/hello", "/hello/more", "/x?y=/hello"]) await it.ask(path, { as: it.admin });
  await it.ask("/hello", { method: "BREW" }).catch(() => {});
  assertEquals(counted.slice(0, 3), ["GET hello", "GET hello", "GET other"]);
});

Deno.test("versions of TLS below the configured one are refused", async () => {
  await using modern = await served({ minVersion: "TLSv1.3" });
  const old = { as: modern.admin, maxVersion: "TLSv1.2" } as const;
  await assertRejects(() => modern.ask("/hello", old));
  assertEquals((await modern.ask("/hello", { as: modern.admin })).status, 200);
});
