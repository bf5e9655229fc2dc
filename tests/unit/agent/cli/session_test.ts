import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CommandError, UsageError } from "../../../../agent/cli/command.ts";
import { planAttach, planExec } from "../../../../agent/cli/exec.ts";
import { sessionPath } from "../../../../agent/cli/exec_session.ts";
import { namedPorts, parseAddresses, parseForward } from "../../../../agent/cli/port_forward.ts";
import { exitStatus } from "../../../../agent/cli/remote_command.ts";
import { openSession } from "../../../../agent/cli/session.ts";

Deno.test("the verdict at the end of a command is its exit status, or why it did not run", () => {
  const failed = (code: string) =>
    `{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code","reason":"NonZeroExitCode",
      "details":{"causes":[{"reason":"ExitCode","message":"${code}"}]}}`;
  assertEquals(exitStatus('{"metadata":{},"status":"Success"}'), 0);
  assertEquals(exitStatus(failed("3")), 3);
  assertEquals(exitStatus(failed("255")), 255);
  assertThrows(() => exitStatus(failed("")), CommandError, "non-zero exit code");
  const internal = '{"status":"Failure","reason":"InternalError","message":"no such file"}';
  assertThrows(() => exitStatus(internal), CommandError, "no such file");
  assertThrows(() => exitStatus(""), CommandError, "broke before the command ended");
  assertThrows(() => exitStatus("{"), CommandError, 'found "{"');
});

Deno.test("exec uses a terminal where there is one, attach where the container has one", () => {
  assertEquals(planExec(true, true, true), { stdin: true, tty: true, raw: true, notes: [] });
  assertEquals(planExec(true, true, false).tty, false);
  assertEquals(planExec(false, true, true), {
    stdin: false,
    tty: false,
    raw: false,
    notes: ["-t without -i has no effect"],
  });
  assertEquals(planExec(true, false, true), { stdin: true, tty: false, raw: false, notes: [] });
  const shell = { name: "sh", stdin: true, tty: true };
  assertEquals(planAttach(shell, true, true, true), { stdin: true, tty: true, raw: true, notes: [] });
  assertEquals(planAttach(shell, false, false, true), { stdin: false, tty: true, raw: false, notes: [] });
  assertEquals(planAttach(shell, true, true, false), { stdin: true, tty: true, raw: false, notes: [] });
  assertEquals(planAttach({ name: "app" }, true, true, true), {
    stdin: false,
    tty: false,
    raw: false,
    notes: ["container app has no stdin: -i has no effect", "container app has no tty: -t has no effect"],
  });
});

Deno.test("the path of a session names every word of the command, and never a terminal with stderr", () => {
  const target = { namespace: "a", pod: "b", container: "c" };
  assertEquals(
    sessionPath("exec", target, { stdin: true, tty: false }, ["sh", "-c", "a&b ü"]),
    "/exec/a/b/c?command=sh&command=-c&command=a%26b+%C3%BC&input=1&output=1&error=1",
  );
  assertEquals(sessionPath("attach", target, { stdin: false, tty: true }), "/attach/a/b/c?output=1&tty=1");
});

Deno.test("ports to forward", () => {
  assertEquals(parseForward("8080:80"), { local: 8080, remote: 80 });
  assertEquals(parseForward("80"), { local: 80, remote: 80 });
  assertEquals(parseForward(":80"), { local: 0, remote: 80 });
  for (const wrong of ["", "http", "80:", "0", "80:0", "70000", "70000:80", "1:2:3", "-1", "8080:80/udp"]) {
    assertThrows(() => parseForward(wrong), UsageError, `found "${wrong}"`);
  }
});

Deno.test("ports by name, and addresses to listen on", () => {
  const pod = { spec: { containers: [{ name: "a", ports: [{ name: "http", containerPort: 8080 }] }] } };
  const ports = namedPorts(pod);
  assertEquals(parseForward("80:http", ports), { local: 80, remote: 8080 });
  assertEquals(parseForward("http", ports), { local: 8080, remote: 8080 });
  assertEquals(parseForward(":http", ports), { local: 0, remote: 8080 });
  assertThrows(() => parseForward("80:https", ports), UsageError, "one of the pod's ports http");
  assertEquals(parseAddresses("localhost,10.0.0.1"), ["127.0.0.1", "::1", "10.0.0.1"]);
  for (const wrong of ["", "host", "10.0.0.1,"]) {
    assertThrows(() => parseAddresses(wrong), UsageError, "--address");
  }
});

Deno.test("a streaming server that refuses, vanishes or wants TLS is told", async () => {
  const never = new AbortController().signal;
  await assertRejects(
    () => openSession("https://127.0.0.1:1/exec/x", "p", never),
    CommandError,
    "expected http://",
  );
  const answering = async (answer: string) => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const served = (async () => {
      using connection = await listener.accept();
      await connection.read(new Uint8Array(4096));
      await connection.write(new TextEncoder().encode(answer));
    })();
    const outcome = await openSession(`http://127.0.0.1:${listener.addr.port}/exec/token`, "p", never)
      .then(() => "open", (error) => `${error.message}`);
    await served;
    return outcome;
  };
  const refused = "the runtime refuses the session: HTTP/1.1 404 Not Found: no such token";
  assertEquals(await answering("HTTP/1.1 404 Not Found\r\n\r\nno such token\n"), refused);
  assertEquals(await answering("nonsense"), "the runtime's streaming server gave no HTTP answer");
  const gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = gone.addr;
  gone.close();
  await assertRejects(
    () => openSession(`http://127.0.0.1:${port}/x`, "p", never),
    CommandError,
    "cannot reach",
  );
});
