import { PassThrough } from "node:stream";
import { assertEquals } from "@std/assert";
import { streamRoutes } from "../../../../../agent/api/kubelet/streams.ts";
import { AgentError } from "../../../../../agent/model/errors.ts";
import { emptyObservation, type ObservedPod } from "../../../../../agent/model/observed.ts";
import type { ExecResult } from "../../../../../agent/ports.ts";
import { createStatusStore } from "../../../../../agent/status_store.ts";
import { container, sandbox } from "../observed.ts";
import { type Asked, told } from "./ask.ts";

/** Sessions are asked for, and then refused by a runtime that streams over something else. */
function createStage(observed: Partial<ObservedPod>, ran: ExecResult = { exitCode: 0, output: "" }) {
  const store = createStatusStore();
  store.putPod({
    metadata: { name: "web", namespace: "default", uid: "u" },
    spec: { containers: [{ name: "app" }, { name: "side" }] },
  });
  const asked: unknown[] = [];
  const session = (...args: unknown[]) => {
    asked.push(args.slice(0, -1));
    return Promise.resolve("spdy://runtime");
  };
  const routes = streamRoutes({
    store,
    runtime: {
      observe: () => Promise.resolve([{ ...emptyObservation("u", "default", "web"), ...observed }]),
      execSync(id, command) {
        asked.push([id, command]);
        return Promise.resolve(ran);
      },
    },
    streams: { exec: session, attach: session, portForward: session },
    idleMs: 0,
  });
  const spdy = { Connection: "Upgrade", Upgrade: "SPDY/3.1" };
  const upgrade = (target: string, o: Asked = {}) =>
    told(routes, target, { method: "POST", headers: spdy, socket: new PassThrough(), ...o });
  return { routes, asked, upgrade };
}

const running = { containers: [container("app", 1, "running"), container("app", 0, "exited")] };
const refused = [500, "the runtime streams over spdy://; expected http://\n"];

Deno.test("exec and attach, by POST and GET, with the pod's uid and without", async () => {
  const { upgrade, asked } = createStage(running);
  for (const method of ["GET", "POST"]) {
    assertEquals(
      await upgrade("/exec/default/web/app?command=sh&command=-c&command=a%20b&input=1&output=1", { method }),
      refused,
    );
    assertEquals(
      await upgrade("/exec/default/web/u/app?command=sh&output=1&error=1&tty=1", { method }),
      refused,
    );
    assertEquals(await upgrade("/attach/default/web/app?error=1", { method }), refused);
    assertEquals(await upgrade("/attach/default/web/u/app?input=1&output=true", { method }), refused);
  }
  const one = (stdin: boolean, stdout: boolean, stderr: boolean, tty = false) => ({
    stdin,
    stdout,
    stderr,
    tty,
  });
  const each = [
    ["app-1", ["sh", "-c", "a b"], one(true, true, false)],
    ["app-1", ["sh"], one(false, true, false, true)],
    ["app-1", one(false, false, true)],
    ["app-1", one(true, true, false)],
  ];
  assertEquals(asked, [...each, ...each]);
});

Deno.test("what cannot become a session, in the kubelet's words", async () => {
  const { upgrade, routes, asked } = createStage({ containers: [container("side", 0, "exited")] });
  const on = "command=sh&output=1";
  const none = (name: string) => [500, `container not found ("${name}")`];
  assertEquals(await upgrade(`/exec/default/none/app?${on}`), [404, "pod does not exist"]);
  assertEquals(await upgrade(`/attach/other/web/app?${on}`), [404, "pod does not exist"]);
  assertEquals(await upgrade(`/exec/default/web/none?${on}`), none("none"));
  assertEquals(await upgrade(`/exec/default/web/side?${on}`), none("side"));
  assertEquals(await upgrade("/exec/default/web/app?command=sh"), [
    400,
    "you must specify at least 1 of stdin, stdout, stderr",
  ]);
  assertEquals(await upgrade("/attach/default/web/app?tty=1&error=1"), [
    400,
    "you must specify at least 1 of stdin, stdout, stderr",
  ]);
  assertEquals(await upgrade("/portForward/default/web"), [500, 'pod not found ("web_default")']);
  assertEquals(await upgrade("/portForward/default/none"), [404, "pod does not exist"]);
  assertEquals((await told(routes, `/exec/default/web/app?${on}`, { method: "PUT" }))[0], 405);
  assertEquals(asked, []);
});

