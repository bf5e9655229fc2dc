/** What happens when containers end: restart policies, back-off, init containers. Times are taken from log files. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { until } from "./containerd.ts";
import { podOf, shell, statusOf, stay, waitingReason } from "./pods.ts";

const shortBackOff = `
apiVersion: agent/v1alpha1
kind: AgentConfiguration
crashLoopBackOff: { initialPeriod: 500ms }
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
crashLoopBackOff: { maxContainerRestartPeriod: 1s }
`;

/** Milliseconds since the epoch of the first line that an attempt wrote; undefined while there is none. */
function firstLineAt(agent: AgentUnderTest, name: string, uid: string, attempt: number): number | undefined {
  try {
    const text = Deno.readTextFileSync(`${agent.root}/logs/pods/default_${name}_${uid}/main/${attempt}.log`);
    return Date.parse(text.slice(0, 23) + "Z");
  } catch {
    return undefined;
  }
}

/** When each of the first attempts began. */
async function starts(agent: AgentUnderTest, name: string, count: number): Promise<number[]> {
  const { metadata } = await agent.untilPod(name, "known", () => true);
  const times: number[] = [];
  await until(`${count} attempts of ${name}`, () => {
    const at = firstLineAt(agent, name, metadata!.uid!, times.length);
    if (at !== undefined && !Number.isNaN(at)) times.push(at);
    return times.length === count;
  });
  return times;
}

async function checkBackOff(agent: AgentUnderTest): Promise<void> {
  await agent.write("crash.yaml", podOf("crash", [shell("main", "echo attempt; exit 3")]));
  const times = await starts(agent, "crash", 5);
  const gaps = times.slice(1).map((at, i) => at - times[i]!);
  for (const [i, least] of [0, 500, 1000, 1000].entries()) {
    // A container lives for some 50 ms, and takes some 100 to be made; this machine may be busy.
    assert(
      gaps[i]! >= least && gaps[i]! < least + 1500,
      `gaps ${gaps.join(", ")} ms: number ${i} should be ${least}`,
    );
  }
  const pod = await agent.untilPod(
    "crash",
    "backs off",
    (p) => waitingReason(p, "main") === "CrashLoopBackOff",
  );
  const { state, lastState, restartCount } = statusOf(pod, "main");
  assertMatch(
    state?.waiting?.message ?? "",
    /back-off 1s restarting failed container=main pod=crash_default/,
  );
  assertEquals([lastState?.terminated?.exitCode, lastState?.terminated?.reason], [3, "Error"]);
  assert(restartCount >= 4);
  assertEquals(pod.status?.phase, "Running");
  await agent.remove("crash.yaml");
}

async function checkPolicies(agent: AgentUnderTest): Promise<void> {
  const counter = [{ name: "count", mountPath: "/count" }];
  const volumes = [{ name: "count", emptyDir: {} }];
  const third = "echo try >> /count/tries; [ $(grep -c try /count/tries) = 3 ] || exit 4";
  await agent.write(
    "policies.yaml",
    podOf("onfailure", [shell("main", third, { volumeMounts: counter })], {
      restartPolicy: "OnFailure",
      volumes,
    }),
    podOf("done", [shell("main", "true")], { restartPolicy: "OnFailure" }),
    podOf("never", [shell("bad", "echo why > /dev/termination-log; exit 5"), shell("good", "sleep 0.2")], {
      restartPolicy: "Never",
    }),
  );
  const [onFailure, done, never] = await Promise.all(["onfailure", "done", "never"].map(agent.untilEnded));
  assertEquals([onFailure!.status?.phase, statusOf(onFailure!, "main").restartCount], ["Succeeded", 2]);
  assertEquals([done!.status?.phase, statusOf(done!, "main").restartCount], ["Succeeded", 0]);
  assertEquals(statusOf(done!, "main").state?.terminated?.reason, "Completed");
  assertEquals(never!.status?.phase, "Failed");
  const { terminated } = statusOf(never!, "bad").state!;
  assertEquals([terminated?.exitCode, terminated?.reason, terminated?.message], [5, "Error", "why\n"]);
  assertEquals([statusOf(never!, "bad").restartCount, statusOf(never!, "good").restartCount], [0, 0]);
  assertEquals(statusOf(never!, "good").state?.terminated?.exitCode, 0);
  assertMatch((await agent.cli("get", "pods")).stdout, /^never +0\/2 +Error +0 /m);
}

