/** Images from archives in the images directory: no registry anywhere. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createImageArchive, writeImageArchive } from "../../tools/busybox_image.ts";
import { type AgentUnderTest, createAgent, output } from "./agent.ts";
import { until } from "./containerd.ts";
import { podOf, shell, stay, waitingReason } from "./pods.ts";

const imageOf = (name: string) => `localhost/late/${name}:1`;
const waiting = (name: string) =>
  podOf(name, [{ ...shell("main", `cat /which; echo; ${stay}`), image: imageOf(name) }]);

/** The archive, compressed by its name, written outside and moved in when it is whole. */
async function bring(
  agent: AgentUnderTest,
  name: string,
  suffix: string,
  format: "docker" | "oci",
): Promise<void> {
  const tar = `${name}.tar`;
  await writeImageArchive(agent.directory, tar, { tags: [imageOf(name)], files: { "/which": name }, format });
  const compress = { ".gz": ["gzip", "-f"], ".zst": ["zstd", "-q", "-f", "--rm"] }[suffix.slice(4)];
  if (compress !== undefined) {
    const { code, stderr } = await output(compress[0]!, [...compress.slice(1), `${agent.directory}/${tar}`]);
    assertEquals(code, 0, stderr);
  }
  await Deno.rename(`${agent.directory}/${name}${suffix}`, `${agent.images}/${name}${suffix}`);
}

async function checkLate(
  agent: AgentUnderTest,
  name: string,
  suffix: string,
  format: "docker" | "oci",
): Promise<void> {
  await agent.write(`${name}.yaml`, waiting(name));
  await agent.untilPod(name, "backs off", (p) => waitingReason(p, "main") === "ImagePullBackOff");
  const began = performance.now();
  await bring(agent, name, suffix, format);
  await agent.untilReady(name);
  assert(performance.now() - began < 5000, "at once, not after the back-off's 10 s");
  assertEquals(await agent.untilLog(name, "main", /\n/), `${name}\n`);
}

async function checkSlowWriter(agent: AgentUnderTest): Promise<void> {
  const archive = createImageArchive({ tags: [imageOf("slow")], files: { "/which": "slow" } });
  await agent.write("slow.yaml", waiting("slow"));
  using file = await Deno.open(`${agent.images}/slow.tar`, { write: true, create: true });
  const half = archive.length >> 1;
  await file.write(archive.subarray(0, half));
  await agent.untilPod("slow", "is known", () => true);
  for (let at = half; at < archive.length;) at += await file.write(archive.subarray(at));
  await agent.untilReady("slow");
  await until("no problem is left", async () => (await agent.problems()).length === 0);
}

async function checkBroken(agent: AgentUnderTest): Promise<void> {
  await Deno.writeTextFile(`${agent.images}/broken.tar`, "no archive");
  await until(
    "it is a problem of the file",
    async () => (await agent.problems()).some((p) => p.file === `${agent.images}/broken.tar`),
  );
  await Deno.remove(`${agent.images}/broken.tar`);
  await until("it is none any more", async () => (await agent.problems()).length === 0);
}

async function checkCli(agent: AgentUnderTest): Promise<void> {
  await agent.write("byhand.yaml", waiting("byhand"));
  await agent.untilPod("byhand", "backs off", (p) => waitingReason(p, "main") === "ImagePullBackOff");
  const path = await writeImageArchive(agent.directory, "byhand.tar", {
    tags: [imageOf("byhand")],
    files: { "/which": "byhand" },
  });
  const began = performance.now();
  const imported = await agent.cli("images", "import", path);
  assertEquals(imported.code, 0, imported.stderr);
  await agent.untilReady("byhand");
  assert(performance.now() - began < 5000, "at once");
  assertMatch((await agent.cli("images")).stdout, /^localhost\/late\/byhand +1 /m);
  const bad = await agent.cli("images", "import", `${agent.directory}/nowhere.tar`);
  assertEquals(bad.code, 1);
}

Deno.test("images from archives", async (t) => {
  await using agent = await createAgent({ withImage: false });
  await Deno.remove(agent.images);
  await agent.start();
  await t.step("the directory is made", async () => {
    assertEquals((await Deno.stat(agent.images)).mode! & 0o777, 0o755);
  });
  await t.step(
    "docker .tar, for a pod that waits already",
    () => checkLate(agent, "plain", ".tar", "docker"),
  );
  await t.step("OCI .tar.gz", () => checkLate(agent, "gzipped", ".tar.gz", "oci"));
  await t.step("docker .tar.zst", () => checkLate(agent, "zstd", ".tar.zst", "docker"));
  await t.step("one that is written slowly", () => checkSlowWriter(agent));
  await t.step("a broken one", () => checkBroken(agent));
  await t.step("agent images import", () => checkCli(agent));
  await t.step("nothing is imported again after a restart", async () => {
    await agent.stop();
    const before = agent.log().length;
    await agent.start();
    await agent.untilReady("plain");
    assert(!agent.log().slice(before).includes("image archive imported"));
  });
});
