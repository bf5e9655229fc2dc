/** Two agents on one machine, each with its own of everything. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { binary, createAgent } from "./agent.ts";
import { podOf, shell, stay } from "./pods.ts";

Deno.test("two private agents side by side know nothing of each other", async () => {
  await using first = await createAgent();
  {
    await using second = await createAgent();
    await Promise.all([first.start(), second.start()]);
    for (const agent of [first, second]) {
      await agent.write("same.yaml", podOf("same", [shell("main", `echo ${agent.root}; ${stay}`)]));
    }
    const [a, b] = await Promise.all([first.untilReady("same"), second.untilReady("same")]);
    assertNotEquals(a.status?.podIP, b.status?.podIP);
    assertEquals(await first.untilLog("same", "main", /\n/), `${first.root}\n`);
    assertEquals(await second.untilLog("same", "main", /\n/), `${second.root}\n`);
    for (const key of ["cgroupRoot", "state", "socket"] as const) {
      assertNotEquals(first.places()[key], second.places()[key]);
    }
    await second.write("only.yaml", podOf("only", [shell("main", stay)]));
    await second.untilReady("only");
    assertEquals((await first.pods()).length, 1);
    await first.kill();
    await first.start();
  }
  const left = await first.untilReady("same");
  assertEquals(
    left.status?.containerStatuses?.[0]?.restartCount,
    0,
    "the other one's teardown took nothing of ours",
  );
  assert((await first.logs("same", "main")).includes(first.root));
});

Deno.test("a second agent on the same socket is refused and does no harm", async () => {
  await using agent = await createAgent();
  await agent.start();
  await agent.write("web.yaml", podOf("web", [shell("main", stay)]));
  const before = await agent.untilReady("web");
  const other = await createAgent({ withImage: false });
  const socket = other.flags.indexOf("--socket") + 1;
  const { code, stderr } = await runToEnd([
    ...other.flags.slice(0, socket),
    agent.socket,
    ...other.flags.slice(socket + 1),
  ]);
  assertEquals(code, 1);
  assert(stderr.includes(agent.socket), stderr);
  await other[Symbol.asyncDispose]();
  assertEquals((await agent.untilReady("web")).status?.containerStatuses, before.status?.containerStatuses);
});

async function runToEnd(flags: string[]): Promise<{ code: number; stderr: string }> {
  const { code, stderr } = await new Deno.Command(binary, {
    args: ["run", ...flags],
    stdin: "null",
    signal: AbortSignal.timeout(20_000),
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}
