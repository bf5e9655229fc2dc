/** What containers leave behind to keep a tree from being removed, or to harm who removes it. */
import { assertEquals, assertRejects } from "@std/assert";
import { createHost } from "../../../agent/host.ts";
import { AgentError } from "../../../agent/model/errors.ts";

const host = createHost();
const signal = new AbortController().signal;
const asRoot = { ignore: Deno.uid() !== 0 };

/** A directory of its own; in memory where a test makes many files. */
async function inMemory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "agent-remove-" });
  await host.mount({ source: "tmpfs", target: directory, fsType: "tmpfs" });
  try {
    await test(directory);
  } finally {
    await host.unmount(directory, { lazy: true });
    await Deno.remove(directory);
  }
}

/** Moves chain into chain: each path stays short enough for the kernel, the tree does not. */
const nest = `cd "$1"; chain=$(yes d | head -n 2000 | tr '\\n' '/'); i=0
while [ $i -lt 9 ]; do
  mkdir -p "new/$chain"
  if [ -e tree ]; then ( cd "new/$chain" && mv "$1/tree" d ); fi
  mv new tree; i=$((i+1))
done`;

Deno.test({
  name:
    "eighteen thousand directories in each other are removed: they would overflow the stack of a recursion",
  ...asRoot,
  fn: () =>
    inMemory(async (directory) => {
      assertEquals((await host.exec(["sh", "-c", nest, "sh", directory], {}, signal)).code, 0);
      await host.removeTree(`${directory}/tree`);
      assertEquals(await host.list(directory), []);
    }),
});

Deno.test({
  name: "what nobody may write, fifos, devices and odd names are removed; what links lead to stays",
  ...asRoot,
  fn: () =>
    inMemory(async (directory) => {
      const tree = `${directory}/tree`;
      await Deno.mkdir(`${tree}/closed`, { recursive: true });
      await Deno.writeTextFile(`${directory}/outside`, "stays");
      await Deno.writeTextFile(`${tree}/closed/-rf\n`, "x");
      await Deno.symlink(`${directory}/outside`, `${tree}/link`);
      await Deno.symlink("/", `${tree}/root`);
      for (const argv of [["mkfifo", `${tree}/fifo`], ["mknod", `${tree}/zero`, "c", "1", "5"]]) {
        assertEquals((await host.exec(argv, {}, signal)).code, 0);
      }
      await Deno.chmod(`${tree}/closed`, 0);
      await host.removeTree(tree);
      assertEquals(await host.list(directory), ["outside"]);
    }),
});

/** Whether the file system of temporary files knows immutable ones. */
async function knowsImmutable(): Promise<boolean> {
  const path = await Deno.makeTempFile({ prefix: "agent-remove-" });
  const change = async (flag: string) =>
    (await host.exec(["chattr", flag, path], {}, signal).catch(() => undefined))?.code;
  const able = await change("+i") === 0;
  await change("-i");
  await Deno.remove(path);
  return able;
}

Deno.test({
  name: "immutable and append-only files are removed all the same",
  ignore: asRoot.ignore || !await knowsImmutable(),
  async fn() {
    const directory = await Deno.makeTempDir({ prefix: "agent-remove-" });
    for (const [name, flag] of [["kept", "+i"], ["log", "+a"]] as const) {
      await Deno.mkdir(`${directory}/tree/${name}`, { recursive: true });
      await Deno.writeTextFile(`${directory}/tree/${name}/file`, "x");
      await host.exec(["chattr", "-R", flag, `${directory}/tree/${name}`], {}, signal);
    }
    await host.removeTree(`${directory}/tree`);
    assertEquals(await host.list(directory), []);
    await Deno.remove(directory);
  },
});

Deno.test({
  name: "what cannot be removed is named",
  ...asRoot,
  fn: () =>
    inMemory(async (directory) => {
      await Deno.mkdir(`${directory}/tree`);
      await Deno.writeTextFile(`${directory}/tree/file`, "x");
      await host.exec(["mount", "-o", "remount,ro", directory], {}, signal);
      await assertRejects(() => host.removeTree(`${directory}/tree`), AgentError, "Read-only file system");
    }),
});
