/** How containers end, as the status tells it: exit codes, signals, memory, and their last words. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { ContainerStateTerminated, Pod } from "../../agent/model/gen/v1.ts";
import { createAgent } from "./agent.ts";
import { podOf, shell, statusOf } from "./pods.ts";

const fallback = { terminationMessagePolicy: "FallbackToLogsOnError" };

const wordy = podOf("wordy", [
  shell("file", "echo -n bye > /dev/termination-log; exit 3"),
  shell("path", "echo -n why > /tmp/last", { terminationMessagePath: "/tmp/last" }),
  shell("log", "seq 1 200; exit 1", fallback),
  shell("both", "seq 1 200; echo -n said > /dev/termination-log; exit 1", fallback),
  shell("fine", "seq 1 200", fallback),
  shell("junk", "head -c 1000000 /dev/urandom > /dev/termination-log; exit 1", fallback),
  shell("link", "ln -sf /etc/passwd /dev/termination-log; rm /dev/termination-log; exit 4"),
], { restartPolicy: "Never" });

const killed = podOf("killed", [
  // Two dollars in a command are one. In a namespace of its own its process would be the first, which no signal ends.
  shell("segv", "kill -SEGV $$$$; exit 0"),
  shell("memory", "", {
    resources: { limits: { memory: "30Mi" } },
    command: ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"],
  }),
], { restartPolicy: "Never", shareProcessNamespace: true });

function endOf(pod: Pod, container: string): ContainerStateTerminated {
  const { terminated } = statusOf(pod, container).state ?? {};
  assert(terminated !== undefined, `${container} has not ended`);
  return terminated;
}

Deno.test("how containers end", async (t) => {
  await using agent = await createAgent();
  await agent.start();
  await agent.write("pods.yaml", wordy, killed);
  await t.step("terminationMessagePath and terminationMessagePolicy give the last words", async () => {
    const pod = await agent.untilEnded("wordy");
    const said = (container: string) => endOf(pod, container).message;
    assertEquals([said("file"), said("path"), said("both"), said("fine")], ["bye", "why", "said", undefined]);
    const lines = said("log")?.split("\n") ?? [];
    assertEquals([lines.length, lines[0], lines.at(-2)], [81, "121", "200"]);
    const junk = said("junk") ?? "";
    const size = new TextEncoder().encode(junk).length;
    assert(size > 1000 && size <= 12 * 1024 / 7, `${size} bytes of junk`);
    assertEquals(said("link"), undefined, "the message stays the agent's own file");
    assertEquals(["file", "path", "link"].map((c) => endOf(pod, c).exitCode), [3, 0, 4]);
    assertEquals(endOf(pod, "path").reason, "Completed");
    const shown = await agent.cli("describe", "pod", "wordy");
    assertMatch(shown.stdout, /^ +Message: +bye$/m);
    // deno-lint-ignore no-control-regex -- none of these may reach a terminal
    assert(!/[\0-\x08\x0b-\x1f\x7f]/.test(shown.stdout), "no control characters of the junk");
  });
  await t.step("a signal and a memory limit are told", async () => {
    await agent.untilEnded("killed");
    const pod = await agent.untilPod(
      "killed",
      "OOMKilled",
      (p) => endOf(p, "memory").reason === "OOMKilled",
    );
    const { exitCode, signal } = endOf(pod, "memory");
    assertEquals([exitCode, signal], [137, 9]);
    const segv = endOf(pod, "segv");
    assertEquals([segv.exitCode, segv.signal, segv.reason], [139, 11, "Error"]);
    assertEquals(pod.status?.phase, "Failed");
  });
});
