/** The heartbeat behind /healthz and the watchdog. */
import { assertEquals } from "@std/assert";
import { createHeartbeat } from "../../../../agent/compose/liveness.ts";

Deno.test("an agent whose loops stand still is not alive until one goes round again", () => {
  let now = 0;
  const heartbeat = createHeartbeat({ monotonic: () => now });
  now = 59_000;
  assertEquals(heartbeat.live().ok, true);
  now = 61_000;
  assertEquals(heartbeat.live(), { ok: false, reasons: ["the agent's loops have not gone round for 61 s"] });
  heartbeat.beat();
  assertEquals(heartbeat.live().ok, true);
});
