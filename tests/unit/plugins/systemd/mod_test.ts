// The notifier against a real datagram receiver (Python's), by path and by abstract name; and the unit file, as systemd
// itself reads it.

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { createNotifier, type NotifyEnvironment } from "../../../../plugins/systemd/mod.ts";

const RECEIVER = `
import socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0" + name[1:] if name[0] == "@" else name)
s.settimeout(20)
print("listening", flush=True)
while True:
    text = s.recv(4096).decode()
    print(text, flush=True)
    if text == "STOPPING=1": break
`;

function environment(values: Record<string, string>): NotifyEnvironment & { left: string[] } {
  const map = new Map(Object.entries(values));
  return {
    get: (name) => map.get(name),
    delete: (name) => void map.delete(name),
    get left() {
      return [...map.keys()];
    },
  };
}

/** What the receiver printed while `speak` ran, by lines. */
async function receive(name: string, speak: () => void): Promise<string[]> {
  const child = new Deno.Command("python3", { args: ["-c", RECEIVER, name], stdout: "piped" }).spawn();
  let text = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (text === "") speak();
    text += chunk;
  }
  assertEquals((await child.status).code, 0);
  return text.trim().split("\n");
}

const python = await new Deno.Command("python3", { args: ["--version"] }).output().then(
  () => true,
  () => false,
);

for (const kind of ["path", "abstract name"]) {
  Deno.test({
    name: `messages arrive by ${kind}`,
    ignore: !python,
    fn: async () => {
      const directory = await Deno.makeTempDir({ prefix: "notify-" });
      try {
        const name = kind === "path" ? join(directory, "notify") : `@agent-test-${Deno.pid}`;
        const notifier = createNotifier(environment({ NOTIFY_SOCKET: name }));
        assert(notifier.listening);
        const heard = await receive(name, () => {
          notifier.ready();
          notifier.ping();
          notifier.status("3 pods\nREADY=1");
          notifier.stopping();
        });
        assertEquals(heard, ["listening", "READY=1", "WATCHDOG=1", "STATUS=3 pods READY=1", "STOPPING=1"]);
      } finally {
        await Deno.remove(directory, { recursive: true });
      }
    },
  });
}

Deno.test("children inherit nothing of it", () => {
  const env = environment({ NOTIFY_SOCKET: "/x", WATCHDOG_USEC: "1", WATCHDOG_PID: "1", PATH: "/bin" });
  createNotifier(env);
  assertEquals(env.left, ["PATH"]);
});

Deno.test("the watchdog is ours only with a valid time and our PID", () => {
  const every = (values: Record<string, string>) =>
    createNotifier(environment({ NOTIFY_SOCKET: "/run/x", ...values }), 77).watchdogEveryMs;
  assertEquals(every({ WATCHDOG_USEC: "30000000" }), 15000);
  assertEquals(every({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "77" }), 15000);
  assertEquals(every({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "78" }), undefined);
  for (const wrong of ["", "0", "-1", "x", "1e400"]) assertEquals(every({ WATCHDOG_USEC: wrong }), undefined);
  assertEquals(createNotifier(environment({ WATCHDOG_USEC: "30000000" })).watchdogEveryMs, undefined);
});

Deno.test("without a listener, and with one that is gone, nothing happens", () => {
  const gone = `/tmp/${crypto.randomUUID()}`;
  for (const socket of [undefined, "", "relative", "@", "vsock:2:1", `/${"x".repeat(200)}`, gone]) {
    const notifier = createNotifier(environment(socket === undefined ? {} : { NOTIFY_SOCKET: socket }));
    assertEquals(notifier.listening, socket === gone);
    notifier.ready();
    notifier.status("x");
  }
});

const analyze = await new Deno.Command("systemd-analyze", { args: ["--version"] }).output().then(
  () => true,
  () => false,
);

Deno.test({
  name: "systemd reads the unit file without a complaint",
  ignore: !analyze,
  fn: async () => {
    const directory = await Deno.makeTempDir({ prefix: "unit-" });
    try {
      const path = fromFileUrl(new URL("../../../../manifests/agent.service", import.meta.url));
      const text = await Deno.readTextFile(path);
      const unit = join(directory, "agent.service");
      await Deno.writeTextFile(unit, text.replace(/^ExecStart=\S+/m, "ExecStart=/bin/true"));
      const { code, stderr } = await new Deno.Command("systemd-analyze", {
        args: ["verify", "--man=no", unit],
      }).output();
      const complaints = new TextDecoder().decode(stderr).split("\n").filter((line) => line.includes(unit));
      assertEquals({ code, complaints }, { code: 0, complaints: [] });
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
