/** When certificates are renewed. */
import { assert, assertEquals } from "@std/assert";
import { renewalOf } from "../../../../../agent/cluster/certificates/renewal.ts";

const hour = 3_600_000;
const life = { notBefore: 0, notAfter: 100 * hour };

Deno.test("renewal is due at a random point between 70 and 90 percent of the life", () => {
  assertEquals(renewalOf(life, 69 * hour, 0), { state: "wait", ms: hour });
  assertEquals(renewalOf(life, 70 * hour, 0), { state: "due" });
  assertEquals(renewalOf(life, 89 * hour, 0.999).state, "wait");
  assertEquals(renewalOf(life, 90 * hour, 0.999).state, "due");
  const points = Array.from({ length: 100 }, (_, i) => renewalOf(life, 50 * hour, i / 100));
  assert(points.every((p) => p.state === "wait" && p.ms >= 20 * hour && p.ms <= 24 * hour));
});

Deno.test("what has ended and what has not begun are told apart; a clock a little behind is no matter", () => {
  assertEquals(renewalOf(life, 100 * hour, 0), { state: "expired" });
  assertEquals(renewalOf(life, -hour, 0), { state: "early", ms: hour });
  assertEquals(renewalOf(life, -1000, 0).state, "wait");
});