Deno.test("a uid that is not the pod's finds nothing", async () => {
  const { upgrade } = createStage({ ...running, sandboxes: [sandbox(0, true)] });
  assertEquals(await upgrade("/exec/default/web/old/app?output=1"), [500, 'container not found ("app")']);
  assertEquals(await upgrade("/portForward/default/web/old"), [404, "pod not found"]);
});

Deno.test("without an upgrade nothing is left waiting at the runtime", async () => {
  const { routes, asked } = createStage({ ...running, sandboxes: [sandbox(0, true)] });
  for (
    const path of [
      "/exec/default/web/app?output=1",
      "/attach/default/web/app?output=1",
      "/portForward/default/web",
    ]
  ) {
    assertEquals(await told(routes, path), [500, "Upgrade request required\n"]);
  }
  assertEquals(await told(routes, "/exec/default/none/app?output=1"), [404, "pod does not exist"]);
  assertEquals(asked, []);
});

Deno.test("port-forward goes to the sandbox that is ready; only a WebSocket names its ports before", async () => {
  const { upgrade, asked } = createStage({ sandboxes: [sandbox(1, false), sandbox(0, true)] });
  const websocket = { headers: { Upgrade: "websocket" } };
  assertEquals(await upgrade("/portForward/default/web?port=x"), refused);
  assertEquals(await upgrade("/portForward/default/web/u?port=80&port=443,8080", websocket), refused);
  assertEquals(asked, [["sandbox-0", []], ["sandbox-0", [80, 443, 8080]]]);
  assertEquals(await upgrade("/portForward/default/web", websocket), [
    400,
    'query parameter "port" is required',
  ]);
  assertEquals(await upgrade("/portForward/default/web?port=0", websocket), [400, 'port "0" must be > 0']);
  for (const port of ["x", "65536", "-1", "%00", ""]) {
    const [status] = await upgrade(`/portForward/default/web?port=${port}`, websocket);
    assertEquals([port, status], [port, 400]);
  }
});

Deno.test("a runtime that refuses is quoted", async () => {
  const no = (message: string) => () => Promise.reject(new AgentError("Unknown", message));
  const streams = { exec: no("container is paused"), attach: no(""), portForward: no("") };
  const store = createStatusStore();
  store.putPod({
    metadata: { name: "web", namespace: "default", uid: "u" },
    spec: { containers: [{ name: "app" }] },
  });
  const refusing = streamRoutes({
    store,
    streams,
    runtime: {
      observe: () => Promise.resolve([{ ...emptyObservation("u", "default", "web"), ...running }]),
      execSync: no("no such program"),
    },
    idleMs: 0,
  });
  assertEquals(await told(refusing, "/exec/default/web/app?output=1", { socket: new PassThrough() }), [
    500,
    "container is paused",
  ]);
  assertEquals(await told(refusing, "/run/default/web/app?cmd=x", { method: "POST" }), [
    500,
    "no such program",
  ]);
});

Deno.test("run answers with what the command wrote, or why it failed", async () => {
  const good = createStage(running, { exitCode: 0, output: "out\nerr\n" });
  assertEquals(await told(good.routes, "/run/default/web/app?cmd=ls%20-l%20/", { method: "POST" }), [
    200,
    "out\nerr\n",
  ]);
  assertEquals(await told(good.routes, "/run/default/web/u/app?cmd=id", { method: "POST" }), [
    200,
    "out\nerr\n",
  ]);
  assertEquals(good.asked, [["app-1", ["ls", "-l", "/"]], ["app-1", ["id"]]]);
  assertEquals((await told(good.routes, "/run/default/web/app?cmd=id"))[0], 405);
  assertEquals((await told(good.routes, "/run/default/no/app?cmd=id", { method: "POST" }))[0], 404);
  const bad = createStage(running, { exitCode: 2, output: "no such file" });
  assertEquals(await told(bad.routes, "/run/default/web/app?cmd=ls%20x", { method: "POST" }), [
    500,
    "command 'ls x' exited with 2: no such file",
  ]);
});
