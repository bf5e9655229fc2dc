import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../../agent/cli/command.ts";
import { parseFor, parseTypes } from "../../../../agent/cli/events.ts";
import { createLab, now } from "./lab.ts";

Deno.test("objects and types of events, as they are typed", () => {
  assertEquals(parseFor("po/web"), { kind: "Pod", name: "web" });
  assertEquals(parseFor("Node/box"), { kind: "Node", name: "box" });
  for (const wrong of ["web", "pod/", "deployment/web", "pod/a/b"]) {
    assertThrows(() => parseFor(wrong), UsageError, wrong);
  }
  assertEquals(parseTypes(["warning,NORMAL", "Warning"]), ["Warning", "Normal", "Warning"]);
  assertThrows(() => parseTypes(["Error"]), UsageError, "Error");
});

Deno.test("events: sorted by their last time, by object and type, in all formats, live", async () => {
  await using lab = await createLab();
  const put = (
    name: string,
    type: "Normal" | "Warning",
    reason: string,
    secondsAgo: number,
    namespace = "default",
  ) =>
    lab.store.addEvent(
      { type, reason, message: "m", object: { kind: "Pod", namespace, name } },
      now - secondsAgo * 1000,
    );
  put("web", "Normal", "Started", 60);
  put("web", "Warning", "BackOff", 300);
  put("db", "Normal", "Pulled", 5);
  put("far", "Normal", "Started", 1, "prod");
  const reasons = async (...words: string[]) =>
    (await lab.agent("events", "--no-headers", ...words)).out.trim().split("\n").map((line) =>
      line.split(/\s+/)[2]
    );
  assertEquals(await reasons(), ["BackOff", "Started", "Pulled"]);
  assertEquals(await reasons("--for", "pod/web", "--types=normal"), ["Started"]);
  assertEquals((await lab.agent("events", "-A")).out.split("\n")[0]?.split(/\s{2,}/)[0], "NAMESPACE");
  const json = JSON.parse((await lab.agent("events", "--types", "Warning", "-o", "json")).out);
  assertEquals(json.items.map((event: { reason: string }) => event.reason), ["BackOff"]);
  assertEquals((await lab.agent("events", "-n", "none")).err, "No resources found in none namespace.\n");
  assertEquals((await lab.agent("events", "--for", "web")).code, 2);

  const stop = new AbortController();
  let text = "";
  lab.io.signal = stop.signal;
  lab.io.out = (chunk) => {
    text += chunk;
    if (text.includes("Killing")) stop.abort();
    else if (text.includes("BackOff")) {
      put("web", "Normal", "Started", 0);
      put("web", "Warning", "Killing", 0);
    }
    return Promise.resolve();
  };
  assertEquals((await lab.agent("events", "-w", "--types", "Warning")).code, 130);
  assertEquals(text.split("\n").slice(1, 3).map((line) => line.split(/\s+/).slice(0, 3)), [
    ["5m", "Warning", "BackOff"],
    ["0s", "Warning", "Killing"],
  ]);
});
