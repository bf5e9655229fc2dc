/** Back-off against the clock: what golden stories with their one instant cannot tell. */
import { assert, assertEquals } from "@std/assert";
import type { Container } from "../../../../agent/model/gen/v1.ts";
import { emptyObservation, type ObservedContainer } from "../../../../agent/model/observed.ts";
import {
  defaultBackOff,
  isDue,
  nextFailure,
  nextStart,
  restartsAfter,
  ruleFor,
} from "../../../../agent/model/restart.ts";
import { endedOf, noteSpans } from "../../../../agent/model/spans.ts";

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

Deno.test("where only the runtime's times are known, a clock that was set back by an hour delays no start by an hour", () => {
  const now = start - hour;
  assert(nextStart(exited(start, 20_000), defaultBackOff, now).at <= now);
  assert(nextStart(exited(start, 0, 10 * minute), defaultBackOff, now).at <= now);
});

Deno.test("a jump of the clock in either direction neither fires nor stalls a container's back-off", () => {
  for (const jump of [0, -hour, hour]) {
    const c = { ...exited(start, 20_000), id: "c", name: "c" };
    const running = { ...c, state: "running" as const };
    const pod = (container: ObservedContainer) => ({
      ...emptyObservation("u", "d", "p"),
      containers: [container],
    });
    let spans = noteSpans(new Map(), pod(running), { now: start - 1000, steady: 500 });
    spans = noteSpans(spans, pod(c), { now: start + 10, steady: 1510 });
    for (const passed of [0, 19_989, 19_990]) {
      const now = start + 10 + jump + passed;
      spans = noteSpans(spans, pod(c), { now, steady: 1510 + passed });
      const { at } = nextStart(c, defaultBackOff, now, endedOf(spans.get("c"), 1510 + passed));
      assertEquals(at - now, 19_990 - passed, `${jump} ${passed}`);
    }
  }
});

Deno.test("a jump of the clock while a container runs makes its run neither long nor short", () => {
  for (const jump of [-hour, hour]) {
    const c = { ...exited(start + jump, 40_000), startedAt: start - 1000, id: "c", name: "c" };
    const pod = (container: ObservedContainer) => ({
      ...emptyObservation("u", "d", "p"),
      containers: [container],
    });
    let spans = noteSpans(new Map(), pod({ ...c, state: "running" }), { now: start - 1000, steady: 500 });
    spans = noteSpans(spans, pod(c), { now: start + jump, steady: 1500 });
    const ended = endedOf(spans.get("c"), 1500);
    assertEquals(ended, { ran: 1000, ago: 0 });
    assertEquals(nextStart(c, defaultBackOff, start + jump, ended).backOff, 80_000);
  }
});

Deno.test("a step that failed is tried again by the clock that never jumps", () => {
  const failure = nextFailure(undefined, 500, "ErrImagePull", "no such image");
  assertEquals([500, 10_499, 10_500].map((steady) => isDue(failure, steady)), [false, false, true]);
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
