/**
 * What needs a containerd from 2.0 on with runc from 1.2 on: users of a pod's own, groups that are kept out, a /proc
 * without masks. AGENT_CONTAINERD_2 names the directory that has them; without it there is nothing to test here.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { identityOf, podOf, shell, stay } from "./pods.ts";

const binaries = Deno.env.get("AGENT_CONTAINERD_2");

const look = "cat /proc/self/uid_map /proc/self/gid_map; echo hello > /vol/file; ls -ln /vol; " +
  `grep ' /proc/' /proc/self/mountinfo; echo looked; ${stay}`;

const own = (name: string, securityContext: { procMount?: string } = {}) =>
  podOf(name, [shell("main", look, { securityContext, volumeMounts: [{ name: "v", mountPath: "/vol" }] })], {
    hostUsers: false,
    volumes: [{ name: "v", emptyDir: {} }],
  });

/** Uids on the host of the processes that live in a user namespace which begins there. */
function usersBehind(first: number): number[] {
  const read = (path: string) => {
    try {
      return Deno.readTextFileSync(path);
    } catch {
      return "";
    }
  };
  const pids = [...Deno.readDirSync("/proc")].map((e) => e.name).filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => new RegExp(`^\\s*0\\s+${first}\\s`).test(read(`/proc/${pid}/uid_map`)))
    .map((pid) => Number(/^Uid:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1]));
}

async function checkIds(agent: AgentUnderTest): Promise<void> {
  await agent.write("own.yaml", own("one"), own("two", { procMount: "Unmasked" }));
  const text = {
    one: await agent.untilLog("one", "main", /looked/),
    two: await agent.untilLog("two", "main", /looked/),
  };
  const firsts = Object.values(text).map((t) => {
    const [users, groups] = t.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
    assertEquals(users, groups);
    assertEquals([users![0], users![2]], [0, 65_536]);
    return users![1]!;
  });
  assertEquals(firsts.sort((a, b) => a - b), [65_536, 131_072]);
  for (const first of firsts) {
    const users = usersBehind(first);
    const apart = users.every((uid) => uid >= first && uid < first + 65_536);
    assert(users.includes(first) && apart, `on the host they are ${users}`);
  }
  for (const t of Object.values(text)) {
    assertMatch(t, /^-rw-r--r-- +1 0 +0 +6 .* file$/m, "the pod's root owns its files");
  }
  assertMatch(text.one, / \/proc\/sys ro,/);
  assert(!/ \/proc\/\w+ /.test(text.two), "nothing of /proc is hidden");
  const volume = `${agent.root}/pods/${
    (await agent.pod("one"))!.metadata!.uid
  }/volumes/kubernetes.io~empty-dir/v/file`;
  assertEquals(Deno.statSync(volume).uid, 0, "nothing was given to other ids on the disk");
}

async function checkCrash(agent: AgentUnderTest): Promise<void> {
  const before = await Promise.all(
    ["one", "two"].map(async (name) => identityOf(await agent.untilReady(name))),
  );
  await agent.kill();
  await agent.start();
  const after = await Promise.all(
    ["one", "two"].map(async (name) => identityOf(await agent.untilReady(name))),
  );
  assertEquals(after, before);
  await agent.write("third.yaml", own("three"));
  assertMatch(await agent.untilLog("three", "main", /looked/), /^ *0 +196608 +65536$/m);
}

async function checkStrict(agent: AgentUnderTest): Promise<void> {
  await agent.write(
    "strict.yaml",
    podOf("strict", [shell("main", "grep Groups /proc/self/status")], {
      restartPolicy: "Never",
      securityContext: { supplementalGroupsPolicy: "Strict", runAsUser: 1234, supplementalGroups: [77] },
    }),
  );
  assertEquals((await agent.untilEnded("strict")).status?.phase, "Succeeded");
  assertMatch(await agent.logs("strict", "main"), /77/);
}

Deno.test({
  name: "user namespaces",
  ignore: binaries === undefined,
  fn: async (t) => {
    await using agent = await createAgent({
      config: `apiVersion: agent/v1alpha1
kind: AgentConfiguration
managedRuntime: { binDirs: ["${binaries}"] }
`,
    });
    await agent.start();
    await t.step(
      "hostUsers: false gives each pod ids of its own, and procMount Unmasked its /proc",
      () => checkIds(agent),
    );
    await t.step(
      "hostUsers: ids are known again after a crash, and given to nobody else",
      () => checkCrash(agent),
    );
    await t.step(
      "supplementalGroupsPolicy: Strict is taken where the runtime has it",
      () => checkStrict(agent),
    );
  },
});
