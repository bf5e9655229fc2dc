/** Back-off against the clock: what golden stories with their one instant cannot tell. */
import { assert, assertEquals } from "@std/assert";
import type { Container } from "../../../../agent/model/gen/v1.ts";
import type { ObservedContainer } from "../../../../agent/model/observed.ts";
import {
  defaultBackOff,
  isDue,
  nextFailure,
  nextStart,
  restartsAfter,
  ruleFor,
} from "../../../../agent/model/restart.ts";

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

const after = (
  container: Partial<Container>,
  code: number,
  more: { pod?: string; init?: boolean; failed?: boolean } = {},
) =>
  restartsAfter(
    { containers: [], restartPolicy: more.pod ?? "Always" },
    { name: "a", ...container },
    more.init ?? false,
    { code, failed: more.failed ?? false },
  );

Deno.test("a container's own restartPolicy goes before the pod's; an init container that succeeded never runs again", () => {
  const table: [boolean, boolean][] = [
    [after({}, 0), true],
    [after({}, 1, { pod: "Never" }), false],
    [after({}, 0, { pod: "OnFailure" }), false],
    [after({}, 0, { pod: "OnFailure", failed: true }), true],
    [after({ restartPolicy: "Never" }, 1), false],
    [after({ restartPolicy: "OnFailure" }, 1, { pod: "Never" }), true],
    [after({ restartPolicy: "Always" }, 0, { pod: "Never" }), true],
    [after({}, 0, { init: true }), false],
    [after({}, 1, { init: true }), true],
    [after({ restartPolicy: "Never" }, 1, { init: true }), false],
    [after({ restartPolicy: "OnFailure" }, 1, { init: true, pod: "Never" }), true],
    [after({ restartPolicy: "Always" }, 0, { init: true, pod: "Never" }), true],
  ];
  assertEquals(table.map(([is]) => is), table.map(([, should]) => should));
});

Deno.test("restartPolicyRules: the first action whose exitCodes, by operator and values, match goes before the policy", () => {
  const container = {
    restartPolicy: "Never",
    restartPolicyRules: [
      { action: "Restart", exitCodes: { operator: "In", values: [1, 2] } },
      { action: "RestartAllContainers", exitCodes: { operator: "NotIn", values: [0, 1, 3] } },
    ],
  };
  const rule = (code: number) => ruleFor({ name: "a", ...container }, code);
  assertEquals([0, 1, 2, 3, 4].map(rule), [
    undefined,
    "Restart",
    "Restart",
    undefined,
    "RestartAllContainers",
  ]);
  assertEquals([0, 1, 2, 3, 4].map((code) => after(container, code)), [false, true, true, false, true]);
  const always = { restartPolicyRules: [{ action: "Restart", exitCodes: { operator: "NotIn" } }] };
  assertEquals(
    [after({ ...container, ...always }, 0), after({ ...container, ...always }, 0, { init: true })],
    [true, false],
  );
});
