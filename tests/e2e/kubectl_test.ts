/** Real kubectl against a node of a cluster, through the double of its API server: logs and sessions with containers. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { startCluster } from "../fakes/cluster/cluster.ts";
import { kubectlOf } from "../fakes/kubectl.ts";
import { type AgentUnderTest, type CommandOutput, createAgent, demoImage, output } from "./agent.ts";
import { type ClusterOfOne, createNode, userOf } from "./cluster.ts";
import type { Node } from "../../agent/model/gen/v1.ts";
import { until } from "./containerd.ts";
import { podOf, shell, statusOf, stay } from "./pods.ts";
import { terminal } from "./terminal.ts";

interface Stage extends ClusterOfOne {
  /** Standard output stays octets. */
  feed(
    stdin: Uint8Array,
    args: string[],
    env?: Record<string, string>,
  ): Promise<CommandOutput & { bytes: Uint8Array }>;
  /** While it goes on. */
  start(args: string[], env?: Record<string, string>): Running;
  /** For a command line. */
  command: string;
}

interface Running extends AsyncDisposable {
  stdout(): string;
  shows(pattern: RegExp): Promise<string>;
  ended: Promise<number>;
}

/** kubectl's WebSockets are translated by the API server; this is passed on. */
const spdy = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: "false", KUBECTL_PORT_FORWARD_WEBSOCKETS: "false" };

function startCommand(program: string, args: string[], env: Record<string, string> = {}): Running {
  const child = new Deno.Command(program, { args, env, stdin: "null", stdout: "piped", stderr: "piped" })
    .spawn();
  let text = "";
  const read = [child.stdout, child.stderr].map((stream) =>
    stream.pipeThrough(new TextDecoderStream()).pipeTo(new WritableStream({ write: (s) => void (text += s) }))
  );
  const ended = Promise.all(read).then(async () => (await child.status).code);
  return {
    stdout: () => text,
    async shows(pattern) {
      await until(`${args.join(" ")} shows ${pattern}`, () => pattern.test(text)).catch((error) => {
        throw new Error(`${error}; it showed: ${text.slice(-2000)}`);
      });
      return text;
    },
    ended,
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await ended;
    },
  };
}

async function feedCommand(
  program: string,
  args: string[],
  stdin: Uint8Array,
  env: Record<string, string> = {},
) {
  const child = new Deno.Command(program, { args, env, stdin: "piped", stdout: "piped", stderr: "piped" })
    .spawn();
  const fed = ReadableStream.from([stdin]).pipeTo(child.stdin).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  await fed;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, bytes: stdout, stdout: text(stdout), stderr: text(stderr) };
}

const port = () => 32_768 - 1 - Math.floor(Math.random() * 10_000);

