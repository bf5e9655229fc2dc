// The pause program runs, ends when asked, ignores what it should, and reaps; natively and as PID 1 of a namespace.

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { assemblePause, renderPause } from "../../../tools/pause.ts";
import { until } from "../../fakes/until.ts";

const native = Deno.build.arch === "aarch64" ? "arm64" : "amd64";

async function withPause(arch: "amd64" | "arm64", run: (path: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "pause-" });
  try {
    const path = join(directory, "pause");
    await Deno.writeFile(path, assemblePause()[arch], { mode: 0o755 });
    await run(path);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function procField(pid: number, field: string): string {
  return Deno.readTextFileSync(`/proc/${pid}/status`).match(new RegExp(`^${field}:\\s*(.*)$`, "m"))?.[1] ??
    "";
}

/** The program waits in rt_sigtimedwait; the signals that it waits for do not count as blocked meanwhile. */
const listens = (pid: number) =>
  Deno.readTextFileSync(`/proc/${pid}/syscall`).startsWith(native === "amd64" ? "128 " : "137 ");
const childrenOf = (pid: number) => Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim();

function spawn(command: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(command, { args, stdin: "null", stdout: "null", stderr: "inherit" }).spawn();
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`pause ends with 0 on ${signal}`, () =>
    withPause(native, async (path) => {
      const child = spawn(path);
      await until("the wait for signals", () => listens(child.pid));
      child.kill(signal);
      assertEquals(await child.status, { success: true, code: 0, signal: null });
    }));
}

Deno.test("pause reaps children and stays", () =>
  withPause(native, async (path) => {
    // The shell's background jobs become children of the pause program, which the shell turns into.
    const child = spawn("/bin/sh", "-c", `for i in 1 2 3 4 5 6 7 8; do sleep 0.0$i & done; exec ${path}`);
    await until("the program", () => procField(child.pid, "Name") === "pause" && listens(child.pid));
    await until("all children reaped", () => childrenOf(child.pid) === "");
    assertEquals(procField(child.pid, "State"), "S (sleeping)");
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 0);
  }));

Deno.test({
  name: "pause as PID 1 reaps orphans and obeys signals from outside",
  ignore: Deno.uid() !== 0,
  fn: () =>
    withPause(native, async (path) => {
      const script = `(sleep 0.05 & sleep 0.02 &); exec ${path}`;
      const outer = spawn("unshare", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script);
      await until("the forked PID 1", () => childrenOf(outer.pid) !== "");
      const inner = Number(childrenOf(outer.pid));
      await until("the program", () => procField(inner, "Name") === "pause" && listens(inner));
      assertEquals(procField(inner, "NSpid").split(/\s+/)[1], "1");
      await until("orphans reaped", () => childrenOf(inner) === "");
      Deno.kill(inner, "SIGTERM");
      assertEquals((await outer.status).code, 0);
    }),
});

const qemu = await Deno.stat("/usr/bin/qemu-aarch64-static").then(() => true, () => false);

Deno.test({
  name: "pause for arm64 runs under an emulator",
  ignore: !qemu || native === "arm64",
  fn: () =>
    withPause("arm64", async (path) => {
      const child = spawn("/usr/bin/qemu-aarch64-static", path);
      await until("the wait for signals", () => listens(child.pid));
      child.kill("SIGTERM");
      assertEquals((await child.status).code, 0);
    }),
});

Deno.test("both programs are small ELF files for their machine", () => {
  const machines = { amd64: 62, arm64: 183 };
  for (const [arch, elf] of Object.entries(assemblePause())) {
    const view = new DataView(elf.buffer);
    assertEquals(view.getUint32(0), 0x7f454c46);
    assertEquals(view.getUint16(18, true), machines[arch as keyof typeof machines]);
    assertEquals(view.getBigUint64(64 + 32, true), BigInt(elf.length), "the segment covers the file");
    assert(elf.length < 512);
  }
});

Deno.test("the generated file is fresh", () => {
  const path = join(import.meta.dirname ?? "", "../../../plugins/cri/pause_gen.ts");
  assertEquals(Deno.readTextFileSync(path), renderPause());
});
