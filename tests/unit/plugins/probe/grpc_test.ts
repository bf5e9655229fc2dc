/** Probes of kind grpc against grpc-js's server, and against what is none. */
import * as grpc from "@grpc/grpc-js";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createProber } from "../../../../plugins/probe/mod.ts";
import { startHealthServer } from "../../../fakes/grpc_health.ts";

const prober = createProber();
const never = new AbortController().signal;
const ask = (port: number, service = "", timeoutMs = 2000, host = "127.0.0.1") =>
  prober.ask({ kind: "grpc", host, port, service }, timeoutMs, never);

/** Answers by the name of the service that is asked for: `slow` never, a number with this status. */
const answer = (service: string) => {
  if (service === "lost") return { code: grpc.status.NOT_FOUND, details: "unknown service" };
  return service === "slow" ? undefined : Number(service || 1);
};

async function withHealth(
  test: (port: number, seen: grpc.Metadata[]) => Promise<void>,
  host?: string,
  path?: string,
): Promise<void> {
  const server = await startHealthServer(answer, host, path);
  try {
    await test(server.port, server.seen);
  } finally {
    server.stop();
  }
}

/** The node side of grpc-js keeps timers and sockets beyond a test. */
const test = (name: string, run: () => Promise<void>) =>
  Deno.test({ name, fn: run, sanitizeOps: false, sanitizeResources: false });

test("a grpc probe succeeds with SERVING only, and names the service", () =>
  withHealth(async (port, seen) => {
    assertEquals(await ask(port), { outcome: "success", message: "service healthy" });
    const told = async (service: string) => (await ask(port, service)).message;
    assertEquals(await told("2"), 'service unhealthy (responded with "NOT_SERVING")');
    assertEquals(await told("0"), 'service unhealthy (responded with "UNKNOWN")');
    assertEquals(await told("3"), 'service unhealthy (responded with "SERVICE_UNKNOWN")');
    assertEquals(await told("7"), 'service unhealthy (responded with "7")');
    assertEquals(
      await told("lost"),
      "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service",
    );
    assertMatch(String(seen[0]?.get("user-agent")), /^kube-probe\/1\.\d+$/);
  }));

test("a grpc probe of a server without the health protocol, or of one that is slow, is a failure", async () => {
  await withHealth(
    async (port) => {
      const result = await ask(port);
      assertEquals(result.outcome, "failure");
      assertMatch(
        result.message,
        /^error: this server does not implement the grpc health protocol \(grpc\.health\.v1\.Health\): ./,
      );
    },
    "127.0.0.1",
    "/other.Service/Check",
  );
  await withHealth(async (port) => {
    const began = performance.now();
    assertEquals(await ask(port, "slow", 200), {
      outcome: "failure",
      message: "timeout: health rpc did not complete within 0.2s",
    });
    assert(performance.now() - began < 1500);
  });
});

test("a grpc probe over IPv6", () =>
  withHealth(async (port) => {
    assertEquals((await ask(port, "", 2000, "::1")).outcome, "success");
  }, "[::1]"));

test("a grpc probe of nobody, of a silent server and of a web server is a failure in time", async () => {
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = silent.addr;
  assertEquals(await ask(port, "", 200), {
    outcome: "failure",
    message: `timeout: failed to connect service "127.0.0.1:${port}" within 0.2s`,
  });
  silent.close();
  const refused = await ask(port);
  assertEquals(refused.outcome, "failure");
  assertMatch(refused.message, /^error: failed to connect service at "127\.0\.0\.1:\d+": .*refused/);
  const web = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answered = web.accept().then(async (conn) => {
    await conn.read(new Uint8Array(1024));
    await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
    conn.close();
  });
  assertMatch((await ask(web.addr.port)).message, /^error: failed to connect service at /);
  await answered;
  web.close();
});
