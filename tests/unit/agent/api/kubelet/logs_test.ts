import { assertEquals } from "@std/assert";
import { logRoutes } from "../../../../../agent/api/kubelet/logs.ts";
import { createHost } from "../../../../../agent/host.ts";
import type { ContainerState } from "../../../../../agent/model/gen/v1.ts";
import { createStatusStore } from "../../../../../agent/status_store.ts";
import { ask, told } from "./ask.ts";

const now = Date.parse("2026-03-01T12:00:00Z");

async function createStage() {
  const directory = await Deno.makeTempDir({ prefix: "agent-kubelet-logs-" });
  const store = createStatusStore();
  const put = (state: ContainerState | undefined, restartCount = 0) =>
    store.putPod({
      metadata: { name: "web", namespace: "default", uid: "u" },
      spec: { containers: [{ name: "app", image: "i" }] },
      status: {
        containerStatuses: state === undefined
          ? []
          : [{ name: "app", image: "i", imageID: "", ready: false, restartCount, state }],
      },
    });
  const write = async (attempt: number, ...lines: string[]) => {
    const place = `${directory}/default_web_u/app`;
    await Deno.mkdir(place, { recursive: true });
    const entries = lines.map((line) => `2026-03-01T11:${line}\n`).join("");
    await Deno.writeTextFile(`${place}/${attempt}.log`, entries, { append: true });
  };
  return {
    put,
    write,
    routes: logRoutes({ store, logs: { directory, files: createHost() }, now: () => now }),
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

const path = "/containerLogs/default/web/app";

Deno.test("what a container wrote, by each option", async () => {
  await using stage = await createStage();
  stage.put({ running: {} }, 1);
  await stage.write(0, "00:00Z stdout F before");
  await stage.write(1, "00:00Z stdout F one", "30:00Z stderr F two", "59:59Z stdout F three");
  const shows = async (query: string, expected: string) => {
    const answer = await ask(stage.routes, `${path}${query}`);
    assertEquals([answer.status, answer.headers.get("content-type"), await answer.text()], [
      200,
      "text/plain; charset=utf-8",
      expected,
    ]);
  };
  await shows("", "one\ntwo\nthree\n");
  await shows("?tailLines=1&timestamps=true", "2026-03-01T11:59:59Z three\n");
  await shows("?sinceSeconds=1800", "two\nthree\n");
  await shows("?sinceTime=2026-03-01T11:59:00Z", "three\n");
  await shows("?limitBytes=6", "one\ntw");
  await shows("?stream=Stderr", "two\n");
  await shows("?stream=Stdout", "one\nthree\n");
  await shows("?stream=All&tail=2", "two\nthree\n");
  await shows("?previous=true", "before\n");
});

Deno.test("following goes on until the container has ended, or the reader", async () => {
  await using stage = await createStage();
  stage.put({ running: {} });
  await stage.write(0, "00:00Z stdout F one");
  const leave = new AbortController();
  const answer = await ask(stage.routes, `${path}?follow=true`, { signal: leave.signal });
  const left = await ask(stage.routes, `${path}?follow=true`, { signal: leave.signal });
  const reader = left.body!.getReader();
  assertEquals(new TextDecoder().decode((await reader.read()).value), "one\n");
  await stage.write(0, "00:01Z stdout F two");
  stage.put({ terminated: { exitCode: 0 } });
  assertEquals(await answer.text(), "one\ntwo\n");
  leave.abort();
  while (!(await reader.read()).done);
});

Deno.test("why there is no log, in the kubelet's words", async () => {
  await using stage = await createStage();
  const refuses = async (target: string, status: number, message: string) =>
    assertEquals(await told(stage.routes, target), [status, message]);
  await refuses(path, 404, 'pod "web" does not exist');
  stage.put(undefined);
  await refuses("/containerLogs/other/web/app", 404, 'pod "web" does not exist');
  await refuses("/containerLogs/default/web/none", 404, 'container "none" not found in pod "web"');
  await refuses(`${path}?tailLines=x`, 400, '{"message": "Unable to decode query."}');
  await refuses(`${path}?tailLines=-1`, 422, '{"message": "Invalid request."}');
  await refuses(path, 400, 'container "app" in pod "web" is not available');
  stage.put({ waiting: { reason: "ContainerCreating" } });
  await refuses(path, 400, 'container "app" in pod "web" is waiting to start: ContainerCreating');
  stage.put({ waiting: { reason: "ErrImagePull" } });
  await refuses(path, 400, 'container "app" in pod "web" is waiting to start: image can\'t be pulled');
  stage.put({ waiting: { reason: "ImagePullBackOff" } });
  await refuses(
    path,
    400,
    'container "app" in pod "web" is waiting to start: trying and failing to pull image',
  );
  await refuses(`${path}?previous=true`, 400, 'previous terminated container "app" in pod "web" not found');
  assertEquals((await told(stage.routes, path, { method: "POST" }))[0], 405);
});