async function startStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startCluster());
  const user = stack.use(await userOf(cluster));
  const directory = await Deno.makeTempDir({ prefix: "agent-kubectl-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  await Deno.writeTextFile(join(directory, "ca.crt"), cluster.ca);
  const listening = port();
  const flags = ["--port", `${listening}`, "--client-ca-file", join(directory, "ca.crt")];
  const node = stack.use(await createNode(cluster, user, { flags }));
  const kubectl = await kubectlOf(cluster, directory);
  await node.start();
  await user.until<Node>(
    "Node",
    node.name,
    "tells where its API is",
    (shown) =>
      shown?.status?.daemonEndpoints?.kubeletEndpoint?.Port === listening &&
      shown.status.addresses?.some(({ type }) => type === "InternalIP") === true,
  );
  const base = [`--kubeconfig=${directory}/kubeconfig`, `--cache-dir=${directory}/cache`];
  const kept = stack.move();
  return {
    ...{ cluster, user, node, kubectl },
    command: ["kubectl", ...base].join(" "),
    feed: (stdin, args, env) => feedCommand("kubectl", [...base, ...args], stdin, env),
    start: (args, env) => startCommand("kubectl", [...base, ...args], env),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

const talking = [
  "ln -s /bin/busybox /bin/tar; mkdir /www; httpd -p 8080 -h /www",
  "for i in 1 2 3 4 5; do echo line $i; done; echo wrong",
  stay,
].join("; ");
const echoing = "while read -r line; do echo heard $line; done";
const lives =
  `n=$(cat /state/n 2>/dev/null || echo 0); echo $((n + 1)) >/state/n; echo life $n; [ $n = 0 ] && exit 3; ${stay}`;

const pods = [
  podOf("talk", [shell("main", talking), shell("side", echoing, { stdin: true })]),
  podOf("again", [shell("main", lives, { volumeMounts: [{ name: "state", mountPath: "/state" }] })], {
    volumes: [{ name: "state", emptyDir: {} }],
  }),
  podOf("stuck", [{ name: "main", image: "localhost/agent/missing:1", imagePullPolicy: "Never" }]),
].map((pod) => ({ ...pod, spec: { ...pod.spec!, automountServiceAccountToken: false } }));

async function startPods({ user, node }: Stage): Promise<void> {
  await Promise.all(pods.map((pod) => node.run(pod)));
  await node.agent.untilReady("talk");
  await node.agent.untilPod("again", "lives again", (p) => statusOf(p, "main").restartCount === 1);
  await node.agent.untilPod(
    "stuck",
    "waits",
    (p) => statusOf(p, "main").state?.waiting?.reason === "ErrImageNeverPull",
  );
  await user.untilPod("talk", "shown as running", (p) => p.status?.phase === "Running");
}

async function checkLogs({ kubectl, node }: Stage): Promise<void> {
  const logs = (...args: string[]) => kubectl(["logs", ...args]);
  const lines = [1, 2, 3, 4, 5].map((n) => `line ${n}\n`).join("");
  await node.agent.untilLog("talk", "main", /wrong/);
  assertEquals(await logs("talk", "-c", "main"), `${lines}wrong\n`);
  assertEquals(await logs("talk", "-c", "main", "--tail=2"), "line 5\nwrong\n");
  assertEquals(await logs("talk", "-c", "main", "--limit-bytes=8"), "line 1\nl");
  assertMatch(
    await logs("talk", "-c", "main", "--timestamps", "--tail=1"),
    /^\d{4}-\d\d-\d\dT[\d:.]+Z wrong\n$/,
  );
  assertEquals(await logs("talk", "-c", "main", "--since=1h", "--tail=1"), "wrong\n");
  const later = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+/, "");
  assertEquals(await logs("talk", "-c", "main", `--since-time=${later}`), "");
  assertEquals(await logs("talk", "--all-containers", "--prefix", "--tail=1"), "[pod/talk/main] wrong\n");
  assertEquals(await logs("again", "--previous"), "life 0\n");
  assertEquals(await logs("again"), "life 1\n");
  const refused = async (words: string, ...args: string[]) =>
    assertStringIncludes(await logs(...args), words);
  await refused('previous terminated container "main" in pod "talk" not found', "talk", "-c", "main", "-p");
  await refused(
    '(BadRequest): container "main" in pod "stuck" is waiting to start: ErrImageNeverPull',
    "stuck",
  );
}

/** Each sees what is written while it follows; when the container ends, so do they. */
async function checkFollowers({ cluster, kubectl, node, start }: Stage): Promise<void> {
  const pod = podOf(
    "short",
    [shell("main", "echo begun; until [ -e /end ]; do sleep 0.1; done; echo done")],
    {
      restartPolicy: "Never",
      automountServiceAccountToken: false,
    },
  );
  await node.run(pod);
  await node.agent.untilReady("short");
  const { cert, key } = await cluster.client({ commonName: "admin", organizations: ["system:masters"] });
  using client = Deno.createHttpClient({ cert, key, caCerts: [cluster.ca] });
  const url = `${cluster.url}/api/v1/namespaces/default/pods/short/log?follow=true`;
  const before = await residentOf(node.agent);
  const followers = await Promise.all(Array.from({ length: 50 }, () => fetch(url, { client })));
  await using follower = start(["logs", "-f", "short"]);
  await follower.shows(/begun/);
  const grown = await residentOf(node.agent) - before;
  assertEquals(await kubectl(["exec", "short", "--", "touch", "/end"]), "");
  for (const answer of followers) assertEquals(await answer.text(), "begun\ndone\n");
  assertEquals([await follower.ended, follower.stdout()], [0, "begun\ndone\n"]);
  assert(grown < 40, `${grown} MiB more for 50 followers`);
}

/** MiB */
async function residentOf({ pid }: AgentUnderTest): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid()}/status`);
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024);
}

const hex = (bytes: ArrayBuffer) =>
  Array.from(new Uint8Array(bytes), (b) => b.toString(16).padStart(2, "0")).join("");

function noise(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
}

async function checkExec({ feed }: Stage): Promise<void> {
  const exec = (stdin: Uint8Array, ...args: string[]) => feed(stdin, ["exec", ...args]);
  const none = new Uint8Array();
  const both = await exec(none, "talk", "-c", "main", "--", "sh", "-c", "echo out; echo err >&2; exit 3");
  assertEquals([both.code, both.stdout], [3, "out\n"]);
  assertEquals(both.stderr, "err\ncommand terminated with exit code 3\n");
  const bytes = noise(2 * 1024 * 1024);
  const sum = hex(await crypto.subtle.digest("SHA-256", bytes));
  const summed = await exec(bytes, "-i", "talk", "-c", "main", "--", "busybox", "sha256sum");
  assertEquals([summed.code, summed.stdout, summed.stderr], [0, `${sum}  -\n`, ""]);
  const back = await exec(bytes, "-i", "talk", "-c", "main", "--", "cat");
  assertEquals([back.code, hex(await crypto.subtle.digest("SHA-256", back.bytes.slice()))], [0, sum]);
  const missing = await exec(none, "talk", "-c", "main", "--", "no-such-program");
  assert(missing.code !== 0 && /no-such-program/.test(missing.stderr), missing.stderr);
  const ended = await exec(none, "stuck", "--", "true");
  assert(ended.code !== 0 && /container not found \("main"\)/.test(ended.stderr), ended.stderr);
}

async function checkSpdy({ feed }: Stage): Promise<void> {
  const script = "cat; echo err >&2; exit 3";
  const args = ["exec", "-i", "talk", "-c", "main", "--", "sh", "-c", script];
  const { code, stdout, stderr } = await feed(new TextEncoder().encode("in\n"), args, spdy);
  assertEquals([code, stdout, stderr], [3, "in\n", "err\ncommand terminated with exit code 3\n"]);
}

async function checkTerminal({ command }: Stage): Promise<void> {
  await using seen = terminal(`${command} exec -it talk -c main -- sh`, {});
  await seen.press("stty size; tty\n");
  await seen.shows(/40 100\r\n\/dev\/pts\/\d+\r\n/);
  await new Deno.Command("stty", { args: ["-F", seen.device(), "rows", "24", "cols", "80"] }).output();
  await seen.press("until [ \"$(stty size)\" = '24 80' ]; do sleep 0.1; done; echo re''sized\n");
  await seen.shows(/resized/);
  await seen.press("exit 7\n");
  assertEquals(await seen.ended(), 7);
}

async function checkAttach({ feed, command }: Stage): Promise<void> {
  await using seen = terminal(`${command} attach -i talk -c side`, {});
  await seen.press("one\n");
  await seen.shows(/heard one/);
  await seen.press("two\n");
  await seen.shows(/heard two/);
  const refused = await feed(new Uint8Array(), ["attach", "stuck"]);
  assert(refused.code !== 0, refused.stdout);
}

/** With `spdy` it passes the double as it is; by WebSockets the double unpacks it. */
async function checkPortForward({ start, feed }: Stage, env: Record<string, string>): Promise<void> {
  const size = 8 * 1024 * 1024;
  const made = await feed(new Uint8Array(), [
    ...["exec", "talk", "-c", "main", "--", "sh", "-c"],
    `echo hello >/www/small; dd if=/dev/urandom of=/www/big bs=65536 count=${
      size / 65536
    } 2>/dev/null; busybox sha256sum </www/big`,
  ]);
  await using forward = start(["port-forward", "pod/talk", ":8080"], env);
  const portOf = (text: string) => /127\.0\.0\.1:(\d+) -> /.exec(text)![1];
  const local = portOf(await forward.shows(/-> 8080/));
  const big = await (await fetch(`http://127.0.0.1:${local}/big`)).arrayBuffer();
  assertEquals(`${hex(await crypto.subtle.digest("SHA-256", big))}  -\n`, made.stdout);
  const many = Array.from(
    { length: 8 }, // what busybox's httpd lets wait
    async () => await (await fetch(`http://127.0.0.1:${local}/small`)).text(),
  );
  const answers = await Promise.all(many).catch((error) => {
    throw new Error(`${error}; kubectl said: ${forward.stdout()}`);
  });
  assertEquals(new Set(answers), new Set(["hello\n"]));
  await using nobody = start(["port-forward", "pod/talk", ":9"], env);
  const closed = portOf(await nobody.shows(/-> 9\b/));
  await fetch(`http://127.0.0.1:${closed}/`).then((answer) => answer.body?.cancel(), () => {});
  await nobody.shows(/error.*(forwarding|connection refused|closing)/i);
}

