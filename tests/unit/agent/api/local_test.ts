import { assert, assertEquals, assertFalse } from "@std/assert";
import { createLocalApi, type LocalApiOptions } from "../../../../agent/api/local.ts";
import { createHost } from "../../../../agent/host.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { createStatusStore } from "../../../../agent/status_store.ts";
import { noObjects } from "../../../../agent/model/wish.ts";

const pod = (name: string, phase = "Running"): Pod => ({
  metadata: { name, namespace: "default", uid: `uid-${name}` },
  spec: { containers: [{ name: "app", env: [{ name: "TOKEN", value: "t" }] }] },
  status: { phase },
});

const noUsage: LocalApiOptions["usage"] = {
  summary: () => Promise.reject(new Error("not asked")),
  resource: () => Promise.reject(new Error("not asked")),
  pods: () => Promise.reject(new Error("not asked")),
  node: () => Promise.reject(new Error("not asked")),
};

function createStage(options: Partial<LocalApiOptions> = {}) {
  const store = createStatusStore();
  const app = createLocalApi({
    store,
    ready: () => ({ ok: true, reasons: [] }),
    settled: () => true,
    config: () => ({ nodeName: "n" }),
    logs: { directory: "/nowhere", files: createHost() },
    images: {
      list: () => Promise.resolve([]),
      pull: (image) => Promise.resolve(`${image}@sha256:1`),
      importArchive: () => Promise.reject(new AgentError("ErrImagePull", "no such archive")),
    },
    devices: () => [],
    usage: noUsage,
    requests: { restart: () => true, addEphemeral: () => true, probes: () => [] },
    sessions: {
      runtime: { observe: () => Promise.resolve([]) },
      streams: {
        exec: () => Promise.reject(new Error("not asked")),
        attach: () => Promise.reject(new Error("not asked")),
        portForward: () => Promise.reject(new Error("not asked")),
      },
    },
    now: () => 1_000_000,
    signal: new AbortController().signal,
    ...options,
  });
  const get = async (path: string) => {
    const response = await app.request(path);
    const text = await response.text();
    return { status: response.status, text, json: () => JSON.parse(text) };
  };
  return { store, app, get };
}

Deno.test("pods are a v1 PodList with full status", async () => {
  const { store, get } = createStage();
  store.putPod(pod("web"));
  assertEquals((await get("/pods")).json(), {
    kind: "PodList",
    apiVersion: "v1",
    metadata: {},
    items: [{ apiVersion: "v1", kind: "Pod", ...pod("web") }],
  });
});

Deno.test("secrets show names, types and sizes, and nowhere a value", async () => {
  const { store, get } = createStage();
  store.setObjects({
    ...noObjects,
    configMaps: new Map([["default/page", {
      metadata: { name: "page", namespace: "default" },
      data: { a: "b" },
    }]]),
    secrets: new Map([["default/key", {
      metadata: { name: "key", namespace: "default", annotations: { last: "aHVudGVyMg==" } },
      type: "Opaque",
      data: { password: "aHVudGVyMg==" },
      stringData: { user: "héllo" },
    }]]),
  });
  const answer = await get("/secrets");
  assertEquals(answer.json().items, [{
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "key", namespace: "default" },
    type: "Opaque",
    keys: { password: 7, user: 6 },
  }]);
  assertFalse(answer.text.includes("aHVudGVy"));
  assertEquals((await get("/configmaps")).json().items[0].data, { a: "b" });
});

Deno.test("events are v1 Events; the same event keeps its name while its count grows", async () => {
  const { store, get } = createStage();
  const event = {
    type: "Warning",
    reason: "BackOff",
    message: "again",
    object: { kind: "Pod", namespace: "default", name: "web", uid: "u" },
    fieldPath: "spec.containers{app}",
  } as const;
  store.addEvent(event, 1_000);
  const [first] = (await get("/events")).json().items;
  store.addEvent(event, 61_000);
  const [second] = (await get("/events")).json().items;
  assertEquals(first.metadata.name, second.metadata.name);
  assertEquals([second.kind, second.count, second.type, second.reason], ["Event", 2, "Warning", "BackOff"]);
  assertEquals([second.firstTimestamp, second.lastTimestamp], [
    "1970-01-01T00:00:01Z",
    "1970-01-01T00:01:01Z",
  ]);
  assertEquals(second.involvedObject.fieldPath, "spec.containers{app}");
});

Deno.test("readyz tells reasons; healthz, status, config and metrics answer", async () => {
  const { get, store } = createStage({
    ready: () => ({ ok: false, reasons: ["runtime is not ready"] }),
    metrics: () => "agent_up 1\n",
  });
  const ready = await get("/readyz?verbose");
  assertEquals([ready.status, ready.text], [503, "/readyz not ok\n- runtime is not ready\n"]);
  assertEquals((await get("/healthz")).text, "ok");
  assertEquals((await get("/status")).status, 503);
  store.setStatus({ nodeName: "n" } as Parameters<typeof store.setStatus>[0]);
  assertEquals((await get("/status")).json().nodeName, "n");
  assertEquals((await get("/config")).json(), { nodeName: "n" });
  assertEquals((await get("/metrics")).text, "agent_up 1\n");
});

