import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { Container, Volume } from "../../../../agent/model/gen/v1.ts";
import { desire, host, inDirectory, needsRoot, noObjects, signal, volumesAt } from "./sandbox.ts";

const containerReading = (...paths: string[]): Container => ({
  name: "c",
  env: paths.map((path, i) => ({
    name: `V${i}`,
    valueFrom: { fileKeyRef: { volumeName: "shared", path, key: "KEY" } },
  })),
});
const volumes: Volume[] = [{ name: "shared", emptyDir: {} }];

/** What is read of a file below an emptyDir in which `prepare` has been at work. */
async function reading(
  path: string,
  prepare: (volume: string, root: string) => Promise<unknown>,
): Promise<string | undefined> {
  let read: string | undefined;
  await inDirectory(async (root) => {
    await Deno.writeTextFile(`${root}/secret`, "KEY='of the host'");
    const storage = volumesAt(root);
    const published = await storage.publish(desire({ volumes }), noObjects, signal);
    await prepare(published.get("shared")!.hostPath, root);
    const file = (await storage.envFiles("uid-1", containerReading(path), published)).get(`shared/${path}`);
    assertEquals((await host.mounts()).filter((m) => m.path.startsWith(`${root}/`)), []);
    read = file === undefined ? undefined : "text" in file ? file.text : `error: ${file.error}`;
    await storage.remove("uid-1", signal);
  });
  return read;
}
const write = (name: string, text = "KEY='v'") => (volume: string) =>
  Deno.writeTextFile(`${volume}/${name}`, text);

Deno.test({
  name: "fileKeyRef: files and links inside the volume are read, missing ones are none",
  ...needsRoot,
  async fn() {
    assertEquals(await reading("app.env", write("app.env")), "KEY='v'");
    const linked = async (volume: string) => {
      await Deno.mkdir(`${volume}/deep`);
      await write("deep/real")(volume);
      await Deno.symlink("deep/real", `${volume}/link`);
    };
    assertEquals(await reading("link", linked), "KEY='v'");
    assertEquals(await reading("./deep//real", linked), "KEY='v'");
    assertEquals(await reading("none", () => Promise.resolve()), undefined);
    assertEquals(await reading("dangling", (v) => Deno.symlink("nowhere", `${v}/dangling`)), undefined);
    assertEquals(await reading("app.env", write("app.env", "")), "");
  },
});

Deno.test({
  name:
    "fileKeyRef: no link leads out of the volume; no fifo, device or directory is opened; no huge file is read",
  ...needsRoot,
  async fn() {
    const outside = "error: it does not lie inside the volume";
    assertEquals(await reading("a", (v, root) => Deno.symlink(`${root}/secret`, `${v}/a`)), outside);
    assertEquals(await reading("a/secret", (v, root) => Deno.symlink(root, `${v}/a`)), outside);
    assertEquals(await reading("a", (v) => Deno.symlink("/proc/self/environ", `${v}/a`)), outside);
    const irregular = "error: it is not a regular file";
    const command = (...argv: string[]) => host.exec(argv, {}, signal);
    assertEquals(await reading("a", (v) => command("mkfifo", `${v}/a`)), irregular);
    assertEquals(await reading("a", (v) => command("mknod", `${v}/a`, "c", "1", "5")), irregular);
    assertEquals(await reading("a", (v) => Deno.mkdir(`${v}/a`)), irregular);
    assertEquals(
      await reading("a", (v) => command("truncate", "-s", "1T", `${v}/a`)),
      "error: it is larger than 1048576 bytes",
    );
    assertEquals(
      await reading("a", (v) => Deno.writeFile(`${v}/a`, Uint8Array.of(0xff))),
      "error: it is not UTF-8 text",
    );
  },
});

Deno.test("fileKeyRef: a volume that is not published is named", () =>
  inDirectory(async (root) => {
    await assertRejects(
      () => volumesAt(root).envFiles("uid-1", containerReading("x"), new Map()),
      AgentError,
      'cannot find the volume "shared" referenced by FileKeyRef',
    );
  }));
