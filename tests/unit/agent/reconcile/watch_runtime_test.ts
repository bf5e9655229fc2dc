/** Nudges from the runtime: by events at once, by relists only for what changed, sooner after a failure. */
import { assertEquals } from "@std/assert";
import { silentLog } from "../../../../agent/lib/log.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import { emptyObservation, type ObservedPod } from "../../../../agent/model/observed.ts";
import type { Runtime, RuntimeEvent } from "../../../../agent/ports.ts";
import { runRuntimeWatch } from "../../../../agent/reconcile/watch_runtime.ts";
import { createFakeHost, type FakeHost } from "../../../fakes/host.ts";

interface Lab {
  host: FakeHost;
  nudges: (string | undefined)[];
  /** How often the runtime was asked for all its pods, and how often that worked. */
  lists: number;
  told: number;
  pods: ObservedPod[];
  failing: boolean;
  tell(event: RuntimeEvent): void;
  breakEvents(): void;
}

const noEvents = new AgentError("Unknown", "the runtime offers no events", { retry: false });

/** A runtime with or without events under a clock that stands still. */
async function withWatch(hasEvents: boolean, test: (lab: Lab) => Promise<void>): Promise<void> {
  const leave = new AbortController();
  let stream = new TransformStream<RuntimeEvent>();
  let writer = stream.writable.getWriter();
  const lab: Lab = {
    host: createFakeHost(),
    nudges: [],
    lists: 0,
    told: 0,
    pods: [],
    failing: false,
    tell: (event) => void writer.write(event),
    breakEvents: () => void writer.abort(new Error("reset")).catch(() => {}),
  };
  const runtime = {
    async *events(signal: AbortSignal) {
      if (!hasEvents) throw noEvents;
      stream = new TransformStream();
      writer = stream.writable.getWriter();
      signal.addEventListener("abort", () => writer.close().catch(() => {}), { once: true });
      yield* stream.readable;
    },
    observe() {
      lab.lists++;
      return lab.failing ? Promise.reject(new Error("down")) : Promise.resolve(lab.pods);
    },
  };
  const watch = runRuntimeWatch({
    host: lab.host,
    runtime: runtime as unknown as Runtime,
    log: silentLog,
    nudge: (uid) => lab.nudges.push(uid),
    listed: () => lab.told++,
    relist: { withEvents: 60_000, withoutEvents: 1000 },
  }, leave.signal);
  try {
    await lab.host.settle();
    await test(lab);
  } finally {
    leave.abort();
    await watch;
  }
}

const pod = (uid: string, ready = true): ObservedPod => ({
  ...emptyObservation(uid, "default", uid),
  sandboxes: [{ id: uid, attempt: 0, ready, createdAt: 1, ips: [], hash: "", runtimeHandler: "" }],
});

Deno.test("without events a relist each second nudges only the pods that changed", () =>
  withWatch(false, async (lab) => {
    lab.pods = [pod("a"), pod("b")];
    await lab.host.advance(1000);
    assertEquals(lab.nudges.splice(0), ["a", "b"]);
    for (let i = 0; i < 5; i++) await lab.host.advance(1000);
    assertEquals([lab.lists, lab.told, lab.nudges], [6, 6, []]);
    lab.pods = [pod("a", false), pod("c")];
    await lab.host.advance(1000);
    assertEquals(lab.nudges, ["a", "c", "b"]);
  }));

Deno.test("with events a nudge comes at once, and lists only once a minute", () =>
  withWatch(true, async (lab) => {
    lab.tell({ uid: "a" });
    await lab.host.settle();
    assertEquals(lab.nudges, ["a"]);
    await lab.host.advance(1000);
    const before = lab.lists;
    for (let i = 0; i < 59; i++) await lab.host.advance(1000);
    assertEquals(lab.lists - before, 0);
    await lab.host.advance(2000);
    assertEquals(lab.lists - before, 1);
  }));

Deno.test("a stream that breaks after it served nudges all, a list that fails is tried again soon", () =>
  withWatch(true, async (lab) => {
    for (let i = 0; i < 5; i++) await lab.host.advance(1000);
    lab.breakEvents();
    await lab.host.settle();
    assertEquals(lab.nudges, [undefined]);
    lab.failing = true;
    for (let i = 0; i < 70; i++) await lab.host.advance(1000);
    const [lists, told] = [lab.lists, lab.told];
    for (let i = 0; i < 10; i++) await lab.host.advance(1000);
    assertEquals([lab.lists - lists, lab.told - told], [2, 0]);
    lab.failing = false;
    for (let i = 0; i < 5; i++) await lab.host.advance(1000);
    assertEquals(lab.told - told, 1);
  }));

Deno.test("what happens between two streams is found by a list, not only a minute later", () =>
  withWatch(true, async (lab) => {
    lab.pods = [pod("a")];
    for (let i = 0; i < 5; i++) await lab.host.advance(1000);
    lab.breakEvents();
    await lab.host.settle();
    lab.nudges.splice(0);
    lab.pods = [pod("a", false)];
    for (let i = 0; i < 4; i++) await lab.host.advance(1000);
    assertEquals(lab.nudges, ["a"]);
    const before = lab.lists;
    for (let i = 0; i < 20; i++) await lab.host.advance(1000);
    assertEquals(lab.lists, before, "with a stream the lists are rare again");
  }));
