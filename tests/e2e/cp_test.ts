/** `agent cp` of the built binary against real containers: bytes, names, modes, links, streams, and images without tar. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createAgent, output } from "./agent.ts";
import { podOf, shell, stay } from "./pods.ts";

const withTar = `ln -s /bin/busybox /bin/tar; ln -s /bin/busybox /bin/find; mkdir /data; ${stay}`;

const odd = ["a b", "-x", "new\nline", "ü€", "n".repeat(200)];

async function fill(directory: string): Promise<void> {
  await Deno.mkdir(`${directory}/deep/er`, { recursive: true });
  for (const name of odd) await Deno.writeTextFile(`${directory}/deep/${name}`, name);
  await Deno.chmod(`${directory}/deep/a b`, 0o751);
  await Deno.chmod(`${directory}/deep/er`, 0o700);
  await Deno.symlink("../a b", `${directory}/deep/er/link`);
}

/** Everything about a tree that shall be the same elsewhere. */
const listing = async (directory: string): Promise<string> =>
  (await output("find", [directory, "-mindepth", "1", "-printf", "%P %m %l %s\n"])).stdout.split("\n").sort()
    .join("\n");

Deno.test("cp: files and trees there and back, streams, links, modes, and clear refusals", async () => {
  await using agent = await createAgent();
  await agent.start();
  await agent.write("app.yaml", podOf("app", [shell("main", withTar), shell("bare", stay)]));
  await agent.untilReady("app");
  const here = `${agent.directory}/cp`;
  await Deno.mkdir(here);
  const cp = async (...words: string[]) => {
    const result = await agent.cli("cp", "-c", "main", ...words);
    assertEquals([result.code, result.stdout], [0, ""], result.stderr);
    return result.stderr;
  };
  const inside = async (script: string) =>
    (await agent.cli("exec", "app", "-c", "main", "--", "sh", "-c", script)).stdout;

  const bytes = new Uint8Array(20 << 20);
  for (let at = 0; at < bytes.length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  await Deno.writeFile(`${here}/big`, bytes, { mode: 0o640 });
  assertEquals(await cp(`${here}/big`, "default/app:/data"), "");
  assertEquals(await inside("busybox stat -c '%a %s' /data/big"), `640 ${bytes.length}\n`);
  await cp("app:/data/big", `${here}/back`);
  assertEquals(await Deno.readFile(`${here}/back`), bytes);
  assertEquals((await Deno.stat(`${here}/back`)).mode! & 0o777, 0o640);

  await fill(`${here}/tree`);
  await cp(`${here}/tree`, "app:/data/new");
  await cp(`${here}/tree`, "app:/data/new");
  assertEquals(await inside("ls /data/new"), "deep\ntree\n");
  await cp("app:/data/new/tree", `${here}/copy`);
  assertEquals(await listing(`${here}/copy`), await listing(`${here}/tree`));
  await cp("--no-preserve", `${here}/tree`, "app:/data/plain");
  assertEquals(await inside("busybox stat -c %a '/data/plain/deep/a b' /data/plain/deep/er"), "751\n700\n");

  const archive = await new Deno.Command("sh", {
    args: ["-c", `"$AGENT" cp -c main app:/data/new/tree - | tar t | grep -c deep`],
    env: { AGENT: Deno.env.get("AGENT_BINARY") ?? "dist/agent", AGENT_SOCKET: agent.socket },
  }).output();
  assertEquals(new TextDecoder().decode(archive.stdout).trim(), "8");
  const sent = await new Deno.Command("sh", {
    args: ["-c", `tar c -C "$1" tree | "$AGENT" cp -c main - app:/tmp`, "sh", here],
    env: { AGENT: Deno.env.get("AGENT_BINARY") ?? "dist/agent", AGENT_SOCKET: agent.socket },
  }).output();
  assert(sent.success, new TextDecoder().decode(sent.stderr));
  assertEquals(await inside("cat '/tmp/tree/deep/a b'"), "a b");

  await inside(
    "mkdir /evil; cd /evil; ln -s /etc/passwd out; ln -s ../../../../x up; echo text >file; ln -s file in",
  );
  const warned = await cp("app:/evil", `${here}/evil`);
  assertMatch(warned, /evil\/out is left out: a symbolic link to \/etc\/passwd/);
  assertMatch(warned, /evil\/up is left out/);
  assertEquals((await Array.fromAsync(Deno.readDir(`${here}/evil`))).map((e) => e.name).sort(), [
    "file",
    "in",
  ]);
  await cp("app:/evil/in", `${here}/followed`);
  assertEquals(await Deno.readTextFile(`${here}/followed`), "text\n");
  await cp("app:/evil/in", here);
  assertEquals(await Deno.readTextFile(`${here}/file`), "text\n");

  const missing = await agent.cli("cp", "-c", "main", "app:/no/such", `${here}/x`);
  assertEquals(missing.code, 1);
  assertMatch(missing.stderr, /\/no.*No such file[^]*Error: tar in container main ended with exit code 1\n$/);
  for (
    const [to, where] of [["/no/such/", "/no/such/"], ["/no/such", "/no"], ["/etc/passwd/x", "/etc/passwd"]]
  ) {
    assertEquals(await agent.cli("cp", "-c", "main", `${here}/big`, `app:${to}`), {
      code: 1,
      stdout: "",
      stderr: `Error: ${where} is not a directory in container main\n`,
    });
  }
  await inside("mkdir /data/taken");
  const taken = await agent.cli("cp", "-c", "main", `${here}/back`, "app:/data/new/../taken/../taken");
  assertEquals(taken.code, 0, taken.stderr);
  const noSource = await agent.cli("cp", "-c", "main", `${here}/none`, "app:/data");
  assertEquals(noSource, { code: 1, stdout: "", stderr: `Error: ${here}/none: No such file or directory\n` });
  for (const words of [["app:/data/x", `${here}/x`], [`${here}/file`, "app:/data"]]) {
    const bare = await agent.cli("cp", "-c", "bare", ...words);
    assertEquals(bare.code, 1);
    assertStringIncludes(bare.stderr, "the image of container bare in pod app has no tar, which cp needs");
  }
  assertEquals((await agent.cli("cp", `${here}/file`, `${here}/other`)).code, 2);
});