async function checkInit(agent: AgentUnderTest): Promise<void> {
  const volumeMounts = [{ name: "shared", mountPath: "/shared" }];
  const volumes = [{ name: "shared", emptyDir: {} }];
  const flaky = "echo flaky >> /shared/order; [ $(grep -c flaky /shared/order) = 2 ]";
  await agent.write(
    "init.yaml",
    podOf("init", [shell("main", `cat /shared/order; ${stay}`, { volumeMounts })], {
      initContainers: [
        shell("first", "sleep 0.3; echo first >> /shared/order", { volumeMounts }),
        shell("flaky", flaky, { volumeMounts }),
      ],
      volumes,
    }),
    podOf("badinit", [shell("main", stay)], {
      initContainers: [shell("broken", "exit 6")],
      restartPolicy: "Never",
    }),
  );
  const ready = await agent.untilReady("init");
  assertMatch(await agent.untilLog("init", "main", /flaky\n.*\n/), /^first\nflaky\nflaky\n/);
  assertEquals(statusOf(ready, "first").state?.terminated?.reason, "Completed");
  assertEquals([statusOf(ready, "flaky").restartCount, statusOf(ready, "main").restartCount], [1, 0]);
  const failed = await agent.untilEnded("badinit");
  assertEquals(failed.status?.phase, "Failed");
  assertEquals(statusOf(failed, "broken").state?.terminated?.exitCode, 6);
  assertEquals(statusOf(failed, "main").state?.waiting?.reason, "PodInitializing");
  assertMatch((await agent.cli("get", "pods")).stdout, /^badinit +0\/1 +Init:Error +0 /m);
}

/** Kills the first process of a container, which nobody announced. */
async function killContainer(agent: AgentUnderTest, name: string): Promise<number> {
  const id = statusOf((await agent.pod(name))!, "main").containerID!.replace("containerd://", "");
  await agent.ctr("tasks", "kill", "--signal", "SIGKILL", id);
  return Date.now();
}

async function checkSurprise(agent: AgentUnderTest): Promise<void> {
  await agent.write("victim.yaml", podOf("victim", [shell("main", `echo begun; ${stay}`)]));
  const pod = await agent.untilReady("victim");
  const killed = await killContainer(agent, "victim");
  const [, restarted] = await starts(agent, "victim", 2);
  assert(restarted! - killed < 1000, `begun again after ${restarted! - killed} ms`);
  const after = await agent.untilPod("victim", "restarted", (p) => statusOf(p, "main").restartCount === 1);
  assertEquals(statusOf(after, "main").lastState?.terminated?.exitCode, 137);
  assertEquals(after.status?.podIP, pod.status?.podIP, "the sandbox stays");
  const previous = await agent.cli("logs", "victim", "--previous");
  assertEquals([previous.code, previous.stdout], [0, "begun\n"]);
}

Deno.test("containers that end", async (t) => {
  await using agent = await createAgent({ config: shortBackOff });
  await agent.start();
  await t.step("the back-off doubles up to its cap", () => checkBackOff(agent));
  await t.step("OnFailure and Never", () => checkPolicies(agent));
  await t.step(
    "init containers run in order, again when they fail, and hold the pod",
    () => checkInit(agent),
  );
  await t.step("a container that is killed is back within a second", () => checkSurprise(agent));
});

Deno.test("by default the first restart comes at once and the second after 10 s", async () => {
  await using agent = await createAgent();
  await agent.start();
  await agent.write("crash.yaml", podOf("crash", [shell("main", "echo attempt; exit 1")]));
  const [first, second] = await starts(agent, "crash", 2);
  assert(second! - first! < 1000);
  const pod = await agent.untilPod(
    "crash",
    "backs off",
    (p) => waitingReason(p, "main") === "CrashLoopBackOff",
  );
  assertMatch(
    statusOf(pod, "main").state?.waiting?.message ?? "",
    /^back-off 10s restarting failed container=main/,
  );
});
