/** The kubelet's port before anybody came. */
import { assertEquals, assertThrows } from "@std/assert";
import { until } from "../../../../fakes/until.ts";
import { hello, served } from "../../api/kubelet/serving.ts";
import { ask } from "../../api/kubelet/serving.ts";
import { holdPort } from "../../../../../agent/compose/kubelet/door.ts";

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

Deno.test("all who came before there was a server are answered by it, and all who come then", async () => {
  const leave = new AbortController();
  const port = freePort();
  const door = holdPort("127.0.0.1", port, leave.signal);
  const prepared = await served();
  const asking = (async () => {
    await using _ = prepared;
    const how = { as: prepared.admin, ca: prepared.authority.cert };
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask(port, "/hello", how)));
    answers.push(await ask(port, "/hello", how));
    return answers;
  })();
  assertEquals(await door.someone(), true);
  const early = await door.open();
  await using _it = await served({ port, early, authority: prepared.authority, routes: [hello] });
  assertEquals((await asking).map((a) => a.status), Array(13).fill(200));
});

Deno.test("a port that somebody has cannot be held; one that nobody asked is given back with the signal", async () => {
  const leave = new AbortController();
  const port = freePort();
  const door = holdPort("127.0.0.1", port, leave.signal);
  assertThrows(() => holdPort("127.0.0.1", port, leave.signal), Deno.errors.AddrInUse);
  leave.abort();
  assertEquals(await door.someone(), false);
  await until("it is free", () => {
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return true;
    } catch {
      return false;
    }
  });
});
