/** How requests share connections to a server that speaks HTTP/2. */
import { assertEquals } from "@std/assert";
import { createApi } from "../../../../../agent/cluster/client/api.ts";
import { createConnection } from "../../../../../agent/cluster/client/client.ts";
import { createAuthority } from "../../../../fakes/cluster/authority.ts";
import { until } from "../../../../fakes/until.ts";
import { fixed, never } from "../connected.ts";

/** Answers at once, but for watches, which last. */
async function startServer() {
  const authority = await createAuthority();
  const identity = await authority.identity({ commonName: "server", organizations: [] }, "server", {
    ipAddresses: ["127.0.0.1"],
  });
  /** How many watches each connection carries, by the client's port. */
  const watches = new Map<number, number>();
  const count = (port: number, by: number) => watches.set(port, (watches.get(port) ?? 0) + by);
  const listening = { hostname: "127.0.0.1", port: 0, ...identity, onListen: () => {} };
  const server = Deno.serve(listening, (request, { remoteAddr: { port } }) => {
    if (!request.url.includes("watch=true")) return Response.json({ kind: "Answer" });
    count(port, 1);
    const lasting = new ReadableStream<Uint8Array>({
      start: (stream) => stream.enqueue(new TextEncoder().encode("{}\n")),
      cancel: () => void count(port, -1),
    });
    return new Response(lasting);
  });
  return {
    url: `https://127.0.0.1:${server.addr.port}`,
    ca: authority.cert,
    watches,
    stop: () => server.shutdown(),
  };
}

Deno.test("more watches stand than one connection takes, and requests beside them are answered", async () => {
  const server = await startServer();
  const api = createApi({
    connection: createConnection({ server: server.url, ca: server.ca }),
    credentials: fixed({}),
  });
  const leaving = new AbortController();
  let events = 0;
  const watches = Array.from(
    { length: 230 },
    (_, i) => api.watch({ path: `/w/${i}`, signal: leaving.signal }, () => events++),
  );
  await until("all watches stand", () => events === 230);
  assertEquals([...server.watches.values()].sort(), [30, 50, 50, 50, 50]);
  const ask = () => api.ask({ path: "/a", signal: never() });
  const answers = await Promise.all(Array.from({ length: 120 }, ask));
  assertEquals(answers.every((answer) => (answer as { kind: string }).kind === "Answer"), true);
  assertEquals(events, 230, "no watch was broken");
  leaving.abort();
  await Promise.all(watches);
  await until("no watch is left", () => [...server.watches.values()].every((n) => n === 0));
  assertEquals(await ask(), { kind: "Answer" });
  api.close();
  await server.stop();
});
