/** The runner of probes by itself: what it asks, when, how many at once, and that nothing of it stays behind. */
import { assert, assertEquals } from "@std/assert";
import type { Container, Pod, Probe } from "../../../../agent/model/gen/v1.ts";
import {
  emptyObservation,
  type ObservedContainer,
  type ObservedPod,
} from "../../../../agent/model/observed.ts";
import type { ExecResult } from "../../../../agent/ports.ts";
import { createHost } from "../../../../agent/host.ts";
import { createGate } from "../../../../agent/lib/gate.ts";
import { createPodProbes, type PodProbes } from "../../../../agent/reconcile/probes.ts";
import { type Answer, createFakeProber } from "../../../fakes/prober.ts";

type Exec = (id: string, command: readonly string[], signal: AbortSignal) => ExecResult | Promise<ExecResult>;

interface Lab {
  probes: PodProbes;
  events: string[];
  asked: string[];
  /** Resolves with the next change of a verdict. */
  change(): Promise<void>;
}

interface LabOptions {
  exec?: Exec;
  answer?: Answer;
  places?: number;
  keep?: (note: string) => Promise<void>;
  /** The wall clock. */
  now?: () => number;
}

function createLab(o: LabOptions = {}): Lab {
  const [events, asked]: string[][] = [[], []];
  let wake = () => {};
  const execSync = async (id: string, command: readonly string[], _timeout: number, signal: AbortSignal) => {
    asked!.push(`${id}: ${command.join(" ")}`);
    return await (o.exec?.(id, command, signal) ?? { exitCode: 0, output: "" });
  };
  const gate = () => createGate(o.places ?? 10);
  const probes = createPodProbes(
    {
      host: { ...createHost(), ...(o.now === undefined ? {} : { now: o.now }) },
      runtime: { execSync },
      prober: createFakeProber(o.answer),
      places: { exec: gate(), network: gate() },
      hostIPs: ["192.0.2.1"],
      jitter: () => 0,
    },
    (_type, reason, message) => events!.push(`${reason}: ${message}`),
    () => wake(),
    o.keep ?? (() => Promise.resolve()),
  );
  return { probes, events: events!, asked: asked!, change: () => new Promise((resolve) => wake = resolve) };
}

const often = (more: Partial<Probe>): Probe => ({ periodSeconds: 0.01, failureThreshold: 1, ...more });
const check = (name = "check", more: Partial<Probe> = {}) => often({ exec: { command: [name] }, ...more });

const podOf = (...containers: Partial<Container>[]): Pod => ({
  metadata: { name: "web" },
  spec: { containers: containers.map((c, i) => ({ name: `c${i}`, image: "a", ...c })) },
});

const running = (pod: Pod, state: ObservedContainer["state"] = "running"): ObservedPod => ({
  ...emptyObservation("u", "default", "web"),
  sandboxes: [{
    id: "box",
    attempt: 0,
    ready: true,
    createdAt: 1,
    ips: ["10.0.0.5"],
    hash: "",
    runtimeHandler: "",
  }],
  containers: pod.spec!.containers.map((c) => ({
    id: `${c.name}-id`,
    name: c.name,
    sandboxId: "box",
    attempt: 0,
    state,
    createdAt: Date.now(),
    startedAt: Date.now(),
    image: "a",
    imageRef: "a",
    hash: "",
    backOff: 0,
    graceSeconds: 30,
    logPath: "",
  })),
});

/** A pod whose containers have been seen to start. */
function begin(lab: Lab, pod: Pod): void {
  lab.probes.follow(pod, emptyObservation("u", "default", "web"), false);
  lab.probes.follow(pod, running(pod), false);
}

const until = async (what: () => boolean) => {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 2));
};

Deno.test("verdicts follow the answers, and only a change of them is told", async () => {
  let code = 1;
  const lab = createLab({ exec: () => ({ exitCode: code, output: "not yet" }) });
  begin(lab, podOf({ readinessProbe: check() }));
  assertEquals(lab.probes.verdicts().get("c0-id"), { started: true, ready: false });
  await until(() => lab.events.length >= 3);
  assertEquals(lab.events[0], "Unhealthy: Readiness probe failed: not yet");
  const changed = lab.change();
  code = 0;
  await changed;
  assertEquals(lab.probes.verdicts().get("c0-id"), { started: true, ready: true });
  lab.probes.end();
});

Deno.test("a command that runs too long fails, one that cannot be run counts for nothing", async () => {
  const exec: Exec = (_id, [name]) => {
    if (name === "lost") throw new Error("runtime away");
    return { exitCode: undefined, output: "" };
  };
  const lab = createLab({ exec });
  const changed = lab.change();
  begin(lab, podOf({ livenessProbe: check("slow") }, { livenessProbe: check("lost") }));
  await changed;
  await until(() => lab.events.filter((e) => e.includes("errored")).length >= 3);
  assertEquals(lab.probes.verdicts().get("c0-id")?.failed?.message, 'command "slow" timed out after 1s');
  assertEquals(lab.probes.verdicts().get("c1-id")?.failed, undefined);
  assertEquals(lab.asked.filter((a) => a.startsWith("c0")).length, 1, "what has failed is not asked again");
  assert(lab.events.includes("Unhealthy: Liveness probe errored: runtime away"));
  lab.probes.end();
});

