import { assert, assertEquals } from "@std/assert";
import type { Container, Probe } from "../../../../agent/model/gen/v1.ts";
import {
  type Beginning,
  beginWatch,
  dueOf,
  learn,
  probeEvent,
  type ProbeKind,
  probeKinds,
  type ProbeResult,
  reviseWatch,
  verdictOf,
  type Watch,
} from "../../../../agent/model/probe.ts";

const good: ProbeResult = { outcome: "success", message: "" };
const bad: ProbeResult = { outcome: "failure", message: "no" };
const unasked: ProbeResult = { outcome: "unknown", message: "runtime away" };

const probe = (more: Partial<Probe> = {}): Probe => ({ exec: { command: ["check"] }, ...more });
const web = (probes: Partial<Container>): Container => ({ name: "web", image: "web:1", ...probes });
const fresh: Beginning = { now: 1000, age: 0, jitter: 0.5 };
const adopted: Beginning = { ...fresh, age: 60_000, before: "unknown" };

const due = (w: Watch) => probeKinds.map((kind) => dueOf(w, kind));
const all = (w: Watch, kind: ProbeKind, ...results: ProbeResult[]): Watch =>
  results.reduce((now, r) => learn(now, kind, r, 1000), w);
const ready = (w: Watch) => verdictOf(w).ready;

Deno.test("without probes a container is started and ready", () => {
  assertEquals(verdictOf(beginWatch(web({}), fresh)), { started: true, ready: true });
});

Deno.test("readiness begins false, and its thresholds count results in a row", () => {
  const w = beginWatch(
    web({ readinessProbe: probe({ successThreshold: 2, failureThreshold: 3 }) }),
    fresh,
  );
  assertEquals([ready(w), ready(all(w, "readiness", good)), ready(all(w, "readiness", good, good))], [
    false,
    false,
    true,
  ]);
  assert(!ready(all(w, "readiness", good, bad, good)));
  const up = all(w, "readiness", good, good);
  assert(ready(all(up, "readiness", bad, bad, good, bad, bad)));
  assert(!ready(all(up, "readiness", bad, bad, bad)));
  assert(ready(all(up, "readiness", bad, bad, bad, good, good)));
  assertEquals(verdictOf(all(up, "readiness", bad, bad, bad)).failed, undefined);
});

Deno.test("a question that could not be put counts for nothing, a warning as a success", () => {
  const w = beginWatch(web({ readinessProbe: probe({ failureThreshold: 2 }) }), fresh);
  const up = all(w, "readiness", { outcome: "warning", message: "moved" });
  assert(ready(up));
  assert(ready(all(up, "readiness", bad, unasked)));
  assert(!ready(all(up, "readiness", bad, unasked, bad)));
});

Deno.test("thresholds and times left out are the API's", () => {
  const w = beginWatch(web({ livenessProbe: probe() }), fresh);
  assertEquals(verdictOf(all(w, "liveness", bad, bad)).failed, undefined);
  assertEquals(verdictOf(all(w, "liveness", bad, bad, bad)).failed, { kind: "liveness", message: "no" });
  assertEquals(dueOf(all(w, "liveness", bad), "liveness"), 11_000);
});

Deno.test("a failed liveness probe is not asked again, and brings its own grace", () => {
  const w = beginWatch(
    web({
      livenessProbe: probe({ failureThreshold: 1, terminationGracePeriodSeconds: 7 }),
      readinessProbe: probe(),
    }),
    fresh,
  );
  const failed = all(w, "liveness", bad);
  assertEquals(verdictOf(failed).failed, { kind: "liveness", message: "no", graceSeconds: 7 });
  assertEquals(due(failed), [undefined, undefined, 1000]);
});

Deno.test("the startup probe holds the others back, which are asked at once when it has succeeded", () => {
  const w = beginWatch(
    web({
      startupProbe: probe({ periodSeconds: 1 }),
      livenessProbe: probe(),
      readinessProbe: probe({ initialDelaySeconds: 60 }),
    }),
    fresh,
  );
  assertEquals(verdictOf(w), { started: false, ready: false });
  assertEquals(due(w), [1000, undefined, undefined]);
  const started = learn(w, "startup", good, 4000);
  assertEquals(verdictOf(started), { started: true, ready: false });
  assertEquals(due(started), [undefined, 4000, 61_000]);
});

Deno.test("a startup probe that fails as often as it may ends the container", () => {
  const w = beginWatch(web({ startupProbe: probe({ failureThreshold: 2 }) }), fresh);
  const failed = all(w, "startup", bad, bad);
  assertEquals(verdictOf(failed), {
    started: false,
    ready: false,
    failed: { kind: "startup", message: "no" },
  });
  assertEquals(due(failed), [undefined, undefined, undefined]);
});