async function checkCopy({ kubectl, node, feed }: Stage): Promise<void> {
  const from = join(node.agent.directory, "from");
  await Deno.mkdir(join(from, "below"), { recursive: true });
  const bytes = noise(3 * 1024 * 1024);
  await Deno.writeFile(join(from, "below/octets"), bytes);
  await Deno.writeTextFile(join(from, "words"), "words\n");
  assertEquals(await kubectl(["cp", from, "talk:/copied", "-c", "main"]), "");
  const seen = await feed(new Uint8Array(), ["exec", "talk", "-c", "main", "--", "cat", "/copied/words"]);
  assertEquals(seen.stdout, "words\n");
  const to = join(node.agent.directory, "to");
  await kubectl(["cp", "talk:/copied", to, "-c", "main"]);
  assertEquals(await Deno.readFile(join(to, "below/octets")), bytes);
}

async function checkDebug({ kubectl, node }: Stage): Promise<void> {
  const flags = [`--image=${demoImage}`, "--container=looker", "--target=main"];
  await kubectl(["debug", "talk", ...flags, "--", "sh", "-c", "echo looked; sleep 1"]);
  await node.agent.untilLog("talk", "looker", /looked/);
  assertEquals(await kubectl(["logs", "talk", "-c", "looker"]), "looked\n");
}

