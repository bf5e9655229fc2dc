/** The manifest directory as people and tools treat it: broken, half-written, swapped, moved, removed. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { formatProblem, type Problem } from "../../agent/model/errors.ts";
import { type AgentUnderTest, createAgent, isReady } from "./agent.ts";
import { until } from "./containerd.ts";
import { configMap, identityOf, podOf, shell, statusOf, stay } from "./pods.ts";

async function untilProblem(
  agent: AgentUnderTest,
  what: string,
  wanted: (problem: Problem) => boolean,
): Promise<Problem> {
  let problems: Problem[] = [];
  await until(what, async () => (problems = await agent.problems()).some(wanted)).catch((error) => {
    throw new Error(`${error}; there are: ${problems.map(formatProblem).join("\n")}`);
  });
  return problems.find(wanted)!;
}

const untilNoProblems = (agent: AgentUnderTest): Promise<void> =>
  until("no problem is left", async () => (await agent.problems()).length === 0);

const said = (word: string) => shell("main", `echo ${word}; ${stay}`);

async function checkBrokenEdit(agent: AgentUnderTest): Promise<void> {
  const good = JSON.stringify(podOf("tough", [said("one")]), null, 1);
  await agent.write("tough.yaml", good);
  const before = identityOf(await agent.untilReady("tough"));
  const line = good.split("\n").findIndex((text) => text.includes('"image"')) + 1;
  const problems: [string, RegExp, number | undefined][] = [
    [good.replace('"image"', '"imaeg"'), /imaeg.*image/, line],
    [good.replace("[", "[[["), /./, undefined],
    ["", /./, undefined],
  ];
  for (const [text, message, at] of problems.slice(0, 2)) {
    await agent.write("tough.yaml", text);
    const problem = await untilProblem(
      agent,
      `a problem like ${message}`,
      (p) => p.file.endsWith("/tough.yaml") && message.test(p.message) && (at === undefined || p.line === at),
    );
    assertEquals(problem.severity, "error");
    assert(problem.line !== undefined && problem.line > 0, formatProblem(problem));
    assertEquals(identityOf((await agent.pod("tough"))!), before, "the pod goes on untouched");
  }
  await agent.kill();
  await agent.start();
  await agent.untilReady("tough");
  await untilProblem(agent, "the problem, after a restart", (p) => p.file.endsWith("/tough.yaml"));
  assertEquals(
    identityOf((await agent.pod("tough"))!),
    before,
    "a restart with a broken file changes nothing",
  );
  const status = (await agent.cli("status")).stdout;
  assertMatch(status, /tough\.yaml:\d+/);

  await agent.write("tough.yaml", podOf("tough", [said("mended")]));
  await agent.untilLog("tough", "main", /^mended\n/);
  await untilNoProblems(agent);
}

async function checkKinds(agent: AgentUnderTest): Promise<void> {
  await agent.write(
    "kinds.yaml",
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec: {}\n",
    podOf("sibling", [said("here")]),
  );
  const problem = await untilProblem(agent, "the kind is refused", (p) => p.message.includes("Deployment"));
  assertMatch(problem.message, /Pod/);
  assertEquals([problem.file, problem.line], [`${agent.manifests}/kinds.yaml`, 2]);
  await agent.untilReady("sibling");
  await agent.remove("kinds.yaml");
  await agent.untilGone("sibling");
}

async function checkDuplicates(agent: AgentUnderTest): Promise<void> {
  await agent.write("a.yaml", podOf("twin", [said("first")]));
  const before = identityOf(await agent.untilReady("twin"));
  await agent.write("b.yaml", podOf("twin", [said("second")]));
  const problem = await untilProblem(agent, "the name is taken", (p) => p.file.endsWith("/b.yaml"));
  assertStringIncludes(problem.message, "a.yaml");
  assertEquals(identityOf((await agent.pod("twin"))!), before);
  await agent.remove("a.yaml");
  await agent.untilPod("twin", "is the second one's", isReady);
  await agent.untilLog("twin", "main", /^second\n/);
  await untilNoProblems(agent);
  await agent.remove("b.yaml");
  await agent.untilGone("twin");
}

async function checkEditors(agent: AgentUnderTest): Promise<void> {
  const name = (i: number) => podOf(`ghost${i}`, [said("boo")]);
  for (
    const [i, file] of [".hidden.yaml", "a.yaml~", "#a.yaml#", ".a.yaml.swp", "a.yaml.bak"].entries()
  ) {
    await Deno.writeTextFile(`${agent.manifests}/${file}`, JSON.stringify(name(i)));
  }
  const half = JSON.stringify(podOf("slow", [said("whole")]), null, 1);
  await using file = await openSlowly(`${agent.manifests}/slow.yaml`);
  for (const piece of [half.slice(0, 40), half.slice(40, 200), half.slice(200)]) {
    await file.write(piece);
    const written = performance.now();
    const problems = await agent.problems();
    // Who writes so slowly is told after 300 ms; this machine may be busy.
    if (performance.now() - written < 250) {
      assertEquals(problems, [], "a file that is being written is no problem yet");
    }
  }
  await agent.untilReady("slow");
  assertEquals((await agent.pods()).map((p) => p.metadata?.name).sort(), ["slow", "tough"]);
  for (const entry of Deno.readDirSync(agent.manifests)) {
    if (entry.name !== "tough.yaml") await Deno.remove(`${agent.manifests}/${entry.name}`);
  }
  await agent.untilGone("slow");
}

/** Writes in place, piece by piece, as `cat > file` does. */
async function openSlowly(path: string) {
  const file = await Deno.open(path, { write: true, create: true });
  return {
    async write(text: string) {
      await file.write(new TextEncoder().encode(text));
      await file.sync();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(file.close()),
  };
}

async function checkSwap(agent: AgentUnderTest): Promise<void> {
  const inDirectory = async (version: string) => {
    const directory = `${agent.manifests}/..${version}`;
    await Deno.mkdir(directory);
    const documents = [
      configMap("words", { word: version }),
      podOf(
        "swapped",
        [
          shell("main", `cat /words/word; echo; ${stay}`, {
            volumeMounts: [{ name: "words", mountPath: "/words" }],
          }),
        ],
        { volumes: [{ name: "words", configMap: { name: "words" } }] },
        { annotations: { version } },
      ),
    ];
    await Deno.writeTextFile(
      `${directory}/swapped.yaml`,
      documents.map((d) => JSON.stringify(d)).join("\n---\n"),
    );
    await Deno.symlink(`..${version}`, `${agent.manifests}/..new`);
    await Deno.rename(`${agent.manifests}/..new`, `${agent.manifests}/..data`);
  };
  await inDirectory("v1");
  await Deno.symlink("..data/swapped.yaml", `${agent.manifests}/swapped.yaml`);
  const before = identityOf(await agent.untilReady("swapped"));
  await inDirectory("v2");
  await Deno.remove(`${agent.manifests}/..v1`, { recursive: true });
  const after = await agent.untilPod(
    "swapped",
    "is of the second version",
    (p) => p.metadata?.annotations?.["version"] === "v2" && isReady(p),
  );
  assertEquals(identityOf(after), before, "an annotation changes nothing that runs");
  await Deno.remove(`${agent.manifests}/swapped.yaml`);
  await agent.untilGone("swapped");
  await Deno.remove(`${agent.manifests}/..data`);
  await Deno.remove(`${agent.manifests}/..v2`, { recursive: true });
}

async function checkDirectory(agent: AgentUnderTest): Promise<void> {
  const before = identityOf(await agent.untilReady("tough"));
  const elsewhere = `${agent.directory}/elsewhere`;
  const isAway = (p: Problem) => p.file === agent.manifests && /exist/.test(p.message);

  await Deno.rename(agent.manifests, elsewhere);
  await untilProblem(agent, "the directory is missed", isAway);
  assertEquals(identityOf((await agent.pod("tough"))!), before, "what cannot be read says nothing");
  await Deno.rename(elsewhere, agent.manifests);
  await untilNoProblems(agent);
  assertEquals(identityOf((await agent.pod("tough"))!), before);

  await Deno.rename(agent.manifests, elsewhere);
  await untilProblem(agent, "the directory is missed again", isAway);
  await agent.stop();
  await agent.start();
  await agent.untilPod("tough", "is still known", isReady);
  assertEquals(identityOf((await agent.pod("tough"))!), before, "also over a restart");
  await Deno.mkdir(agent.manifests);
  await agent.untilGone("tough");
  await agent.write("later.yaml", podOf("later", [said("hello")]));
  await agent.untilReady("later");
  await untilNoProblems(agent);

  await Deno.remove(agent.manifests, { recursive: true });
  await Deno.mkdir(agent.manifests);
  await agent.untilGone("later");
  await agent.write("again.json", podOf("again", [said("hello")]));
  assertEquals(statusOf(await agent.untilReady("again"), "main").restartCount, 0);
}

Deno.test("the manifest directory", async (t) => {
  await using agent = await createAgent();
  await agent.start();
  await t.step(
    "a broken edit leaves the pod alone, says where it is broken, also after a restart",
    () => checkBrokenEdit(agent),
  );
  await t.step("a kind that is not for us is a problem of its document only", () => checkKinds(agent));
  await t.step("the second file of a name waits for the first", () => checkDuplicates(agent));
  await t.step("backups of editors and half-written files do no harm", () => checkEditors(agent));
  await t.step("links of mounted ConfigMaps swing at once", () => checkSwap(agent));
  await t.step("a directory that is moved away, back, deleted and made anew", () => checkDirectory(agent));
});
