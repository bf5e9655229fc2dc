import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import { publishHostPath } from "../../../../agent/volumes/host_path.ts";
import { host, inDirectory, modeOf, signal } from "./sandbox.ts";

Deno.test("each type takes its own kind of thing and names what it wanted", () =>
  inDirectory(async (root) => {
    await Deno.mkdir(`${root}/dir`);
    await Deno.writeTextFile(`${root}/file`, "content");
    await Deno.symlink("dir", `${root}/link`);
    await new Deno.Command("mkfifo", { args: [`${root}/fifo`] }).output();
    const listener = Deno.listen({ transport: "unix", path: `${root}/socket` });
    const things = ["dir", "file", "link", "fifo", "socket", "null", "none"];
    const at = (thing: string) => thing === "null" ? "/dev/null" : `${root}/${thing}`;
    const accepted: Record<string, string[]> = {
      "": things,
      Directory: ["dir", "link"],
      DirectoryOrCreate: ["dir", "link"],
      File: ["file"],
      FileOrCreate: ["file"],
      Socket: ["socket"],
      CharDevice: ["null"],
      BlockDevice: [],
    };
    for (const [type, takes] of Object.entries(accepted)) {
      for (const thing of things.filter((t) => t !== "none" || !type.endsWith("OrCreate"))) {
        const attempt = publishHostPath(host, { path: at(thing), type }, signal);
        if (takes.includes(thing)) assertEquals(await attempt, at(thing));
        else {await assertRejects(
            () => attempt,
            AgentError,
            `hostPath type check failed: ${at(thing)} is not a `,
          );}
      }
    }
    listener.close();
  }));

Deno.test("missing directories and files are created, never truncated", () =>
  inDirectory(async (root) => {
    await publishHostPath(host, { path: `${root}/a/b`, type: "DirectoryOrCreate" }, signal);
    assertEquals(modeOf(`${root}/a/b`), "755");
    await publishHostPath(host, { path: `${root}/a/f`, type: "FileOrCreate" }, signal);
    assertEquals(modeOf(`${root}/a/f`), "644");
    await Deno.writeTextFile(`${root}/a/f`, "kept");
    await publishHostPath(host, { path: `${root}/a/f`, type: "FileOrCreate" }, signal);
    assertEquals(await Deno.readTextFile(`${root}/a/f`), "kept");
    await assertRejects(
      () => publishHostPath(host, { path: `${root}/no/f`, type: "FileOrCreate" }, signal),
      AgentError,
      `cannot create the file ${root}/no/f`,
    );
  }));

Deno.test("paths that are not plain absolute ones and unknown types are refused for good", async () => {
  const table: [string, string, string][] = [
    ["etc", "", "invalid HostPath `etc`: must be an absolute path"],
    ["/var/../etc", "", "invalid HostPath `/var/../etc`: must not contain '..'"],
    ["/etc", "toString", "toString is an invalid volume type"],
  ];
  for (const [path, type, message] of table) {
    const error = await assertRejects(
      () => publishHostPath(host, { path, type }, signal),
      AgentError,
      message,
    );
    assertEquals(error.retry, false);
  }
});