/** Sessions are with the agent: its stop ends them and is not held up. */
async function checkStop({ node, start }: Stage): Promise<void> {
  await using follower = start(["logs", "-f", "talk", "-c", "main"]);
  await using session = start(["exec", "talk", "-c", "main", "--", "sh", "-c", "echo begun; sleep 100000"]);
  await Promise.all([follower.shows(/wrong/), session.shows(/begun/)]);
  const began = performance.now();
  await node.agent.stop();
  assert(performance.now() - began < 5000, `stopping took ${performance.now() - began} ms`);
  let ended = 0;
  for (const one of [follower, session]) void one.ended.then(() => ended++);
  await until("both have ended", () => ended === 2);
}

Deno.test({ name: "kubectl", sanitizeOps: false, sanitizeResources: false }, async (t) => {
  await using stage = await startStage();
  await startPods(stage);
  await t.step("logs, by each option, and why there are none", () => checkLogs(stage));
  await t.step("followers see what comes, to the container's end", () => checkFollowers(stage));
  await t.step("exec: status, outputs, octets", () => checkExec(stage));
  await t.step("exec of a kubectl that speaks SPDY", () => checkSpdy(stage));
  await t.step("exec: a terminal and its size", () => checkTerminal(stage));
  await t.step("attach", () => checkAttach(stage));
  for (const [name, env] of [["WebSocket", {}], ["SPDY", spdy]] as const) {
    const what = `port-forward over ${name}: much, many, and a port where nobody listens`;
    await t.step(what, () => checkPortForward(stage, env));
  }
  await t.step("cp, there and back", () => checkCopy(stage));
  await t.step("debug", () => checkDebug(stage));
  await t.step("the agent's stop ends sessions", () => checkStop(stage));
});