Deno.test("questions over the network go to the pod's address, or the node's", async () => {
  const asked: string[] = [];
  const answer: Answer = (t) => {
    asked.push(t.kind === "http" ? t.url : `${t.host}:${t.port}`);
    return { outcome: "success", message: "" };
  };
  const container = {
    readinessProbe: often({ tcpSocket: { port: 80 } }),
    livenessProbe: often({ httpGet: { port: 81 } }),
  };
  for (const hostNetwork of [false, true]) {
    const lab = createLab({ answer });
    const pod = podOf(container);
    begin(lab, { ...pod, spec: { ...pod.spec!, hostNetwork } });
    const from = asked.length;
    await until(() => asked.length >= from + 2);
    const host = hostNetwork ? "192.0.2.1" : "10.0.0.5";
    assertEquals(new Set(asked.slice(from)), new Set([`${host}:80`, `http://${host}:81/`]));
    lab.probes.end();
  }
});

Deno.test("the last answer of each probe is told, with how often in a row it came", async () => {
  const lab = createLab({
    exec: (_id, [name]) => ({ exitCode: name === "bad" ? 1 : 0, output: `${name} says` }),
  });
  const pod = podOf({ readinessProbe: check("bad", { failureThreshold: 9 }), livenessProbe: check("good") });
  begin(lab, pod);
  assertEquals(lab.probes.reports().map((r) => [r.container, r.kind, r.last]), [
    ["c0", "liveness", undefined],
    ["c0", "readiness", undefined],
  ]);
  const last = (kind: string) => lab.probes.reports().find((r) => r.kind === kind)?.last;
  await until(() => (last("readiness")?.inARow ?? 0) >= 2 && (last("liveness")?.inARow ?? 0) >= 2);
  assertEquals([last("readiness")?.outcome, last("readiness")?.message], ["failure", "bad says"]);
  assertEquals([last("liveness")?.outcome, last("liveness")?.secondsAgo], ["success", 0]);
  lab.probes.follow(pod, running(pod, "exited"), false);
  assertEquals(lab.probes.reports(), []);
});

Deno.test("a container that has ended is asked no more, but why it was ended is still known", async () => {
  const lab = createLab({ exec: () => ({ exitCode: 1, output: "" }) });
  const pod = podOf({ livenessProbe: check("live"), readinessProbe: check("ready") });
  const changed = lab.change();
  begin(lab, pod);
  await changed;
  lab.probes.follow(pod, running(pod, "exited"), false);
  const asked = lab.asked.length;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals(lab.asked.length, asked);
  assertEquals(lab.probes.verdicts().get("c0-id")?.failed?.kind, "liveness");
  lab.probes.follow(pod, emptyObservation("u", "default", "web"), false);
  assertEquals(lab.probes.verdicts().size, 0);
});

Deno.test("no more at once than there are places, and a question under way ends with its container", async () => {
  let [under, most, given] = [0, 0, 0];
  const exec: Exec = (_id, _command, signal) => {
    most = Math.max(most, ++under);
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => (under--, given++, reject(new Error("aborted"))), { once: true })
    );
  };
  const lab = createLab({ exec, places: 2 });
  const pod = podOf(...Array.from({ length: 5 }, () => ({ readinessProbe: check() })));
  begin(lab, pod);
  await until(() => under === 2);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assertEquals([under, most], [2, 2]);
  lab.probes.follow(pod, running(pod, "exited"), false);
  await until(() => under === 0);
  assertEquals([most, given, lab.events], [2, 2, []]);
});

Deno.test("an edited probe replaces the one that is being asked", async () => {
  const answers: (() => void)[] = [];
  const exec: Exec = (_id, [name]) =>
    name === "old"
      ? new Promise((resolve) => answers.push(() => resolve({ exitCode: 1, output: "" })))
      : { exitCode: 0, output: "" };
  const lab = createLab({ exec });
  begin(lab, podOf({ livenessProbe: check("old") }));
  await until(() => answers.length === 1);
  const edited = podOf({ livenessProbe: check("new") });
  lab.probes.follow(edited, running(edited), false);
  answers[0]!();
  await until(() => lab.asked.includes("c0-id: new"));
  assertEquals([lab.probes.verdicts().get("c0-id")?.failed, lab.events], [undefined, []]);
  lab.probes.end();
});

