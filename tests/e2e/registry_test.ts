/** Images from a real registry behind a password, found by a hosts.toml; who knows the password; pull policies; what failures look like. */
import { assert, assertEquals, assertMatch, assertNotEquals, equal } from "@std/assert";
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

/** A shell is all that a provider needs: it notes what it was asked, in one piece, and answers for the registry. */
const provider = (directory: string, password: string): string =>
  `#!/bin/sh
printf '%s\\n' "$(cat)" >>${directory}/asked
echo '{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse",' \\
  "\\"cacheKeyType\\":\\"Registry\\",\\"auth\\":{\\"$REGISTRY\\":{\\"username\\":\\"$1\\",\\"password\\":\\"${password}\\"}}}"
`;

const providerConfig = `
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: passwords
  matchImages: ["*.test/team"]
  defaultCacheDuration: 10m
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  args: [me]
  env: [{ name: REGISTRY, value: ${host} }]
`;

async function checkProvider(agent: AgentUnderTest, directory: string): Promise<void> {
  const problems = async () =>
    (await agent.api<{ items: { field?: string; line?: number }[] }>("/problems")).items;
  await until(
    "a program that is missing is told",
    async () => (await problems()).some((p) => p.field === "providers"),
  );
  await Deno.writeTextFile(`${directory}/bin/passwords`, provider(directory, "s3cr3t"), { mode: 0o755 });
  await agent.write(
    "provided.yaml",
    podOf("provided", [from("team/provided:1"), from("team/two:1", { name: "two" })]),
  );
  await agent.untilReady("provided");
  await until("the problem is gone", async () => !(await problems()).some((p) => p.field === "providers"));
  const asked = (await Deno.readTextFile(`${directory}/asked`)).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  const request = (image: string) => ({
    kind: "CredentialProviderRequest",
    apiVersion: "credentialprovider.kubelet.k8s.io/v1",
    image: `${host}/${image}`,
  });
  // Both are pulled at once, in any order; the answer for the registry comes too late for the second alone.
  const expected = [request("team/provided"), request("team/two")];
  for (const one of asked) assert(expected.some((e) => equal(e, one)), JSON.stringify(asked));
  assert(asked.length <= 2, JSON.stringify(asked));
  await agent.write("cached.yaml", podOf("cached", [from("team/cached:1")]));
  await agent.untilReady("cached");
  assertEquals((await Deno.readTextFile(`${directory}/asked`)).trim().split("\n").length, asked.length);
  assert(!agent.log().includes("s3cr3t"), "no password in the log");
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
  for (const name of ["other", "node", "cli", "provided", "two", "cached"]) {
    await registry.push(`team/${name}:1`);
  }
  await registry.push("team/web:1", { files: { "/which": "web one" } });
  await Deno.mkdir(`${directory}/certs.d/${host}`, { recursive: true });
  await Deno.writeTextFile(
    `${directory}/certs.d/${host}/hosts.toml`,
    `server = "http://${registry.address}"\n[host."http://${registry.address}"]\n  capabilities = ["pull", "resolve"]\n`,
  );
  await Deno.mkdir(`${directory}/bin`);
  await Deno.writeTextFile(`${directory}/providers.yaml`, providerConfig);
  const config = `
apiVersion: agent/v1alpha1
kind: AgentConfiguration
managedRuntime: { registryConfigDir: ${directory}/certs.d }
imageCredentialProviderConfig: ${directory}/providers.yaml
imageCredentialProviderBinDir: ${directory}/bin
`;
  {
    await using agent = await createAgent({ withImage: false, config });
    await agent.start();
    await t.step(
      "a password opens it; a wrong one or none is said, and mended at once",
      () => checkPassword(agent),
    );
    await t.step("the node's own docker configuration opens it, too", () => checkNodeConfig(agent));
    await t.step("a credential provider opens it, asked once for the registry", async () => {
      await Deno.remove(`${agent.root}/config.json`);
      await checkProvider(agent, directory);
    });
    await t.step("Never, IfNotPresent, Always", () => checkPolicies(agent, registry));
    await t.step("agent images pull", () => checkCli(agent));
    assert((await agent.pods()).filter(isReady).length >= 4);
  }
  await Deno.remove(directory, { recursive: true });
});