Deno.test("the initial delay is counted from the container's start, whatever a clock that was set says", () => {
  const w = (age: number) =>
    dueOf(
      beginWatch(web({ livenessProbe: probe({ initialDelaySeconds: 30 }) }), { ...fresh, age }),
      "liveness",
    );
  assertEquals([w(0), w(10_000), w(40_000), w(-5_000_000)], [31_000, 21_000, 1000, 31_000]);
});

Deno.test("periods do not drift, and those that a slow answer missed are left out", () => {
  const w = beginWatch(web({ readinessProbe: probe({ periodSeconds: 10 }) }), fresh);
  const once = learn(w, "readiness", good, 1700);
  assertEquals(dueOf(once, "readiness"), 11_000);
  assertEquals(dueOf(learn(once, "readiness", bad, 32_500), "readiness"), 41_000);
  assertEquals(dueOf(learn(w, "readiness", unasked, 1000), "readiness"), 11_000);
});

Deno.test("who ran before this agent did is started and ready until its probes have failed as often as they may", () => {
  const c = web({
    startupProbe: probe({ failureThreshold: 2 }),
    readinessProbe: probe({ failureThreshold: 2 }),
  });
  const w = beginWatch(c, adopted);
  assertEquals(verdictOf(w), { started: true, ready: true });
  assertEquals([due(w)[1], due(w)[2]], [undefined, undefined]);
  assertEquals(verdictOf(all(w, "startup", bad)), { started: true, ready: true });
  assertEquals(verdictOf(all(w, "startup", bad, bad)).failed?.kind, "startup");
  const on = all(w, "startup", good);
  assert(ready(all(on, "readiness", bad)));
  assert(!ready(all(on, "readiness", bad, bad)));
});

Deno.test("who ran before this agent did and is remembered stays as it was until its probes say otherwise", () => {
  const c = web({
    startupProbe: probe(),
    readinessProbe: probe({ failureThreshold: 2 }),
    livenessProbe: probe(),
  });
  const known = (started: boolean, ready: boolean) =>
    beginWatch(c, { ...adopted, before: { started, ready } });
  const held = known(false, false);
  assertEquals([verdictOf(held), due(held).map((t) => t !== undefined)], [
    { started: false, ready: false },
    [true, false, false],
  ]);
  const unready = known(true, false);
  assertEquals([verdictOf(unready), due(unready).map((t) => t !== undefined)], [
    { started: true, ready: false },
    [false, true, true],
  ]);
  assert(ready(all(unready, "readiness", good)));
  const up = known(true, true);
  assertEquals([ready(up), ready(all(up, "readiness", bad)), ready(all(up, "readiness", bad, bad))], [
    true,
    true,
    false,
  ]);
  const edited = beginWatch(web({}), { ...adopted, before: { started: false, ready: false } });
  assertEquals(verdictOf(edited), { started: true, ready: true }, "probes that are gone say nothing");
});

Deno.test("the first questions to adopted containers are spread over the period, to new ones they come at once", () => {
  const c = web({ livenessProbe: probe(), readinessProbe: probe() });
  const at = (b: Beginning) => due(beginWatch(c, b)).slice(1).map((t) => Math.round(t!));
  assertEquals(at(fresh), [1000, 1000]);
  assertEquals(at({ ...adopted, jitter: 0 }), [4333, 7667]);
  for (const jitter of [0, 0.3, 0.99]) {
    assert(at({ ...adopted, jitter }).every((t) => t >= 1000 && t < 11_000));
  }
});

Deno.test("an edited probe is asked at once, and what held so far holds until it speaks", () => {
  const c = web({ livenessProbe: probe(), readinessProbe: probe() });
  const up = all(beginWatch(c, fresh), "readiness", good);
  assertEquals(reviseWatch(up, structuredClone(c), false, 5000), up);
  const edited = reviseWatch(up, { ...c, readinessProbe: probe({ failureThreshold: 1 }) }, false, 5000);
  assertEquals([ready(edited), ...due(edited)], [true, undefined, 1000, 5000]);
  assert(!ready(all(edited, "readiness", bad)));
  const without = reviseWatch(all(edited, "readiness", bad), web({}), false, 6000);
  assertEquals([ready(without), ...due(without)], [true, undefined, undefined, undefined]);
  const late = reviseWatch(up, { ...c, startupProbe: probe() }, false, 5000);
  assertEquals([verdictOf(late).started, due(late)[0]], [true, undefined]);
});

Deno.test("of a pod that ends only readiness is asked", () => {
  const w = beginWatch(web({ livenessProbe: probe(), readinessProbe: probe() }), fresh);
  const ending = reviseWatch(w, web({ livenessProbe: probe(), readinessProbe: probe() }), true, 1000);
  assertEquals(due(ending), [undefined, undefined, 1000]);
});

Deno.test("events are the kubelet's", () => {
  assertEquals(probeEvent("liveness", good), undefined);
  assertEquals(probeEvent("readiness", bad), { reason: "Unhealthy", message: "Readiness probe failed: no" });
  assertEquals(probeEvent("startup", { outcome: "warning", message: "x" })?.reason, "ProbeWarning");
});
