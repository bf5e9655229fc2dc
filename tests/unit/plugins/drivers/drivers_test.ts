/** Real processes, started apart, adopted, ended; each test in an instance of its own. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { silentLog } from "../../../../agent/lib/log.ts";
import type { Problem } from "../../../../agent/model/errors.ts";
import type { PluginReport } from "../../../../agent/model/plugin_report.ts";
import { locateProblems } from "../../../../agent/sources/locate.ts";
import { endOrphans, runDrivers } from "../../../../plugins/drivers/mod.ts";
import { findDrivers } from "../../../../plugins/drivers/program.ts";
import { isAlive } from "../../../../plugins/processes/proc.ts";
import { until } from "../../../fakes/until.ts";

interface Stage {
  root: string;
  /** Writes the file of a driver that runs a shell script; its name is the driver's. */
  write(name: string, script: string, spec?: object): Promise<void>;
  /** An agent begins; returns how it leaves. */
  begin(): () => Promise<void>;
  report(name: string): PluginReport | undefined;
  becomes(name: string, state: PluginReport["state"] | undefined): Promise<void>;
  pid(name: string): number | undefined;
  problems(): readonly Problem[];
  log(name: string): string;
}

async function withDrivers(run: (stage: Stage) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "drivers-" });
  await Deno.mkdir(`${root}/plugins.d`);
  let reports: readonly PluginReport[] = [];
  let problems: readonly Problem[] = [];
  const leaves: (() => Promise<void>)[] = [];
  const report = (name: string) => reports.find((r) => r.name === name);
  const stage: Stage = {
    root,
    report,
    async write(name, script, spec = {}) {
      const driver = { command: ["/bin/sh", "-c", script], ...spec };
      const text = JSON.stringify({
        ...{ apiVersion: "agent/v1alpha1", kind: "Driver", metadata: { name }, spec: driver },
      });
      await Deno.writeTextFile(`${root}/.new`, text);
      await Deno.utime(`${root}/.new`, new Date(0), new Date(Date.now() - 1000 - Math.random() * 1000));
      await Deno.rename(`${root}/.new`, `${root}/plugins.d/${name}.yaml`);
    },
    begin() {
      const leaving = new AbortController();
      const running = runDrivers({
        ...{ host: createHost(), directory: `${root}/plugins.d`, instance: root, logsDir: `${root}/logs` },
        ...{ log: silentLog, locate: locateProblems, event: () => {} },
        problems: (all) => problems = all,
        report: (all) => reports = all,
        backOff: { initialMs: 10, maxMs: 100, forgottenMs: 60_000 },
      }, leaving.signal);
      const leave = async () => {
        leaving.abort();
        await running;
      };
      leaves.push(leave);
      return leave;
    },
    becomes: (name, state) => until(`${name} is ${state}`, () => report(name)?.state === state),
    pid: (name) => findDrivers(root).find((p) => p.name === name)?.pid,
    problems: () => problems,
    log: (name) => Deno.readTextFileSync(`${root}/logs/${name}.log`),
  };
  try {
    await run(stage);
  } finally {
    for (const leave of leaves) await leave();
    await endOrphans(root, () => false);
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("a driver runs with what its file says, its output in its log, and is adopted by the next agent", async () => {
  await withDrivers(async ({ root, write, begin, becomes, pid, log }) => {
    await Deno.mkdir(`${root}/work`);
    const script = 'echo "$1 $GREETING $(pwd) $(id -u):$(id -g)"; echo oops >&2; exec sleep 40';
    await write("stays", script, {
      ...{ args: ["sh", "one"], env: [{ name: "GREETING", value: "hello" }], workingDir: `${root}/work` },
    });
    await write("humble", "id -u; id -g; exec sleep 40", { user: 65534, group: 65533 });
    await write("goes", "exec sleep 40", { stop: "WithAgent" });
    await write("stubborn", "trap '' TERM; sleep 40 & wait; sleep 40", {
      terminationGracePeriodSeconds: 0,
    });
    const leave = begin();
    for (const name of ["stays", "goes", "humble", "stubborn"]) await becomes(name, "running");
    await until("its output is there", () => log("stays").includes("oops"));
    assertEquals(log("stays"), `one hello ${root}/work 0:0\noops\n`);
    await until("it says who it is", () => log("humble").split("\n").length > 2);
    assertEquals(log("humble"), "65534\n65533\n");
    // While a program takes the place of another it has no environment to be known by.
    await until("it can be told", () => pid("stays") !== undefined);
    const before = pid("stays");
    await leave();
    assertEquals([pid("goes"), pid("stays")], [undefined, before]);

    // Named anew while no agent runs: one is removed, one is changed.
    await write("humble", "exec sleep 41");
    const [, humble] = [pid("stays"), pid("humble")];
    await Deno.remove(`${root}/plugins.d/stubborn.yaml`);
    const again = begin();
    for (const name of ["stays", "goes", "humble"]) await becomes(name, "running");
    assertEquals(pid("stays"), before);
    await until("the changed one is another", () => pid("humble") !== humble && pid("humble") !== undefined);
    await until("the removed one has ended", () => pid("stubborn") === undefined);
    assert(log("stays").startsWith("one hello"), "it was not started again");
    await again();
  });
});

Deno.test("an edit restarts a driver, a broken one does not, and its removal ends it with its children", async () => {
  await withDrivers(async ({ root, write, begin, becomes, pid, problems }) => {
    await write("d", "sleep 40 & echo $! >child; wait", { workingDir: root });
    begin();
    await becomes("d", "running");
    const first = pid("d");
    await until(
      "its child runs",
      () => Deno.readTextFile(`${root}/child`).then((t) => t !== "", () => false),
    );
    const child = Number(await Deno.readTextFile(`${root}/child`));
    // Only what takes no restart.
    await write("d", "sleep 40 & echo $! >child; wait", { workingDir: root, stop: "WithAgent" });
    await Deno.writeTextFile(`${root}/plugins.d/e.yaml`, "kind: Driver\n");
    await until("the broken file is told", () => problems().some((p) => p.file.endsWith("e.yaml")));
    assertEquals(pid("d"), first);
    await Deno.writeTextFile(`${root}/plugins.d/d.yaml`, "spec: {");
    await until("the broken edit is told", () => problems().some((p) => p.file.endsWith("d.yaml")));
    assertEquals(pid("d"), first);
    await write("d", "exec sleep 42", { workingDir: root });
    await until("the edit runs", () => pid("d") !== undefined && pid("d") !== first);
    assertNotEquals(pid("d"), first);
    await until("the old one's child is gone", () => !isAliveNow(child));
    await Deno.remove(`${root}/plugins.d/d.yaml`);
    await becomes("d", undefined);
    await until("it has ended", () => pid("d") === undefined);
  });
});

const isAliveNow = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
};

