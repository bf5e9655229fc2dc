/** What the agent shows to others on the machine: its socket, its health port, its metrics, log files. */
import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { binary, createAgent, output } from "./agent.ts";
import { until } from "./containerd.ts";
import { podOf, secret, shell, statusOf, stay } from "./pods.ts";

const answer = async (url: string): Promise<string> => {
  const response = await fetch(url, { headers: { connection: "close" } });
  return `${response.status} ${await response.text()}`;
};

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

Deno.test("socket, health, metrics, secrets", async () => {
  await using agent = await createAgent({ healthzPort: freePort() });
  await agent.start();
  assertEquals((await Deno.lstat(agent.socket)).mode! & 0o777, 0o600);
  const health = `http://127.0.0.1:${agent.healthzPort}`;
  await until(
    "the health port answers",
    () => answer(`${health}/healthz`).then((a) => a === "200 ok", () => false),
  );
  assertEquals(await answer(`${health}/readyz`), "200 ok");
  assertMatch(await answer(`${health}/pods`), /^404 /, "nothing else is open to everyone");
  await agent.write(
    "web.yaml",
    secret("keys", { token: "very-s3cret" }),
    podOf("web", [shell("main", stay, { envFrom: [{ secretRef: { name: "keys" } }] })]),
  );
  await agent.untilReady("web");
  const metrics =
    (await output("curl", ["-s", "--unix-socket", agent.socket, "http://agent/metrics"])).stdout;
  assertMatch(metrics, /^# TYPE \S+ (counter|gauge|histogram)$/m);
  for (const path of ["/pods", "/secrets", "/events", "/status", "/config", "/problems"]) {
    assertNotMatch(JSON.stringify(await agent.api(path)), /very-s3cret|dmVyeS1zM2NyZXQ/, path);
  }
  assertNotMatch(agent.log(), /very-s3cret|dmVyeS1zM2NyZXQ/);
  await agent.stop();
  assert(await Deno.lstat(agent.socket).then(() => false, () => true), "the socket goes with the agent");
});

Deno.test("log files are the CRI's, with links for log shippers", async () => {
  await using agent = await createAgent();
  await agent.start();
  await agent.write("talk.yaml", podOf("talk", [shell("main", `echo out; echo err >&2; ${stay}`)]));
  const pod = await agent.untilReady("talk");
  await agent.untilLog("talk", "main", /out\n[^]*err\n|err\n[^]*out\n/);
  const directory = `${agent.root}/logs/pods/default_talk_${pod.metadata!.uid}/main`;
  const lines = (await Deno.readTextFile(`${directory}/0.log`)).trimEnd().split("\n").sort();
  const time = String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\S+ `;
  assertEquals(lines.length, 2);
  assertMatch(lines.find((l) => l.includes("stdout"))!, new RegExp(`${time}stdout F out$`));
  assertMatch(lines.find((l) => l.includes("stderr"))!, new RegExp(`${time}stderr F err$`));
  const id = statusOf(pod, "main").containerID!.replace("containerd://", "");
  const link = `${agent.root}/logs/containers/talk_default_main-${id}.log`;
  assertEquals(await Deno.readLink(link), `${directory}/0.log`);
});

Deno.test("wrong settings are all told at once, and nothing starts", async () => {
  const agent = await createAgent({ withImage: false });
  const path = `${agent.directory}/wrong.yaml`;
  await Deno.writeTextFile(
    path,
    "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nhealthzPort: many\npodLogsDri: /x\nclusterDNS: [nowhere]\n",
  );
  const { code, stderr } = await output(binary, ["run", ...agent.flags, "--config", path]);
  assertEquals(code, 1);
  for (const [line, word] of [[3, "healthzPort"], [4, "podLogsDri"], [5, "clusterDNS"]] as const) {
    assertMatch(stderr, new RegExp(`wrong\\.yaml:${line}:\\d+: .*${word}`));
  }
  await agent[Symbol.asyncDispose]();
});
