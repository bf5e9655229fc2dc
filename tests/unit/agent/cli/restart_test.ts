import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../../../agent/cli/command.ts";
import { parseTargets, restartedPod } from "../../../../agent/cli/restart.ts";
import type { ContainerStatus, Pod } from "../../../../agent/model/gen/v1.ts";
import { createLab, now, runningPod } from "./lab.ts";

Deno.test("targets of a restart: pods, containers, both, several", () => {
  const parsed = (...words: string[]) => Object.fromEntries(parseTargets(words));
  assertEquals(parsed("web", "pod/db/app", "db/side"), { web: [], db: ["app", "side"] });
  assertEquals(parsed("web/app", "pod/web"), { web: [] });
  assertEquals(parsed("web", "web/app"), { web: [] });
  for (const wrong of ["", "web/", "a/b/c", "pod/"]) {
    assertThrows(() => parseTargets([wrong]), UsageError, wrong);
  }
});

function pod(statuses: Record<string, Partial<ContainerStatus>>, phase = "Running"): Pod {
  const base = runningPod("web");
  const [container, status] = [base.spec!.containers[0]!, base.status!.containerStatuses![0]!];
  return {
    ...base,
    spec: { ...base.spec, containers: Object.keys(statuses).map((name) => ({ ...container, name })) },
    status: {
      ...base.status,
      phase,
      containerStatuses: Object.entries(statuses).map(([name, more]) => ({ ...status, name, ...more })),
    },
  };
}

Deno.test("a restart is over when what was meant has been replaced and is ready, or has done its work", () => {
  const before = pod({ app: { containerID: "a1" }, side: { containerID: "s1" } });
  const [all, one] = [restartedPod(before, []), restartedPod(before, ["app"])];
  const after = (ids: [string, string], more: Partial<ContainerStatus> = {}, phase = "Running") =>
    pod({ app: { containerID: ids[0], ...more }, side: { containerID: ids[1] } }, phase);
  assertEquals(all(after(["a2", "s1"])).state, "waiting");
  assertEquals(one(after(["a2", "s1"])).state, "done");
  assertEquals(all(after(["a2", "s2"])).state, "done");
  assertEquals(one(after(["a2", "s1"], { ready: false, state: { waiting: {} } })).state, "waiting");
  const ended = (exitCode: number) => ({ ready: false, state: { terminated: { exitCode } } });
  assertEquals(one(after(["a2", "s1"], ended(0))).state, "done");
  assertEquals(one(after(["a2", "s1"], ended(1))).state, "waiting");
  assertEquals(one(after(["a2", "s1"], ended(1), "Failed")).state, "failed");
  assertEquals(all(undefined).state, "failed");
});

Deno.test("restart asks the agent, which says who asked; strangers and pods on their way out are refused", async () => {
  await using lab = await createLab();
  lab.store.putPod(runningPod("web"));
  assertEquals(await lab.agent("restart", "web", "pod/web/app"), {
    code: 0,
    out: "pod/web restarting\n",
    err: "",
  });
  assertEquals((await lab.agent("restart", "web/app")).out, "pod/web/app restarting\n");
  assertEquals(lab.asked, [["restart", "uid-default-web", undefined], ["restart", "uid-default-web", [
    "app",
  ]]]);
  const { out } = await lab.agent("events", "--for", "pod/web");
  assertStringIncludes(out, "RestartRequested   pod/web   agent restart asked to restart all containers\n");
  assertStringIncludes(out, "agent restart asked to restart container app\n");
  assertEquals(await lab.agent("restart", "web/nope"), {
    code: 1,
    out: "",
    err: "Error: container nope is not in pod default/web; it has: app\n",
  });
  assertEquals((await lab.agent("restart", "gone")).code, 1);
  const base = runningPod("web");
  lab.store.putPod({
    ...base,
    metadata: { ...base.metadata, deletionTimestamp: new Date(now).toISOString() },
  });
  assertStringIncludes((await lab.agent("restart", "web")).err, "is being removed");
  assertEquals(lab.asked.length, 2);
});