Deno.test("what ran before counts as ready, a sidecar only when the pod has gone on after it", () => {
  const side: Container = { name: "side", image: "a", restartPolicy: "Always", startupProbe: check() };
  const pod = podOf({ readinessProbe: check(), startupProbe: check() });
  const whole = { ...pod, spec: { ...pod.spec!, initContainers: [side] } };
  const all = running({ ...pod, spec: { containers: [side, ...pod.spec!.containers] } });
  const first = createLab();
  first.probes.follow(whole, all, false);
  assertEquals([...first.probes.verdicts().values()], [
    { started: true, ready: true },
    { started: true, ready: true },
  ]);
  first.probes.end();
  const early = createLab();
  early.probes.follow(whole, { ...all, containers: all.containers.slice(0, 1) }, false);
  assertEquals(early.probes.verdicts().get("side-id")?.started, false);
  early.probes.end();
});

Deno.test("a probe that is added to a container at work takes it out of service only when it fails", async () => {
  let code = 0;
  const lab = createLab({ exec: () => ({ exitCode: code, output: "" }) });
  begin(lab, podOf({}));
  const edited = podOf({ readinessProbe: check() });
  lab.probes.follow(edited, running(edited), false);
  assertEquals(lab.probes.verdicts().get("c0-id"), { started: true, ready: true });
  await until(() => lab.asked.length >= 2);
  const changed = lab.change();
  code = 1;
  await changed;
  assertEquals(lab.probes.verdicts().get("c0-id"), { started: true, ready: false });
  lab.probes.end();
});

Deno.test("what probes have said is kept before it is shown, and only when it changes", async () => {
  const [kept, shown]: [string[], boolean[]] = [[], []];
  let [code, wait] = [1, Promise.resolve()];
  const ready = () => lab.probes.verdicts().get("c0-id")?.ready;
  const lab = createLab({
    exec: () => ({ exitCode: code, output: "" }),
    keep: async (note) => {
      shown.push(ready() ?? false);
      kept.push(note);
      await wait;
    },
  });
  const pod = podOf({ readinessProbe: check() }, { livenessProbe: check() });
  await lab.probes.prepare(pod);
  await lab.probes.prepare(pod);
  begin(lab, pod);
  await until(() => lab.asked.length >= 6);
  assertEquals(kept, ["{}"]);
  const stall = Promise.withResolvers<void>();
  wait = stall.promise;
  code = 0;
  await until(() => kept.length === 2);
  assertEquals([ready(), shown, kept[1]], [false, [false, false], '{"c0-id":{"started":true,"ready":true}}']);
  stall.resolve();
  await until(() => ready() === true);
  const asked = lab.asked.length;
  await until(() => lab.asked.length >= asked + 4);
  assertEquals(kept.length, 2);
  lab.probes.end();
});

Deno.test("a new run of the agent shows what was kept: neither more nor less is ready than before", () => {
  const container = { startupProbe: check(), readinessProbe: check() };
  const pod = podOf(container, container, container, { livenessProbe: check() });
  const note = JSON.stringify({
    "c0-id": { started: true, ready: true },
    "c1-id": { started: true, ready: false },
    "gone": { started: true, ready: true },
  });
  const readyOf = (text: string | undefined) => {
    const lab = createLab();
    lab.probes.recall(text);
    lab.probes.follow(pod, running(pod), false);
    const verdicts = [...lab.probes.verdicts().values()];
    lab.probes.end();
    return verdicts.map((v) => `${v.started} ${v.ready}`);
  };
  assertEquals(readyOf(note), ["true true", "true false", "false false", "true true"]);
  assertEquals(readyOf("{}"), ["false false", "false false", "false false", "true true"]);
  for (const lost of [undefined, "", "{", "7"]) {
    assertEquals(readyOf(lost), ["true true", "true true", "true true", "true true"], "lost");
  }
});

Deno.test("of a pod that goes nothing is kept any more", async () => {
  const kept: string[] = [];
  const lab = createLab({ keep: (note) => (kept.push(note), Promise.resolve()) });
  const pod = podOf({ readinessProbe: check() });
  lab.probes.follow(pod, emptyObservation("u", "default", "web"), false);
  lab.probes.follow(pod, running(pod), true);
  const changed = lab.change();
  await changed;
  assertEquals([lab.probes.verdicts().get("c0-id")?.ready, kept], [true, []]);
  lab.probes.end();
});

Deno.test("a wall clock that jumps back and forth neither fires nor stalls probes and their deadlines", async () => {
  const hour = 3_600_000;
  let jump = hour;
  const at: number[] = [];
  const lab = createLab({
    now: () => Date.now() + (jump = -jump),
    exec: () => (at.push(performance.now()), { exitCode: 0, output: "" }),
  });
  const pod = podOf({ readinessProbe: check("check", { periodSeconds: 0.1 }) });
  begin(lab, pod);
  const look = setInterval(() => lab.probes.follow(pod, running(pod), false), 3);
  await until(() => at.length >= 6);
  clearInterval(look);
  lab.probes.end();
  const passed = at.at(-1)! - at[0]!;
  // One each 100 ms, wherever in its period the first one came.
  assert(at.length - 1 <= passed / 100 + 1, `${at.length} in ${passed} ms`);
  assert(passed < 10_000, `${at.length} in ${passed} ms`);
});
