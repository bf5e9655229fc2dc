/** Images from a real registry behind a password, found by a hosts.toml; pull policies; what failures look like. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent, isReady } from "./agent.ts";
import { until } from "./containerd.ts";
import { type DockerRegistry, startDockerRegistry } from "./docker_registry.ts";
import { podOf, secret, shell, statusOf, stay, waitingReason } from "./pods.ts";

/** A name that only the hosts.toml leads to the registry. */
const host = "registry.test";

const dockerConfig = (password: string): string =>
  JSON.stringify({ auths: { [host]: { username: "me", password, auth: btoa(`me:${password}`) } } });

const pullSecret = (name: string, password: string) =>
  secret(name, { ".dockerconfigjson": dockerConfig(password) }, "kubernetes.io/dockerconfigjson");

const from = (image: string, more: object = {}) => ({
  ...shell("main", `cat /which; echo; ${stay}`),
  image: `${host}/${image}`,
  ...more,
});

const pullFails = (p: Pod): boolean =>
  ["ErrImagePull", "ImagePullBackOff"].includes(waitingReason(p, "main") ?? "");

async function eventsOf(agent: AgentUnderTest, name: string, reason: string): Promise<string[]> {
  const { items } = await agent.api<
    { items: { reason: string; message: string; involvedObject: { name: string } }[] }
  >(
    "/events",
  );
  return items.filter((e) => e.involvedObject.name === name && e.reason === reason).map((e) => e.message);
}

async function checkPassword(agent: AgentUnderTest): Promise<void> {
  await agent.write("secrets.yaml", pullSecret("right", "s3cr3t"), pullSecret("wrong", "guess"));
  await agent.write(
    "right.yaml",
    podOf("right", [from("team/web:1")], { imagePullSecrets: [{ name: "right" }] }),
  );
  await agent.write(
    "wrong.yaml",
    podOf("wrong", [from("team/other:1")], { imagePullSecrets: [{ name: "wrong" }] }),
  );
  await agent.write("none.yaml", podOf("none", [from("team/other:1")]));
  await agent.untilReady("right");
  await agent.untilLog("right", "main", /^web one\n/);
  for (const name of ["wrong", "none"]) {
    const pod = await agent.untilPod(name, "cannot pull", pullFails);
    assertEquals(pod.status?.phase, "Pending");
    let messages: string[] = [];
    await until(
      `the events of ${name} say why`,
      async () =>
        (messages = await eventsOf(agent, name, "Failed")).some((m) =>
          /401|unauthori|denied|no basic auth/i.test(m)
        ),
    ).catch((error) => {
      throw new Error(`${error}: ${messages.join("\n")}`);
    });
    assertMatch(messages[0]!, /registry\.test\/team\/other:1/);
    assert(!JSON.stringify(messages).includes("guess"), "no password in what is shown");
  }
  assert(!agent.log().includes("s3cr3t"), "no password in the log");

  // The right password is tried at once, although the pull was in back-off.
  await agent.untilPod("wrong", "backs off", (p) => waitingReason(p, "main") === "ImagePullBackOff");
  const began = performance.now();
  await agent.write("secrets.yaml", pullSecret("right", "s3cr3t"), pullSecret("wrong", "s3cr3t"));
  await agent.untilReady("wrong");
  assert(performance.now() - began < 6000, "not after the back-off's 10 s");
}

async function checkNodeConfig(agent: AgentUnderTest): Promise<void> {
  await Deno.writeTextFile(`${agent.root}/config.json`, dockerConfig("s3cr3t"), { mode: 0o600 });
  await agent.write("node.yaml", podOf("node", [from("team/node:1")]));
  await agent.untilReady("node");
}

async function checkPolicies(agent: AgentUnderTest, registry: DockerRegistry): Promise<void> {
  await agent.write("never.yaml", podOf("never", [from("team/absent:1", { imagePullPolicy: "Never" })]));
  const never = await agent.untilPod(
    "never",
    "may not pull",
    (p) => waitingReason(p, "main") === "ErrImageNeverPull",
  );
  assertMatch(statusOf(never, "main").state?.waiting?.message ?? "", /not present with pull policy of Never/);
  assertEquals(registry.asked("team/absent"), 0);

  const present = registry.asked("team/web");
  await agent.write("again.yaml", podOf("again", [from("team/web:1", { imagePullPolicy: "IfNotPresent" })]));
  await agent.untilReady("again");
  assertEquals(registry.asked("team/web"), present, "what is there is not asked for");
  await registry.push("team/web:1", { files: { "/which": "web two" } });
  const pushed = registry.asked("team/web");
  await agent.write("always.yaml", podOf("always", [from("team/web:1", { imagePullPolicy: "Always" })]));
  await agent.untilReady("always");
  await agent.untilLog("always", "main", /^web two\n/);
  assert(registry.asked("team/web") > pushed);
  assertNotEquals(
    statusOf((await agent.pod("always"))!, "main").imageID,
    statusOf((await agent.pod("again"))!, "main").imageID,
  );
}

async function checkCli(agent: AgentUnderTest): Promise<void> {
  const good = await agent.cli("images", "pull", `${host}/team/cli:1`);
  assertEquals([good.code, good.stderr.includes("Error")], [0, false], good.stderr);
  assertMatch((await agent.cli("images")).stdout, /^registry\.test\/team\/cli +1 /m);
  const bad = await agent.cli("images", "pull", `${host}/team/absent:1`);
  assertEquals(bad.code, 1);
  assertMatch(bad.stderr, /not found/);
}

Deno.test("images from a registry", async (t) => {
  const directory = await Deno.makeTempDir({ prefix: "agent-e2e-registry-" });
  await using registry = await startDockerRegistry(`${directory}/registry`);
  for (const name of ["other", "node", "cli"]) await registry.push(`team/${name}:1`);
  await registry.push("team/web:1", { files: { "/which": "web one" } });
  await Deno.mkdir(`${directory}/certs.d/${host}`, { recursive: true });
  await Deno.writeTextFile(
    `${directory}/certs.d/${host}/hosts.toml`,
    `server = "http://${registry.address}"\n[host."http://${registry.address}"]\n  capabilities = ["pull", "resolve"]\n`,
  );
  const config = `
apiVersion: agent/v1alpha1
kind: AgentConfiguration
managedRuntime: { registryConfigDir: ${directory}/certs.d }
`;
  {
    await using agent = await createAgent({ withImage: false, config });
    await agent.start();
    await t.step(
      "a password opens it; a wrong one or none is said, and mended at once",
      () => checkPassword(agent),
    );
    await t.step("the node's own docker configuration opens it, too", () => checkNodeConfig(agent));
    await t.step("Never, IfNotPresent, Always", () => checkPolicies(agent, registry));
    await t.step("agent images pull", () => checkCli(agent));
    assert((await agent.pods()).filter(isReady).length >= 4);
  }
  await Deno.remove(directory, { recursive: true });
});
