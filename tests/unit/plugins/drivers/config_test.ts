import { assertEquals, assertStringIncludes } from "@std/assert";
import { formatProblem } from "../../../../agent/model/errors.ts";
import { locateProblems } from "../../../../agent/sources/locate.ts";
import { parseDrivers } from "../../../../plugins/drivers/config.ts";
import { runAs } from "../../../../plugins/drivers/user.ts";

const driver = (name: string, spec: string) =>
  `apiVersion: agent/v1alpha1\nkind: Driver\nmetadata: { name: ${name} }\nspec:\n${spec}`;

async function problemsOf(text: string): Promise<string[]> {
  const { problems } = parseDrivers([{ path: "/d.yaml", text }]);
  return (await locateProblems(text, problems)).map(formatProblem);
}

Deno.test("drivers: what a file may say, and what is wrong with line and field", async () => {
  const whole = driver(
    "csi.example",
    "  command: [/bin/driver]\n  args: [-v]\n  env: [{ name: A, value: b }, { name: EMPTY }]\n" +
      "  socket: /run/csi.sock\n  user: nobody\n  group: 65534\n  workingDir: /tmp\n  stop: WithAgent\n" +
      "  terminationGracePeriodSeconds: 2\n",
  );
  assertEquals(await problemsOf(whole), []);
  assertEquals([...parseDrivers([{ path: "/d.yaml", text: whole }]).drivers.keys()], ["csi.example"]);
  assertEquals(await problemsOf(driver("Bad_Name", "  command: []\n  stop: later\n  arg: [x]\n")), [
    '/d.yaml:7:3: spec.arg: unknown field "arg"; did you mean "args"?',
    "/d.yaml:3:19: metadata.name: expected at most 253 lowercase letters, digits, '-' and '.', " +
    "starting and ending with a letter or digit",
    "/d.yaml:5:12: spec.command: expected a program",
    '/d.yaml:6:9: spec.stop: expected WithAgent or Never, got "later"',
  ]);
  const wrong = await problemsOf(
    driver("a", `  command: [driver]\n  socket: ${"/x".repeat(60)}\n  env: [{ name: A=B }]\n`),
  );
  assertEquals(wrong.map((p) => p.split(": ")[1]), ["spec.command[0]", "spec.socket", "spec.env[0].name"]);
  assertStringIncludes((await problemsOf("kind: Pod")).join(), "expected Driver");
});

Deno.test("drivers: of two with one name the first counts", () => {
  const text = driver("a", "  command: [/bin/true]\n");
  const { drivers, problems } = parseDrivers([{ path: "/1.yaml", text }, { path: "/2.yaml", text }]);
  assertEquals(drivers.get("a")?.file, "/1.yaml");
  assertEquals(problems.map(formatProblem), [
    '/2.yaml: metadata.name: there is a driver "a" in /1.yaml, which is used',
  ]);
});

Deno.test("drivers: as whom they run", () => {
  const accounts = {
    passwd: "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:2:d:/usr/sbin:/bin/false\n",
    group: "root:x:0:\nops:x:50:\n",
  };
  const argv = (user?: string | number, group?: string | number) => {
    const as = runAs(accounts, user, group);
    return typeof as === "string" ? as : as.argv.join(" ");
  };
  assertEquals(argv(), "");
  assertEquals(argv("daemon"), "setpriv --reuid 1 --regid 2 --init-groups --");
  assertEquals(argv(1, "ops"), "setpriv --reuid 1 --regid 50 --clear-groups --");
  assertEquals(argv(4000, 4000), "setpriv --reuid 4000 --regid 4000 --clear-groups --");
  assertEquals(argv(undefined, "ops"), "setpriv --reuid 0 --regid 50 --clear-groups --");
  assertEquals(argv("nobody-here"), 'there is no user "nobody-here"');
  assertEquals(argv("daemon", "none"), 'there is no group "none"');
  assertEquals(argv(4000), "user 4000 is not in /etc/passwd: expected a group, too");
});
