import { assertEquals } from "@std/assert";
import { createLog } from "../../../../agent/lib/log.ts";
import { runForever } from "../../../../agent/lib/tasks.ts";

/** A supervisor whose pauses take no time and are recorded. */
function supervised(signal: AbortSignal) {
  const lines: string[] = [];
  const pauses: number[] = [];
  let clock = 0;
  const log = createLog({ write: (l) => lines.push(l), format: "json", verbosity: 0, now: () => 0 });
  return {
    lines,
    pauses,
    pass: (ms: number) => clock += ms,
    options: {
      signal,
      log,
      backOff: { initialMs: 100, maxMs: 1000 },
      random: () => 0,
      monotonic: () => clock,
      pause: (ms: number) => {
        pauses.push(ms);
        return Promise.resolve();
      },
    },
  };
}

Deno.test("failures back off up to the limit; a long run begins anew", async () => {
  const controller = new AbortController();
  const s = supervised(controller.signal);
  let runs = 0;
  await runForever("loop", () => {
    runs++;
    if (runs === 7) s.pass(1001);
    if (runs === 9) controller.abort();
    return runs === 2 ? Promise.resolve() : Promise.reject(new Error(`failure ${runs}`));
  }, s.options);
  assertEquals(runs, 9);
  assertEquals(s.pauses, [80, 160, 320, 640, 800, 800, 80, 160]);
  const logged = s.lines.map((l) => JSON.parse(l));
  assertEquals(logged[0], {
    task: "loop",
    error: "failure 1",
    pauseMs: 80,
    ts: "1970-01-01T00:00:00.000Z",
    level: "warn",
    msg: "task ended and is started anew",
  });
  assertEquals([logged[1].level, logged[1].error], ["info", undefined]);
  assertEquals(logged.length, 8, "what ends through the abort is no failure");
});

Deno.test("a synchronous throw is a failure too", async () => {
  const controller = new AbortController();
  const s = supervised(controller.signal);
  let runs = 0;
  await runForever("loop", () => {
    if (++runs === 2) controller.abort();
    throw new TypeError("bug");
  }, s.options);
  assertEquals([runs, s.lines.length], [2, 1]);
});

Deno.test("an abort during the pause ends it", async () => {
  const controller = new AbortController();
  const s = supervised(controller.signal);
  const { pause: _, ...options } = s.options;
  const failed = Promise.withResolvers<void>();
  const forever = runForever("loop", () => {
    failed.resolve();
    return Promise.reject(new Error("x"));
  }, { ...options, backOff: { initialMs: 1e8, maxMs: 1e9 } });
  await failed.promise;
  controller.abort();
  await forever;
});