Deno.test("a driver that ends is started again and says why; a socket that is stale goes, and is waited for", async () => {
  await withDrivers(async ({ root, write, begin, becomes, pid, report }) => {
    const socket = `${root}/deep/er/driver.sock`;
    await Deno.mkdir(`${root}/deep/er`, { recursive: true });
    Deno.listen({ transport: "unix", path: socket }).close();
    const serve = `exec ${Deno.execPath()} eval --no-config ` +
      `'for await (const c of Deno.listen({transport:"unix",path:"${socket}"})) c.close()'`;
    await write(
      "serves",
      `test -e ${socket} && exit 9; until test -e ${root}/go; do sleep 0.01; done; ${serve}`,
      {
        socket,
        env: [{ name: "HOME", value: root }],
      },
    );
    await write("fails", "echo no such device >&2; exit 1");
    await write("lost", "", { command: ["/no/such/program"] });
    await write("nobody", "exit 0", { user: "nobody-here" });
    begin();
    for (const name of ["fails", "lost", "nobody"]) {
      await until(`${name} says why`, () => (report(name)?.error ?? "") !== "");
    }
    assertMatch(report("fails")!.error, /^it ended.*fails\.log: .*no such device$/);
    assertMatch(report("lost")!.error, /no\/such\/program/);
    assertEquals(report("nobody")!.error, 'there is no user "nobody-here"');
    await until(
      "it is tried again",
      () => Deno.readTextFileSync(`${root}/logs/fails.log`).split("\n").length > 4,
    );
    assertEquals(report("serves")?.state, "starting");
    await Deno.writeTextFile(`${root}/go`, "");
    await becomes("serves", "running");
    const first = findDrivers(root).find((p) => p.name === "serves")!;
    Deno.kill(first.pid, "SIGKILL");
    await until("another one runs", () => pid("serves") !== undefined && pid("serves") !== first.pid);
    await becomes("serves", "running");
    assert(!isAlive(first));
  });
});