Deno.test("errors are v1 Status objects; an unknown path lists the known ones", async () => {
  const { get, store } = createStage();
  const unknown = (await get("/nope")).json();
  assertEquals([unknown.kind, unknown.code, unknown.reason], ["Status", 404, "NotFound"]);
  assert(unknown.message.includes("/containerLogs/:ns/:pod/:container"));
  assertEquals(
    (await get("/containerLogs/default/web/app")).json().message,
    'pods "web" not found in namespace "default"',
  );
  store.putPod(pod("web"));
  const wrong = await get("/containerLogs/default/web/app?tailLines=x");
  assertEquals([wrong.status, wrong.json().reason], [400, "BadRequest"]);
  assertEquals((await get("/containerLogs/default/web/other")).status, 404);
});

async function nextLines(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<[string, string][]> {
  const { value } = await reader.read();
  const lines = new TextDecoder().decode(value).trim().split("\n").map((line) => JSON.parse(line));
  return lines.map(({ type, object }) => [type, object.metadata.name + ":" + object.status.phase]);
}

Deno.test("a watch begins with what is there and tells each change; a slow reader gets the newest", async () => {
  const { store, app } = createStage();
  store.putPod(pod("a"));
  store.putPod(pod("b"));
  const reader = (await app.request("/pods?watch=true")).body!.getReader();
  assertEquals(await nextLines(reader), [["ADDED", "a:Running"], ["ADDED", "b:Running"]]);
  const waiting = nextLines(reader);
  store.putPod(pod("a", "Failed"));
  assertEquals(await waiting, [["MODIFIED", "a:Failed"]]);
  store.putPod(pod("c", "Pending"));
  store.putPod(pod("c", "Running"));
  store.removePod("uid-b");
  assertEquals(await nextLines(reader), [["ADDED", "c:Running"], ["DELETED", "b:Running"]]);
  await reader.cancel();
});

Deno.test("a watch can mark where what was there ends", async () => {
  const { store, app } = createStage();
  store.putPod(pod("a"));
  const reader = (await app.request("/pods?watch=true&sendInitialEvents=true")).body!.getReader();
  const lines = new TextDecoder().decode((await reader.read()).value).trim().split("\n");
  assertEquals(lines.map((line) => JSON.parse(line).type), ["ADDED", "BOOKMARK"]);
  store.removePod("uid-a");
  assertEquals(JSON.parse(new TextDecoder().decode((await reader.read()).value)).type, "DELETED");
  await reader.cancel();
});

Deno.test("a watch ends when the agent leaves", async () => {
  const ends = new AbortController();
  const { app } = createStage({ signal: ends.signal });
  const rest = (await app.request("/problems?watch=1")).text();
  ends.abort();
  assertEquals(await rest, "");
});

async function post(app: ReturnType<typeof createStage>["app"], path: string, body: string) {
  const response = await app.request(path, { method: "POST", body });
  const lines = (await response.text()).trim().split("\n").map((line) => JSON.parse(line));
  return { status: response.status, lines };
}

Deno.test("a pull tells its progress and ends with the reference, or with the reason", async () => {
  const pulled = Promise.withResolvers<string>();
  const { app } = createStage({
    images: {
      list: () => Promise.resolve([]),
      pull: () => pulled.promise,
      importArchive: () => Promise.reject(new AgentError("ErrImagePull", "no such archive")),
      progress: () => ({ offset: 5, total: 10 }),
    },
  });
  const response = await app.request("/images/pull", { method: "POST", body: '{"image":"app:1"}' });
  const reader = response.body!.getReader();
  const line = async () => JSON.parse(new TextDecoder().decode((await reader.read()).value));
  const first = await line();
  assertEquals([first.subject, first.offset, first.total], ["app:1", 5, 10]);
  pulled.resolve("app@sha256:1");
  assertEquals((await line()).done, ["app@sha256:1"]);
  assert((await reader.read()).done);

  const refused = await post(app, "/images/import", '{"path":"/x.tar"}');
  assertEquals(refused.lines.at(-1).error, { reason: "ErrImagePull", message: "no such archive" });
});

Deno.test("bad bodies are refused with what was expected", async () => {
  const { app } = createStage();
  for (
    const [path, body] of [["pull", "x"], ["pull", "{}"], ["pull", '{"image":1}'], [
      "import",
      '{"path":"x.tar"}',
    ]]
  ) {
    const { status, lines } = await post(app, `/images/${path}`, body!);
    assertEquals([status, lines[0].reason], [400, "BadRequest"], body);
  }
});

Deno.test("a broken part of the agent is an answer with code 500, not a crash", async () => {
  const { get } = createStage({
    images: {
      list: () => Promise.reject(new Error("the runtime does not answer")),
      pull: () => Promise.resolve(""),
      importArchive: () => Promise.resolve([]),
    },
  });
  const answer = await get("/images");
  assertEquals([answer.status, answer.json().message], [500, "the runtime does not answer"]);
});

Deno.test("lists are refused until the agent knows what is there", async () => {
  let settled = false;
  const { get } = createStage({ settled: () => settled });
  for (const path of ["/pods", "/problems"]) assertEquals((await get(path)).status, 503);
  settled = true;
  assertEquals((await get("/pods")).status, 200);
});
