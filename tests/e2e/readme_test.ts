/** The README's console blocks, run as a newcomer types them, in one shell and a checkout's root. */
import { assert, assertEquals } from "@std/assert";

const root = new URL("../../", import.meta.url).pathname;

/** The commands behind `$ ` of all `console` blocks, in order. */
export function consoleCommands(markdown: string): string[] {
  const blocks = [...markdown.matchAll(/^```console\n([\s\S]*?)^```/gm)].map((m) => m[1] ?? "");
  return blocks.flatMap((block) =>
    block.split("\n").filter((l) => l.startsWith("$ ")).map((l) => l.slice(2))
  );
}

Deno.test("each command of the tour works, in order, and leaves nothing behind", async () => {
  const commands = consoleCommands(await Deno.readTextFile(`${root}README.md`)).filter((c) =>
    c !== "make build"
  );
  assert(commands.length > 15, "the tour is in the README");
  const directory = await Deno.makeTempDir({ prefix: "agent-readme-" });
  const script = commands.map((command) => {
    // The address of the demo page may be taken; what the tour writes goes to a directory of its own.
    const own = command.replaceAll("/tmp/tour", `${directory}/tour`).replaceAll(
      "manifests/web.yaml",
      `${directory}/web.yaml`,
    );
    return `echo '$ ${own.replaceAll("'", `'\\''`)}'\n${own}\n[ $? = 0 ] || { echo FAILED; exit 1; }`;
  });
  const listener = Deno.listen({ port: 0 });
  const port = (listener.addr as Deno.NetAddr).port;
  listener.close();
  const web = await Deno.readTextFile(`${root}manifests/web.yaml`);
  await Deno.writeTextFile(`${directory}/web.yaml`, web.replaceAll("8088", String(port)));
  const shell = new Deno.Command("timeout", {
    args: [
      "120",
      "bash",
      "-c",
      "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n" + script.join("\n").replaceAll("8088", String(port)),
    ],
    cwd: root,
    env: { NO_COLOR: "1" },
  });
  const { code, stdout, stderr } = await shell.output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (code !== 0) {
    await new Deno.Command("dist/agent", {
      args: ["teardown"],
      cwd: root,
      env: { AGENT_ROOT_DIR: `${directory}/tour` },
    }).output();
  }
  assertEquals(code, 0, said);
  assert(said.includes('did you mean "containers"?'), said);
  assert(said.includes("done: no pod of this instance is left"), said);
  await Deno.remove(directory, { recursive: true });
});
