/** Back-off against the clock: what golden stories with their one instant cannot tell. */
import { assert, assertEquals } from "@std/assert";
import type { ObservedContainer } from "../../../../agent/model/observed.ts";
import { defaultBackOff, isDue, nextFailure, nextStart } from "../../../../agent/model/restart.ts";

const minute = 60_000;
const hour = 60 * minute;
const start = Date.parse("2026-01-01T12:00:00Z");

const exited = (finishedAt: number, backOff: number, ran = 1_000) =>
  ({
    state: "exited",
    createdAt: finishedAt - ran,
    startedAt: finishedAt - ran,
    finishedAt,
    backOff,
  }) as ObservedContainer;

Deno.test("a container waits for its back-off after its exit", () => {
  const { at, backOff } = nextStart(exited(start, 20_000), defaultBackOff, start + 1);
  assertEquals([at, backOff], [start + 20_000, 40_000]);
});

Deno.test("a long run forgets the history", () => {
  const { at, backOff } = nextStart(exited(start, 80_000, 10 * minute), defaultBackOff, start + 1);
  assertEquals([at, backOff], [start, 10_000]);
});

Deno.test("a clock that was set back by an hour delays no start by an hour", () => {
  const now = start - hour;
  assertEquals(nextStart(exited(start, 20_000), defaultBackOff, now), { at: now, backOff: 40_000 });
  assertEquals(nextStart(exited(start, 0, 10 * minute), defaultBackOff, now).at, now);
});

Deno.test("a clock that was set back delays no second try either", () => {
  const failure = nextFailure(undefined, start, "ErrImagePull", "no such image");
  assert(!isDue(failure, start));
  assert(!isDue(failure, start + 9_999));
  assert(isDue(failure, start + 10_000));
  assert(isDue(failure, start - hour));
});
