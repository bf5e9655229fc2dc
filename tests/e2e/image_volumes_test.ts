/** Images as volumes on a containerd that cannot mount them itself: the agent does. */
import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import type { Container, Pod } from "../../agent/model/gen/v1.ts";
import { writeImageArchive } from "../../tools/busybox_image.ts";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { until } from "./containerd.ts";
import { identityOf, podOf, shell, statusOf, stay } from "./pods.ts";

const reference = (version: string) => `localhost/agent/model:${version}`;

/** Two layers: the upper one's file wins. */
const writeModel = (agent: AgentUnderTest, version: string) =>
  writeImageArchive(agent.images, `model-${version}.tar`, {
    tags: [reference(version)],
    files: { "/model/weights": "of the lower layer", "/model/below": "below" },
    upper: [{ "/model/weights": `weights ${version}` }],
  });

const modelPod = (version: string, containers: Container[]): Pod =>
  podOf("model", containers, {
    volumes: [{ name: "model", image: { reference: reference(version), pullPolicy: "Never" } }],
  });

const reading = (version: string) =>
  modelPod(version, [
    shell(
      "whole",
      `cat /model/model/weights /model/model/below; echo; grep ' /model ' /proc/mounts; ` +
        `touch /model/new 2>&1; /model/bin/true 2>&1; echo done; ${stay}`,
      { volumeMounts: [{ name: "model", mountPath: "/model" }] },
    ),
    shell("part", `cat /w; echo; cat /dir/below; echo; ${stay}`, {
      volumeMounts: [
        { name: "model", mountPath: "/w", subPath: "model/weights" },
        { name: "model", mountPath: "/dir", subPathExpr: "$(DIR)" },
      ],
      env: [{ name: "DIR", value: "model" }],
    }),
  ]);

/** Snapshots that the agent holds. */
const held = async (agent: AgentUnderTest): Promise<string[]> =>
  (await agent.ctr("snapshots", "ls")).split("\n").map((line) => line.split(" ")[0] ?? "")
    .filter((key) => key.startsWith("agent/"));

async function checkWaiting(agent: AgentUnderTest): Promise<void> {
  await agent.write("model.yaml", reading("1"));
  const waiting = await agent.untilPod(
    "model",
    "waits for the image of its volume",
    (p) =>
      p.status?.containerStatuses?.every((c) => c.state?.waiting?.reason === "ErrImageNeverPull") === true,
  );
  assertMatch(
    statusOf(waiting, "whole").state?.waiting?.message ?? "",
    /Image "localhost\/agent\/model:1" of volume "model" is not present with pull policy of Never/,
  );
  await writeModel(agent, "1");
  await agent.untilReady("model");
  const whole = await agent.untilLog("model", "whole", /done/);
  assertMatch(whole, /^weights 1below\n/);
  assertMatch(whole, / ro,.*noexec/);
  assertMatch(whole, /new: Read-only file system\n/);
  assertMatch(whole, /\/model\/bin\/true: Permission denied\n/);
  assertEquals(await agent.untilLog("model", "part", /\n.*\n/), "weights 1\nbelow\n");
}

/** The image's name may go: what the pod holds stays, also over a kill of the agent. */
async function checkHeld(agent: AgentUnderTest): Promise<void> {
  const [snapshot, ...more] = await held(agent);
  assertEquals(more, []);
  const before = identityOf((await agent.pod("model"))!);
  await agent.kill();
  await agent.ctr("images", "rm", "--sync", reference("1"));
  await agent.start();
  await agent.untilReady("model");
  assertEquals(identityOf((await agent.pod("model"))!), before);
  assertEquals(await held(agent), [snapshot]);
  const { stdout } = await agent.cli("exec", "model", "-c", "whole", "--", "cat", "/model/model/weights");
  assertEquals(stdout, "weights 1");
}

async function checkReplaced(agent: AgentUnderTest): Promise<void> {
  const before = await agent.pod("model");
  await writeModel(agent, "2");
  await agent.write("model.yaml", reading("2"));
  await agent.untilLog("model", "whole", /weights 2/);
  const after = await agent.untilReady("model");
  assertEquals(after.status?.podIP, before?.status?.podIP, "the sandbox stays");
  await until("the first image is let go", async () => (await held(agent)).length === 1);
  const [mount] = statusOf(after, "whole").volumeMounts ?? [];
  assertMatch(mount?.volumeStatus?.image?.imageRef ?? "", /^sha256:/);
  assertNotEquals(statusOf(after, "part").containerID, statusOf(before!, "part").containerID);
}

async function checkRemoved(agent: AgentUnderTest): Promise<void> {
  await agent.remove("model.yaml");
  await agent.untilGone("model");
  await until("nothing is held", async () => (await held(agent)).length === 0);
}

Deno.test("image volumes", async (t) => {
  await using agent = await createAgent();
  await agent.start();
  await t.step(
    "image.reference and image.pullPolicy: a pod waits for its image volume, then reads it: read-only, no programs, subPath",
    () => checkWaiting(agent),
  );
  await t.step(
    "what a pod holds of an image stays without its name and over a kill of the agent",
    () => checkHeld(agent),
  );
  await t.step("another image.reference replaces the containers that mount it", () => checkReplaced(agent));
  await t.step("with the pod everything of the image is let go", () => checkRemoved(agent));
});
