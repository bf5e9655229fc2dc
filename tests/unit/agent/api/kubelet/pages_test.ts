/** What the kubelet's API tells, and its system logs; over real TLS. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { checkpointRoute } from "../../../../../agent/api/kubelet/checkpoint.ts";
import { disabledRoutes, openRoutes, pageRoutes } from "../../../../../agent/api/kubelet/pages.ts";
import { systemLogRoutes } from "../../../../../agent/api/kubelet/system_logs.ts";
import { createHost } from "../../../../../agent/host.ts";
import { served } from "./serving.ts";

const pod = { metadata: { name: "web", namespace: "default" }, spec: { containers: [{ name: "main" }] } };

const pages = (live = true) => ({
  live: () => ({ ok: live, reasons: live ? [] : ["stuck"] }),
  pods: () => [pod],
  runningPods: () => Promise.reject(new Error("no runtime")),
  configz: () => ({ maxPods: 110 }),
  summary: () =>
    Promise.resolve({
      node: { nodeName: "box", cpu: { usageNanoCores: 1 }, memory: {}, fs: { usedBytes: 1 } },
      pods: [{
        podRef: { name: "web" },
        cpu: {},
        volume: [],
        containers: [{ name: "main", cpu: {}, rootfs: {} }],
      }],
    }),
  metrics: { "/metrics": () => "up 1\n" },
});

Deno.test("pods, configuration, stats and metrics have the kubelet's forms", async () => {
  await using it = await served({ routes: [...openRoutes(pages()), ...pageRoutes(pages())] });
  const ask = (path: string) => it.ask(path, { as: it.admin });
  const list = await ask("/pods");
  assertEquals(list.headers["content-type"], "application/json");
  assertEquals(JSON.parse(list.body), { kind: "PodList", apiVersion: "v1", metadata: {}, items: [pod] });
  assertEquals(JSON.parse((await ask("/configz")).body), { kubeletconfig: { maxPods: 110 } });
  assertEquals(JSON.parse((await ask("/stats/summary?only_cpu_and_memory=true")).body), {
    node: { nodeName: "box", cpu: { usageNanoCores: 1 }, memory: {} },
    pods: [{ podRef: { name: "web" }, cpu: {}, containers: [{ name: "main", cpu: {} }] }],
  });
  const metrics = await ask("/metrics");
  assertEquals([metrics.body, metrics.headers["content-type"]], [
    "up 1\n",
    "text/plain; version=0.0.4; charset=utf-8",
  ]);
  const failed = await ask("/runningpods/");
  assertEquals([failed.status, failed.body], [500, "no runtime"]);
});

Deno.test("health: each check by its name, all of them in words, and what fails", async () => {
  await using good = await served({ routes: openRoutes(pages()) });
  const ask = (path: string) => good.ask(path, { as: good.admin });
  assertEquals((await ask("/healthz")).body, "ok");
  assertStringIncludes((await ask("/healthz?verbose")).body, "[+]syncloop ok\nhealthz check passed\n");
  assertEquals((await ask("/healthz/ping")).body, "ok");
  assertEquals((await ask("/healthz/else")).status, 404);
  await using bad = await served({ routes: openRoutes(pages(false)) });
  assertEquals((await bad.ask("/healthz/log", { as: bad.admin })).status, 200);
  const stuck = await bad.ask("/healthz/syncloop", { as: bad.admin });
  assertEquals([stuck.status, stuck.body], [500, "internal server error: stuck\n"]);
  const all = await bad.ask("/healthz", { as: bad.admin });
  assertEquals(all.status, 500);
  assertStringIncludes(all.body, "[-]syncloop failed");
});

Deno.test("where operators' paths are turned off they say so", async () => {
  await using it = await served({ routes: [...openRoutes(pages()), ...disabledRoutes()] });
  for (const path of ["/exec/default/web/main", "/logs/", "/runningpods/", "/debug/pprof/heap"]) {
    const { status, body } = await it.ask(path, { as: it.admin });
    assertEquals([path, status, body], [path, 405, "Debug endpoints are disabled.\n"]);
  }
});

Deno.test("a checkpoint: of what runs, by a runtime that can; errors are the kubelet's", async () => {
  const asked: [string, number][] = [];
  await using it = await served({
    routes: [checkpointRoute({
      pod: (namespace, name) => namespace === "default" && name === "web" ? pod : undefined,
      checkpoint(_pod, container, timeout) {
        asked.push([container, timeout]);
        if (timeout === 7) return Promise.reject(new Error("unimplemented"));
        return Promise.resolve(timeout === 8 ? undefined : "/checkpoints/one.tar");
      },
    })],
  });
  const ask = async (path: string) => {
    const { status, body } = await it.ask(path, { as: it.admin, method: "POST" });
    return [status, body];
  };
  assertEquals(await ask("/checkpoint/default/web/main"), [200, '{"items":["/checkpoints/one.tar"]}']);
  assertEquals(asked, [["main", 0]]);
  assertEquals(await ask("/checkpoint/default/none/main"), [404, "pod does not exist"]);
  assertEquals(await ask("/checkpoint/default/web/other"), [404, "container other does not exist"]);
  assertEquals((await ask("/checkpoint/default/web/main?timeout=soon"))[0], 404);
  assertEquals(await ask("/checkpoint/default/web/main?timeout=7"), [
    500,
    "checkpointing of default/web/main failed (unimplemented)",
  ]);
  assertEquals((await ask("/checkpoint/default/web/main?timeout=8"))[0], 500);
});

Deno.test("system logs: listed and read, never through a link that leads out, never what is no file", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${directory}/log/sub`, { recursive: true });
    await Deno.writeTextFile(`${directory}/secret`, "secret");
    const large = "0123456789".repeat(30_000);
    await Deno.writeTextFile(`${directory}/log/large.log`, large);
    await Deno.writeTextFile(`${directory}/log/empty`, "");
    await Deno.writeTextFile(`${directory}/log/a&b <c>`, "odd");
    await Deno.symlink("../large.log", `${directory}/log/sub/inside`);
    await Deno.symlink(`${directory}/secret`, `${directory}/log/outside`);
    await Deno.symlink(directory, `${directory}/log/up`);
    await new Deno.Command("mkfifo", { args: [`${directory}/log/fifo`] }).output();
    await using it = await served({ routes: systemLogRoutes(createHost(), `${directory}/log`) });
    const ask = (path: string) => it.ask(path, { as: it.admin });
    const list = await ask("/logs/");
    assertStringIncludes(list.body, '<a href="sub/">sub/</a>\n');
    assertStringIncludes(list.body, '<a href="a%26b%20%3Cc%3E">a&amp;b &lt;c&gt;</a>\n');
    assertEquals((await ask("/logs/large.log")).body, large);
    assertEquals((await ask("/logs/sub/inside")).body, large);
    assertEquals((await ask("/logs/a%26b%20%3Cc%3E")).body, "odd");
    assertEquals((await ask("/logs/empty")).body, "");
    const moved = await ask("/logs/sub");
    assertEquals([moved.status, moved.headers["location"]], [301, "sub/"]);
    for (const path of ["outside", "up/secret", "up/", "fifo", "nothing"]) {
      assertEquals([path, (await ask(`/logs/${path}`)).status], [path, 404]);
    }
    for (const path of ["../secret", "%2e%2e/secret", "sub/..%2f..%2fsecret", "a%00b"]) {
      const { status, body } = await ask(`/logs/${path}`);
      assert(status >= 400 && !body.includes("secret"), `${path}: ${status}`);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a log that becomes shorter while it is read ends the connection: the next answer is not taken for its rest", async () => {
  const stat = { kind: "file", size: 100, dev: 1, ino: 1 };
  const files = {
    list: () => Promise.resolve([]),
    lstat: () => Promise.resolve(stat),
    realPath: (path: string) => Promise.resolve(path),
    openFile: () =>
      Promise.resolve({
        stat: () => Promise.resolve(stat),
        read: (offset: number) => Promise.resolve(new Uint8Array(offset === 0 ? 40 : 0)),
        close: () => {},
      }),
  };
  await using it = await served({ routes: systemLogRoutes(files, "/var/log") });
  await assertRejects(() => it.ask("/logs/a", { as: it.admin }));
});
