/** A container that attacks the node through its volumes while others of its pod start. */
import { assert, assertEquals } from "@std/assert";
import type { Container, Pod } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { until } from "./containerd.ts";
import { podOf, shell, stay } from "./pods.ts";

const token = "of-the-host-alone";
const volumeMounts = [{ name: "v", mountPath: "/v" }];
const busybox = (names: string[]) => names.map((name) => `${name}() { busybox ${name} "$@"; }`).join("; ");

/** An attacker that is there before the others: a sidecar whose startup probe waits for its first blow. */
const attacker = (script: string): Container => ({
  ...shell("attacker", `${busybox(["ln", "mv", "mkfifo", "mknod"])}; cd /v; ${script}`, { volumeMounts }),
  restartPolicy: "Always",
  startupProbe: { exec: { command: ["test", "-e", "/v/ready"] }, periodSeconds: 1, failureThreshold: 60 },
});

/** Every victim has been tried while the attack went on; then it ends, and all of them start at once. */
async function surviveAttack(agent: AgentUnderTest, pod: Pod, victims: readonly string[]): Promise<void> {
  const name = pod.metadata!.name!;
  await agent.write(`${name}.yaml`, pod);
  await agent.untilPod(name, "every victim was tried", (p) =>
    victims.every((v) => {
      const state = p.status?.containerStatuses?.find((c) => c.name === v)?.state;
      return state?.running !== undefined || state?.waiting?.reason === "CreateContainerConfigError";
    }));
  await agent.cli("exec", name, "-c", "attacker", "--", "touch", "/v/stop");
  await agent.untilLog(name, "attacker", /stopped/);
  await agent.write(`${name}.yaml`, {
    ...pod,
    metadata: { ...pod.metadata, annotations: { again: "at once" } },
  });
  await agent.untilReady(name);
}

/** Nobody may wait for ever: what an attempt of a victim says must not hold what only the host knows. */
async function attemptsOf(agent: AgentUnderTest, pod: string, victims: readonly string[]): Promise<string[]> {
  const uid = (await agent.pod(pod))!.metadata!.uid;
  const logs = `${agent.root}/logs/pods/default_${pod}_${uid}`;
  const texts: string[] = [];
  for (const victim of victims) {
    for await (const file of Deno.readDir(`${logs}/${victim}`)) {
      texts.push(await Deno.readTextFile(`${logs}/${victim}/${file.name}`));
    }
  }
  return texts;
}

async function checkSubPaths(agent: AgentUnderTest): Promise<void> {
  const secret = `${agent.directory}/secret`;
  await Deno.mkdir(`${secret}/deep`, { recursive: true });
  for (const path of [`${secret}/token`, `${secret}/deep/token`]) await Deno.writeTextFile(path, token);
  const victims = Array.from({ length: 8 }, (_, i) => `victim-${i}`);
  const looks = "ls /d; cat /d/token /d/deep/token 2>/dev/null; echo started; touch /d/written";
  await surviveAttack(
    agent,
    podOf(
      "race",
      victims.map((name, i) =>
        shell(name, `${looks}; ${stay}`, {
          volumeMounts: [{ name: "v", mountPath: "/d", subPath: i % 2 === 0 ? "turn" : "turn/deep" }],
        })
      ),
      {
        initContainers: [
          attacker(
            `mkdir -p good/deep; ln -s ${secret} evil; touch ready; ` +
              "while [ ! -e stop ]; do mv good turn; mv turn good; mv evil turn; mv turn evil; done; " +
              `mv good turn; echo stopped; ${stay}`,
          ),
        ],
        volumes: [{ name: "v", emptyDir: {} }],
      },
    ),
    victims,
  );
  for (const victim of victims) await agent.untilLog("race", victim, /started/);
  for (const text of await attemptsOf(agent, "race", victims)) {
    assert(text.includes("started") || text === "", text);
    assert(!text.includes(token), text);
  }
  assertEquals(
    [...Deno.readDirSync(secret)].map((e) => e.name).sort(),
    ["deep", "token"],
    "nothing was written",
  );
  await agent.remove("race.yaml");
  await agent.untilGone("race");
  assertEquals(await Deno.readTextFile(`${secret}/deep/token`), token);
}

/** Of its pod's env file a container makes by turns a link to the host, a fifo, a device and what it should be. */
async function checkEnvFiles(agent: AgentUnderTest): Promise<void> {
  const secret = `${agent.directory}/secret.env`;
  await Deno.writeTextFile(secret, `KEY='${token}'`);
  const victims = Array.from({ length: 6 }, (_, i) => `victim-${i}`);
  await surviveAttack(
    agent,
    podOf(
      "envs",
      victims.map((name) =>
        shell(name, `echo "got $KEY"; ${stay}`, {
          env: [{ name: "KEY", valueFrom: { fileKeyRef: { volumeName: "v", path: "turn", key: "KEY" } } }],
        })
      ),
      {
        initContainers: [
          attacker(
            `echo "KEY='mine'" > good; ln -s ${secret} evil; mkfifo fifo; ln -s /dev/zero zero; touch ready; ` +
              "while [ ! -e stop ]; do for x in good evil fifo zero; do mv $x turn; mv turn $x; done; done; " +
              `mv good turn; echo stopped; ${stay}`,
          ),
        ],
        volumes: [{ name: "v", emptyDir: {} }],
      },
    ),
    victims,
  );
  for (const victim of victims) {
    assertEquals(await agent.untilLog("envs", victim, /got/), "got mine\n");
  }
  await agent.remove("envs.yaml");
  await agent.untilGone("envs");
}

/** What a container leaves behind is removed as what it is. */
async function checkRemoval(agent: AgentUnderTest): Promise<void> {
  const outside = `${agent.directory}/outside`;
  await Deno.mkdir(outside);
  await Deno.writeTextFile(`${outside}/file`, token);
  const script =
    `${
      busybox(["ln", "mkfifo", "mknod"])
    }; cd /v; mkfifo fifo; mknod zero c 1 5; ln -s ${outside} out; ln -s / root; ` +
    `mkdir closed "odd
name"; for i in $(seq 3000); do : > closed/$i; done; mkdir -p $(yes d | head -n 1000 | while read x; do echo -n $x/; done); ` +
    `: > "-rf"; busybox chmod 0 closed; echo done; ${stay}`;
  await agent.write(
    "junk.yaml",
    podOf("junk", [shell("main", script, { volumeMounts })], { volumes: [{ name: "v", emptyDir: {} }] }),
  );
  await agent.untilLog("junk", "main", /done/);
  const uid = (await agent.pod("junk"))!.metadata!.uid;
  await agent.remove("junk.yaml");
  await agent.untilGone("junk");
  await until(
    "its directory is gone",
    async () => await Deno.lstat(`${agent.root}/pods/${uid}`).then(() => false, () => true),
  );
  assertEquals(await Deno.readTextFile(`${outside}/file`), token);
}

Deno.test("attacks through volumes", async (t) => {
  await using agent = await createAgent();
  await agent.start();
  await t.step(
    "subPath: directories that turn into links to the host, and back, while containers start",
    () => checkSubPaths(agent),
  );
  await t.step(
    "fileKeyRef: env files that turn into links to the host, fifos and devices",
    () => checkEnvFiles(agent),
  );
  await t.step(
    "emptyDir: links, fifos, devices, depth and crowds are removed, what is outside stays",
    () => checkRemoval(agent),
  );
});
