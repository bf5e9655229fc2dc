import {
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { createMetrics, instrument } from "../../../../agent/lib/metrics.ts";

Deno.test("the text format: sorted, escaped, cumulative buckets", () => {
  const m = createMetrics();
  m.gauge("pods", "Pods.\nNow").set(3);
  const runs = m.counter("a_total", "Runs.");
  runs.inc({ path: 'a"b\\c\nd' });
  runs.inc({ path: 'a"b\\c\nd' }, 2);
  const h = m.histogram("wait_seconds", "Waits.", [0.1, 1]);
  for (const v of [0.1, 0.5, 7]) h.observe(v, { z: "1", a: "2" });
  assertEquals(
    m.render(),
    `# HELP a_total Runs.
# TYPE a_total counter
a_total{path="a\\"b\\\\c\\nd"} 3
# HELP pods Pods.\\nNow
# TYPE pods gauge
pods 3
# HELP wait_seconds Waits.
# TYPE wait_seconds histogram
wait_seconds_bucket{a="2",z="1",le="0.1"} 1
wait_seconds_bucket{a="2",z="1",le="1"} 2
wait_seconds_bucket{a="2",z="1",le="+Inf"} 3
wait_seconds_sum{a="2",z="1"} 7.6
wait_seconds_count{a="2",z="1"} 3
`,
  );
});

Deno.test("label sets are bounded: the rest is counted as other, nothing is lost", () => {
  const m = createMetrics();
  for (let i = 0; i < 1000; i++) m.counter("c", "C.").inc({ id: String(i) });
  const lines = m.render().split("\n").filter((l) => l.startsWith("c{"));
  assertEquals(lines.length, 257);
  assertEquals(lines.find((l) => l.includes("other")), 'c{id="other"} 744');
});

Deno.test("a name has one kind", () => {
  const m = createMetrics();
  m.counter("x", "X.");
  assertThrows(() => m.gauge("x", "X."), TypeError);
});

Deno.test("instrument times promises, counts failures by reason, leaves the rest alone", async () => {
  const port = {
    size: 4,
    calls: 0,
    now: () => 42,
    // deno-lint-ignore require-await -- the shape of a port method
    async read(path: string) {
      this.calls++;
      if (path === "bad") throw Object.assign(new Error("no"), { reason: "ErrImagePull" });
      return path.length;
    },
  };
  const m = createMetrics();
  const timed = instrument(port, "images", m);
  assertEquals([timed.size, timed.now(), await timed.read("four")], [4, 42, 4]);
  await assertRejects(() => timed.read("bad"), Error, "no");
  assertEquals(port.calls, 2, "methods keep their object");
  const { read } = timed;
  assertStrictEquals(timed.read, read);
  const text = m.render();
  assertStringIncludes(text, 'agent_port_seconds_count{method="read",port="images"} 2\n');
  assertStringIncludes(
    text,
    'agent_port_errors_total{method="read",port="images",reason="ErrImagePull"} 1\n',
  );
  assertEquals(text.includes('method="now"'), false);
});
