import { assertEquals, assertMatch } from "@std/assert";
import { Hono } from "hono";
import { addStreamRoutes } from "../../../../agent/api/streams.ts";
import { emptyObservation, type ObservedPod } from "../../../../agent/model/observed.ts";
import { createStatusStore } from "../../../../agent/status_store.ts";
import { container, sandbox } from "./observed.ts";

function createStage(observed: Partial<ObservedPod> = {}) {
  const store = createStatusStore();
  store.putPod({
    metadata: { name: "web", namespace: "default", uid: "u" },
    spec: { containers: [{ name: "app" }, { name: "side" }] },
    status: { phase: "Running" },
  });
  const asked: unknown[] = [];
  const url = (...args: unknown[]) => {
    asked.push(args.slice(0, -1));
    return Promise.resolve("http://127.0.0.1:1/token");
  };
  const app = new Hono();
  addStreamRoutes(app, {
    store,
    runtime: {
      observe: () => Promise.resolve([{ ...emptyObservation("u", "default", "web"), ...observed }]),
    },
    streams: { exec: url, attach: url, portForward: url },
    signal: new AbortController().signal,
  });
  const post = async (path: string, method = "POST") => {
    const response = await app.request(path, { method });
    const location = response.headers.get("location");
    return [response.status, location ?? (await response.json()).message] as const;
  };
  return { post, asked };
}

const running = { containers: [container("app", 1, "running"), container("app", 0, "exited")] };

Deno.test("exec and attach lead to the runtime's URL for the newest attempt, by either query names", async () => {
  const { post, asked } = createStage(running);
  const found = [302, "http://127.0.0.1:1/token"] as const;
  assertEquals(
    await post("/exec/default/web/app?command=sh&command=-c&command=a%20b&input=1&output=1&error=1"),
    found,
  );
  assertEquals(await post("/exec/default/web/app?command=sh&stdin=true&stdout=true&tty=true", "GET"), found);
  assertEquals(await post("/attach/default/web/app?stdout=1&stderr=0"), found);
  const kinds = { stdin: false, stdout: true, stderr: false, tty: false };
  assertEquals(asked, [
    ["app-1", ["sh", "-c", "a b"], { stdin: true, stdout: true, stderr: true, tty: false }],
    ["app-1", ["sh"], { stdin: true, stdout: true, stderr: false, tty: true }],
    ["app-1", kinds],
  ]);
});

Deno.test("what cannot be: unknown names, nothing to stream, a terminal with stderr, a container that does not run", async () => {
  const { post, asked } = createStage({ containers: [container("side", 0, "exited")] });
  const refused = async (path: string, status: number, message: RegExp) => {
    const [code, text] = await post(path);
    assertEquals(code, status, text);
    assertMatch(text, message);
  };
  const on = "command=sh&output=1";
  await refused(`/exec/default/none/app?${on}`, 404, /pods "none" not found in namespace "default"/);
  await refused(
    `/exec/default/web/none?${on}`,
    404,
    /container none is not in pod default\/web; it has: app, side/,
  );
  await refused(
    `/exec/default/web/app?${on}`,
    400,
    /app of pod default\/web is not running: it has not been started/,
  );
  await refused(`/exec/default/web/side?${on}`, 400, /not running: it has ended \(Error, exit code 7\)/);
  await refused("/exec/default/web/app?command=sh", 400, /at least one of stdin=1, stdout=1, stderr=1/);
  await refused("/exec/default/web/app?output=1", 400, /expected command=/);
  await refused("/exec/default/web/app?command=sh&tty=1&error=1", 400, /exclude each other/);
  await refused("/attach/default/web/side?output=1", 400, /not running/);
  await refused("/portForward/default/web?port=80", 400, /pod default\/web is not running/);
  await refused("/portForward/default/web?port=0", 400, /from 1 to 65535, found "0"/);
  await refused("/portForward/default/web?ports=80,x", 400, /found "x"/);
  assertEquals(asked, []);
});

Deno.test("port-forward goes to the sandbox that is ready", async () => {
  const { post, asked } = createStage({ sandboxes: [sandbox(1, false), sandbox(0, true)] });
  assertEquals((await post("/portForward/default/web?port=80&port=443"))[0], 302);
  assertEquals((await post("/portForward/default/web?ports=80,443"))[0], 302);
  assertEquals((await post("/portForward/default/web"))[0], 302);
  assertEquals(asked, [["sandbox-0", [80, 443]], ["sandbox-0", [80, 443]], ["sandbox-0", []]]);
});
