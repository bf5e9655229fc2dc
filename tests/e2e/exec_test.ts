/** exec, attach and port-forward of the built binary: bytes, exit statuses, terminals, and the agent dying meanwhile. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Container } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent, demoImage } from "./agent.ts";
import { until } from "./containerd.ts";
import { podOf, shell, statusOf, stay } from "./pods.ts";
import { cliWith, inTerminal } from "./terminal.ts";

const decoder = new TextDecoder();

const toHex = (bytes: ArrayBuffer): string =>
  [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function startWith(agent: AgentUnderTest, name: string, ...containers: Container[]): Promise<void> {
  await agent.start();
  await agent.write(`${name}.yaml`, podOf(name, containers));
  await agent.untilReady(name);
}

Deno.test("exec: exit status, separate outputs, 10 MiB through standard input, and clear refusals", async () => {
  await using agent = await createAgent();
  await agent.start();
  await agent.write(
    "app.yaml",
    podOf("app", [shell("main", stay), shell("side", "exit 7")], { restartPolicy: "Never" }),
  );
  await agent.untilPod("app", "main runs, side has ended", (pod) => {
    const [main, side] = pod.status?.containerStatuses ?? [];
    return main?.state?.running !== undefined && side?.state?.terminated !== undefined;
  });

  const both = await agent.cli(
    "exec",
    "app",
    "-c",
    "main",
    "--",
    "sh",
    "-c",
    "echo out; echo err >&2; exit 3",
  );
  assertEquals(both, { code: 3, stdout: "out\n", stderr: "err\ncommand terminated with exit code 3\n" });
  const words = await agent.cli(
    "exec",
    "app",
    "-q",
    "--",
    "busybox",
    "printf",
    "%s|",
    "-it",
    "a b",
    "",
    "ü&=?#",
  );
  assertEquals(words, { code: 0, stdout: "-it|a b||ü&=?#|", stderr: "" });

  const bytes = new Uint8Array(10 * 1024 * 1024);
  for (let at = 0; at < bytes.length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  const digest = toHex(await crypto.subtle.digest("SHA-256", bytes));
  const summed = await cliWith(bytes, agent, "exec", "-qi", "app", "--", "busybox", "sha256sum");
  assertEquals([summed.code, decoder.decode(summed.stdout), summed.stderr], [0, `${digest}  -\n`, ""]);
  const copied = await cliWith(bytes, agent, "exec", "-qi", "app", "--", "cat");
  assertEquals([copied.code, toHex(await crypto.subtle.digest("SHA-256", copied.stdout))], [0, digest]);
  const some = await cliWith(bytes.subarray(0, 1 << 16), agent, "exec", "-qi", "app", "--", "true");
  assertEquals([some.code, some.stdout.length, some.stderr], [0, 0, ""]);
  const unread = await cliWith(bytes, agent, "exec", "-qi", "app", "--", "sh", "-c", "echo out; exit 3");
  assertEquals(decoder.decode(unread.stdout), "out\n");
  // containerd 1.6 tells the exit status only if it is quicker than it notices that nobody reads.
  if (unread.code !== 3) {
    assertEquals(unread.code, 1);
    assertMatch(unread.stderr, /^Error: the command ended before it had read all its input/);
  }

  const nothing = await cliWith(new Uint8Array(), agent, "exec", "-qi", "app", "--", "cat");
  assertEquals([nothing.code, nothing.stdout.length, nothing.stderr], [0, 0, ""]);

  const missing = await agent.cli("exec", "-q", "app", "--", "no-such-program");
  assertEquals([missing.code, missing.stdout], [1, ""]);
  assertMatch(missing.stderr, /^Error: .*no-such-program.*not found/);
  const ended = await agent.cli("exec", "app", "-c", "side", "--", "true");
  assertEquals(ended.code, 1);
  assertMatch(
    ended.stderr,
    /^Error: container side of pod default\/app is not running: it has ended \(.*exit code 7\)\n$/,
  );
  const nobody = await agent.cli("exec", "nobody", "--", "true");
  assertEquals(nobody, {
    code: 1,
    stdout: "",
    stderr: 'Error: pods "nobody" not found in namespace default\n',
  });
  const noContainer = await agent.cli("exec", "app", "-c", "none", "--", "true");
  assertStringIncludes(noContainer.stderr, "container none is not in pod app; it has: main, side");
  const noTerminal = await agent.cli("exec", "-it", "app", "-c", "main", "--", "echo", "yes");
  assertEquals(noTerminal, {
    code: 0,
    stdout: "yes\n",
    stderr: "no terminal is used (-t): standard input is none\n",
  });
});

Deno.test("exec -it: the terminal's size, its changes, Ctrl-C and the exit status; a session outlives the agent", async () => {
  await using agent = await createAgent();
  await startWith(agent, "app", shell("main", stay));

  const untilSize = (size: string) =>
    `until busybox stty size | grep -qx '${size}'; do sleep 0.05; done; echo is ${size}`;
  const script = `${untilSize("40 100")}; ${untilSize("50 120")}; trap 'echo caught; exit 5' INT; ` +
    `echo armed; while :; do sleep 0.05; done`;
  const line = `exec -it app -- sh -c "${script}"; code=$?; stty -a; exit $code`;
  await using terminal = inTerminal(agent, line);
  await terminal.shows(/is 40 100\r\n/);
  const resized = await new Deno.Command("stty", {
    args: ["-F", terminal.device(), "rows", "50", "cols", "120"],
  })
    .output();
  assert(resized.success, decoder.decode(resized.stderr));
  await terminal.shows(/is 50 120\r\n/);
  await terminal.shows(/armed\r\n/);
  await agent.kill();
  await terminal.press("\x03");
  assertEquals(await terminal.ended(), 5, terminal.text());
  assertMatch(terminal.text(), /caught\r\n/);
  // The terminal is as it was.
  assertMatch(terminal.text(), / icanon .* echo /);
  await agent.start();
});

Deno.test("attach: a container's own terminal and input, and only its output without -i", async () => {
  await using agent = await createAgent();
  const container = {
    ...shell("main", `while read line; do echo "heard $line"; done; ${stay}`),
    stdin: true,
    tty: true,
  };
  await startWith(agent, "shell", container);
  {
    await using terminal = inTerminal(agent, "attach -it shell");
    await until("the terminal is raw and attached", async () => {
      await terminal.press("hello\r");
      return /heard hello\r\n/.test(terminal.text());
    });
  }
  await using watcher = agent.cliSpawn("attach", "shell");
  await until("a line that is typed elsewhere is seen", async () => {
    const typed = await cliWith(
      new TextEncoder().encode("again\n"),
      agent,
      "exec",
      "-i",
      "shell",
      "--",
      "sh",
      "-c",
      "cat >/proc/1/fd/1",
    );
    assertEquals(typed.stderr, "");
    return watcher.stdout().includes("again");
  });
});

Deno.test("attach: stdinOnce ends the input with its first client; without it clients come and go; the default container", async () => {
  await using agent = await createAgent();
  await agent.start();
  const reader = `while read line; do echo "heard $line"; echo aside >&2; done; echo closed; ${stay}`;
  const many = { ...shell("many", reader), stdin: true, env: [{ name: "WHO", value: "many" }] };
  const once: Container = {
    ...shell("once", "exec busybox sha256sum"),
    stdin: true,
    stdinOnce: true,
    restartPolicy: "Never",
  };
  await agent.write(
    "in.yaml",
    podOf("in", [once, many], {}, { annotations: { "kubectl.kubernetes.io/default-container": "many" } }),
  );
  const before = await agent.untilReady("in");

  const bytes = crypto.getRandomValues(new Uint8Array(1 << 16));
  const summed = await cliWith(bytes, agent, "attach", "-i", "in", "-c", "once");
  const digest = toHex(await crypto.subtle.digest("SHA-256", bytes));
  assertEquals([summed.code, decoder.decode(summed.stdout), summed.stderr], [0, `${digest}  -\n`, ""]);
  await agent.untilPod(
    "in",
    "the reader of stdin has ended",
    (pod) => statusOf(pod, "once").state?.terminated?.exitCode === 0,
  );
  const late = await agent.cli("attach", "in", "-c", "once");
  assertMatch(
    late.stderr,
    /container once of pod default\/in is not running: it has ended \(Completed, exit code 0\)/,
  );

  for (const word of ["first", "second"]) {
    const left = await cliWith(new TextEncoder().encode(`${word}\n`), agent, "attach", "-i", "in");
    assertEquals(left.code, 0, left.stderr);
    await agent.untilLog("in", "many", new RegExp(`heard ${word}\n`));
  }
  assertEquals((await agent.logs("in", "many")).includes("closed"), false);
  const after = (await agent.pod("in"))!;
  assertEquals(statusOf(after, "many").containerID, statusOf(before, "many").containerID);
  const who = await agent.cli("exec", "in", "--", "sh", "-c", "echo $WHO");
  assertEquals(who, { code: 0, stdout: "many\n", stderr: "" });

  const all = await agent.cli("logs", "in", "--all-containers", "--prefix");
  assertMatch(all.stdout, /^\[pod\/in\/once\] .*\n[^]*\[pod\/in\/many\] heard second\n/m);
  const waited = await agent.cli("wait", "pod/in", "--for", "condition=Initialized");
  assertEquals(waited.stdout, "pod/in condition met\n", waited.stderr);
});

Deno.test("port-forward leads to a port that only the pod has; a dead port is refused; the pod may be replaced meanwhile", async () => {
  await using agent = await createAgent();
  const server = (text: string): Container => ({
    name: "server",
    image: demoImage,
    command: [
      "sh",
      "-c",
      `mkdir /www; echo ${text} >/www/a; dd if=/dev/zero of=/www/big bs=1M count=8; exec httpd -f -p 127.0.0.1:8080 -h /www`,
    ],
  });
  await startWith(agent, "web", server("first"));
  await using forward = agent.cliSpawn("port-forward", "web", ":8080", ":81");
  await until("it listens", () => forward.stdout().split("\n").length > 2);
  const [port, dead] = [...forward.stdout().matchAll(/127\.0\.0\.1:(\d+) -> /g)].map((match) => match[1]);
  const get = (path: string) =>
    fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close" } });
  await until("the server answers", async () => {
    const response = await get("/a").catch(() => undefined);
    return await response?.text() === "first\n";
  });
  const sizes = await Promise.all(
    [1, 2, 3].map(async () => (await (await get("/big")).arrayBuffer()).byteLength),
  );
  assertEquals(sizes, [8 << 20, 8 << 20, 8 << 20]);
  const refused = await fetch(`http://127.0.0.1:${dead}/`).then(() => "answered", () => "refused");
  assertEquals(refused, "refused");

  await agent.write("web.yaml", podOf("web", [server("second")]));
  await until("the new server answers by the same port", async () => {
    const response = await get("/a").catch(() => undefined);
    return await response?.text().catch(() => "") === "second\n";
  });
});
