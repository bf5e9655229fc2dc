/** One manifest with all that a small site needs: two containers, a shared volume, a page from a ConfigMap, a hostPort. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createAgent, demoImage } from "./agent.ts";
import { until } from "./containerd.ts";
import { configMap, podOf, shell, stay } from "./pods.ts";

/** A port that was free a moment ago. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

const fetchText = (url: string): Promise<string> =>
  fetch(url, { headers: { connection: "close" }, signal: AbortSignal.timeout(2000) })
    .then(async (r) => r.ok ? await r.text() : `${r.status} ${await r.text()}`, (error) => `${error}`);

async function untilAnswers(url: string, pattern: RegExp): Promise<void> {
  let last = "";
  await until(`${url} answers ${pattern}`, async () => pattern.test(last = await fetchText(url)))
    .catch((error) => {
      throw new Error(`${error}; it said: ${last}`);
    });
}

Deno.test("two containers share localhost and a volume, a ConfigMap is the page, a host port leads to it", async () => {
  await using agent = await createAgent();
  await agent.start();
  const hostPort = freePort();
  const web = podOf("web", [
    {
      name: "server",
      image: demoImage,
      command: ["httpd", "-f", "-p", "8080", "-h", "/www"],
      ports: [{ containerPort: 8080, hostPort }],
      volumeMounts: [{ name: "shared", mountPath: "/www" }, { name: "page", mountPath: "/www/page" }],
    },
    shell(
      "client",
      `echo written by client > /www/note; until wget -qO- http://127.0.0.1:8080/note; do sleep 0.1; done; ${stay}`,
      { volumeMounts: [{ name: "shared", mountPath: "/www" }] },
    ),
  ], {
    volumes: [{ name: "page", configMap: { name: "page" } }, { name: "shared", emptyDir: {} }],
  });
  await agent.write("web.yaml", configMap("page", { "index.html": "<h1>It runs</h1>\n" }), web);

  const pod = await agent.untilReady("web");
  assertEquals(pod.status?.phase, "Running");
  assertMatch(pod.status?.podIP ?? "", /^\d+\.\d+\.\d+\.\d+$/);
  assertEquals(pod.status?.containerStatuses?.map((c) => [c.name, c.ready, c.restartCount]), [
    ["server", true, 0],
    ["client", true, 0],
  ]);
  await untilAnswers(`http://127.0.0.1:${hostPort}/page/index.html`, /^<h1>It runs<\/h1>\n$/);
  await untilAnswers(`http://127.0.0.1:${hostPort}/note`, /^written by client\n$/);
  assertMatch(await agent.untilLog("web", "client", /\n/), /^written by client\n$/);

  await agent.remove("web.yaml");
  await agent.untilGone("web");
  await assertRejects(
    () => Deno.connect({ hostname: "127.0.0.1", port: hostPort }),
    Deno.errors.ConnectionRefused,
  );
  await agent.write("web.yaml", web);
  await agent.untilPod("web", "is begun", () => true);
  await agent.kill(); // Teardown takes away what nobody ended.
});