/** The answer's head and what follows it, of a session that a WebSocket asks for. */
async function askWebSocket(connection: Deno.Conn, path: string, protocol: string): Promise<string> {
  const lines = [`GET ${path} HTTP/1.1`, "Host: node", "Connection: Upgrade", "Upgrade: websocket"];
  lines.push(
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
    `Sec-WebSocket-Protocol: ${protocol}`,
  );
  await connection.write(new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n"));
  let text = "";
  const buffer = new Uint8Array(4096);
  for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
    text += new TextDecoder("latin1").decode(buffer.subarray(0, count));
  }
  return text;
}

Deno.test("a node of no cluster: curl, with the operator's certificate of its own authority", async () => {
  await using agent = await createAgent();
  const listening = port();
  await agent.start(["--port", `${listening}`]);
  await agent.write("talk.yaml", podOf("talk", [shell("main", talking)]));
  await agent.untilLog("talk", "main", /wrong/);
  const pki = join(agent.root, "pki");
  const curl = (...args: string[]) =>
    output("curl", [
      ...["-sS", "--cacert", join(pki, "local-ca.crt"), "--cert", join(pki, "local-operator.crt")],
      ...["--key", join(pki, "local-operator.key"), ...args],
    ]);
  const url = `https://127.0.0.1:${listening}`;
  assertEquals(await curl(`${url}/containerLogs/default/talk/main?tailLines=1`), {
    code: 0,
    stdout: "wrong\n",
    stderr: "",
  });
  const ran = await curl("-X", "POST", `${url}/run/default/talk/main?cmd=ls%20/www`);
  assertEquals([ran.code, ran.stdout], [0, ""]);
  const failed = await curl("-X", "POST", `${url}/run/default/talk/main?cmd=cat%20/none`);
  assertStringIncludes(failed.stdout, "command 'cat /none' exited with 1: cat: can't open '/none'");
  const stranger = await output("curl", ["-sSk", `${url}/containerLogs/default/talk/main`]);
  assertEquals(stranger.stdout, "Unauthorized");
  const [caCerts, cert, key] = await Promise.all(
    ["local-ca.crt", "local-operator.crt", "local-operator.key"].map((name) =>
      Deno.readTextFile(join(pki, name))
    ),
  );
  const asked = async (protocol: string) => {
    using connection = await Deno.connectTls({
      ...{ hostname: "127.0.0.1", port: listening, caCerts: [caCerts!], cert: cert!, key: key! },
    });
    return await askWebSocket(
      connection,
      "/exec/default/talk/main?command=echo&command=hello&output=1",
      protocol,
    );
  };
  const session = await asked("v5.channel.k8s.io, v4.channel.k8s.io");
  assertMatch(session, /^HTTP\/1\.1 101 [^]*\r\nSec-WebSocket-Protocol: v[45]\.channel\.k8s\.io\r\n/i);
  // deno-lint-ignore no-control-regex -- numbers of channels
  assertMatch(session, /\x01hello\n[^]*\x03.*"status":"Success"/);
  assertMatch(await asked("v0.example.com"), /^HTTP\/1\.1 [45]\d\d /);
});
