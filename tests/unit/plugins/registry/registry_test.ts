/** Real sockets in a real directory, plugins of our own behind them. */
import { assert, assertEquals } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { silentLog } from "../../../../agent/lib/log.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { PluginReport } from "../../../../agent/model/plugin_report.ts";
import type { FoundPlugin, PluginTaker } from "../../../../agent/plugin_ports.ts";
import { runRegistry } from "../../../../plugins/registry/mod.ts";
import { startRegisteringPlugin } from "../../../fakes/registration.ts";
import { until } from "../../../fakes/until.ts";

interface Stage {
  directory: string;
  /** `register NAME`, `deregister NAME`, in order. */
  calls: string[];
  taker: { -readonly [K in keyof PluginTaker]: PluginTaker[K] };
  /** By name of the socket's file. */
  report(socket: string): PluginReport | undefined;
  /** Waits for a plugin's state. */
  becomes(socket: string, state: PluginReport["state"] | undefined): Promise<PluginReport | undefined>;
  /** The agent leaves. */
  leave(): Promise<void>;
}

const csi = (name: string) => ({ type: "CSIPlugin", name });

async function withRegistry(
  run: (stage: Stage) => Promise<void>,
  before: (directory: string) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "registry-" });
  const directory = `${root}/plugins_registry`;
  await before(directory);
  const leaving = new AbortController();
  const calls: string[] = [];
  let reports: readonly PluginReport[] = [];
  const taker: Stage["taker"] = {
    validate: () => {},
    register: ({ name }: FoundPlugin) => Promise.resolve(void calls.push(`register ${name}`)),
    deregister: ({ name }: FoundPlugin) => void calls.push(`deregister ${name}`),
  };
  const running = runRegistry({
    host: createHost(),
    directory,
    takers: { CSIPlugin: taker },
    log: silentLog,
    report: (plugins) => reports = plugins,
    event: () => {},
    retry: { initialMs: 10, maxMs: 50 },
  }, leaving.signal);
  const report = (socket: string) => reports.find((r) => r.socket.endsWith(`/${socket}`));
  const leave = async () => {
    leaving.abort();
    await running;
  };
  try {
    await until("its directory is made", () => Deno.stat(directory).then(() => true, () => false));
    await run({
      ...{ directory, calls, taker, report, leave },
      async becomes(socket, state) {
        await until(`${socket} is ${state}`, () => report(socket)?.state === state);
        return report(socket);
      },
    });
  } finally {
    await leave();
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("registry: sockets that were there before are registered, nested ones and linked ones, and nothing else", async () => {
  const plugins: AsyncDisposable[] = [];
  const start = async (path: string, name: string) => {
    plugins.push(await startRegisteringPlugin(path, csi(name)));
  };
  await withRegistry(async ({ calls, becomes, report, directory }) => {
    await becomes("a.sock", "registered");
    await becomes("deep.sock", "registered");
    await becomes("link.sock", "registered");
    // All were found in one look; who was passed over then will not come later.
    assertEquals(calls.toSorted(), ["register a", "register deep", "register linked"]);
    assertEquals(
      [".hidden.sock", "file.sock", "in.sock", "beyond.sock"].map(report),
      Array(4).fill(undefined),
    );
    const { since, ...rest } = report("a.sock")!;
    assertEquals(rest, {
      ...{ name: "a", type: "CSIPlugin", state: "registered", error: "", versions: ["1.0.0"] },
      ...{ socket: `${directory}/a.sock`, endpoint: `${directory}/a.sock` },
    });
    assert(Math.abs(since - Date.now()) < 60_000);
  }, async (directory) => {
    await Deno.mkdir(`${directory}/x/y/z`, { recursive: true });
    await Deno.mkdir(`${directory}/.dots`);
    const elsewhere = `${directory}-elsewhere`;
    await Deno.mkdir(elsewhere);
    await Deno.symlink(elsewhere, `${directory}/directory-link`);
    await start(`${directory}/a.sock`, "a");
    await start(`${directory}/x/y/z/deep.sock`, "deep");
    await start(`${directory}/.hidden.sock`, "hidden");
    await start(`${directory}/.dots/in.sock`, "in");
    await start(`${elsewhere}/beyond.sock`, "beyond");
    await start(`${directory}-linked.sock`, "linked");
    await Deno.symlink(`${directory}-linked.sock`, `${directory}/link.sock`);
    await Deno.writeTextFile(`${directory}/file.sock`, "");
  });
  for (const plugin of plugins) await plugin[Symbol.asyncDispose]();
});

Deno.test("registry: a plugin comes, is told, goes and comes back; one that takes another's path is another", async () => {
  await withRegistry(async ({ directory, calls, becomes }) => {
    await Deno.mkdir(`${directory}/example.com`);
    const path = `${directory}/example.com/s`;
    const first = await startRegisteringPlugin(path, { ...csi("one"), endpoint: "unix:///run/one.sock" });
    assertEquals((await becomes("s", "registered"))?.endpoint, "/run/one.sock");
    await until("it is told", () => first.told.length > 0);
    assertEquals(first.told, [""]);
    await first.stop();
    await becomes("s", undefined);
    await until("it is deregistered", () => calls.length === 2);
    await using _back = await startRegisteringPlugin(path, csi("one"));
    await becomes("s", "registered");
    // A new process binds elsewhere and renames, so the path is never free.
    await using _other = await startRegisteringPlugin(`${directory}/.new`, csi("other"));
    await Deno.rename(`${directory}/.new`, path);
    await until("the other one is registered", () => calls.length === 5);
    assertEquals(calls, [
      "register one",
      "deregister one",
      "register one",
      "deregister one",
      "register other",
    ]);
    await Deno.remove(directory, { recursive: true });
    await until("a directory that goes takes its plugins along", () => calls.at(-1) === "deregister other");
    await until("and is made again", () => Deno.stat(directory).then(() => true, () => false));
    await using _again = await startRegisteringPlugin(`${directory}/again`, csi("again"));
    await becomes("again", "registered");
  });
});

Deno.test("registry: what is wrong with a plugin is told to it, shown, and tried again where that can help", async () => {
  await withRegistry(async ({ directory, calls, becomes, taker }) => {
    await using dra = await startRegisteringPlugin(`${directory}/dra`, { type: "DRAPlugin", name: "gpu" });
    await using odd = await startRegisteringPlugin(`${directory}/odd`, { type: "FloppyPlugin", name: "a" });
    await using relative = await startRegisteringPlugin(`${directory}/relative`, {
      ...csi("b"),
      endpoint: "csi.sock",
    });
    const errors = await Promise.all(["dra", "odd", "relative"].map((s) => becomes(s, "failed")));
    const expected = [
      "plugins of type DRAPlugin are not supported yet",
      'it says that its type is "FloppyPlugin"; expected one of CSIPlugin, DevicePlugin, DRAPlugin',
      'it says that it serves at "csi.sock"; expected the absolute path of a socket',
    ];
    assertEquals(errors.map((r) => r?.error), expected);
    await until("it is asked again", () => relative.asked() > 3);
    assertEquals([dra.told, odd.told, relative.told[0]], [[expected[0]], [expected[1]], expected[2]]);
    assertEquals([dra.asked(), odd.asked()], [1, 1]);

    let wrong = "versions v0; expected v1";
    taker.validate = () => {
      if (wrong !== "") throw new AgentError("PluginRegistrationFailed", wrong);
    };
    await using late = await startRegisteringPlugin(`${directory}/late`, csi("late"));
    assertEquals((await becomes("late", "failed"))?.error, wrong);
    wrong = "";
    assertEquals((await becomes("late", "registered"))?.error, "");
    await until("it is told", () => late.told.at(-1) === "");
    assertEquals(late.told[0], "versions v0; expected v1");
    assertEquals(calls, ["register late"]);
  });
});

Deno.test("registry: a plugin that never answers holds up nobody, and ends with its socket", async () => {
  await withRegistry(async ({ directory, becomes, calls, taker }) => {
    const hung = Deno.listen({ transport: "unix", path: `${directory}/hung` });
    await becomes("hung", "registering");
    let aborted = false;
    taker.register = ({ name }, signal) => {
      if (name !== "slow") return Promise.resolve(void calls.push(`register ${name}`));
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          aborted = true;
          reject(signal.reason);
        });
      });
    };
    const slow = await startRegisteringPlugin(`${directory}/slow`, csi("slow"));
    await until("it is asked", () => slow.asked() === 1);
    await using _well = await startRegisteringPlugin(`${directory}/well`, csi("well"));
    await becomes("well", "registered");
    await slow.stop();
    await becomes("slow", undefined);
    await until("its registration ends with its socket", () => aborted);
    assertEquals(calls, ["register well"]);
    hung.close();
  });
});

Deno.test("registry: of two sockets with one name the newer has it, and the older gets it back", async () => {
  await withRegistry(async ({ directory, becomes, calls }) => {
    await using old = await startRegisteringPlugin(`${directory}/old`, csi("driver"));
    await becomes("old", "registered");
    const next = await startRegisteringPlugin(`${directory}/next`, csi("driver"));
    await becomes("old", "replaced");
    await becomes("next", "registered");
    assertEquals(calls, ["register driver", "register driver"]);
    await next.stop();
    await becomes("old", "registered");
    assertEquals(calls.slice(2), ["deregister driver", "register driver"]);
    // The older one's end takes nothing from the newer.
    await using _third = await startRegisteringPlugin(`${directory}/third`, csi("driver"));
    await becomes("third", "registered");
    await old.stop();
    await becomes("old", undefined);
    await becomes("third", "registered");
    assertEquals(calls.slice(4), ["register driver"]);
  });
});

Deno.test("registry: a plugin that died without taking its socket away is no longer registered", async () => {
  await withRegistry(async ({ directory, becomes, calls }) => {
    await using plugin = await startRegisteringPlugin(`${directory}/.real`, csi("mortal"));
    await Deno.rename(`${directory}/.real`, `${directory}/mortal`);
    await becomes("mortal", "registered");
    await plugin.stop(); // removes only the socket that it knows the path of
    const report = await becomes("mortal", "failed");
    assert(report!.error.includes("nobody answers"), report!.error);
    assertEquals(calls, ["register mortal", "deregister mortal"]);
  });
});

Deno.test("registry: the agent's leaving deregisters nobody; a path that the kernel cannot take is said so", async () => {
  await withRegistry(async ({ directory, becomes, calls, leave }) => {
    await using _plugin = await startRegisteringPlugin(`${directory}/stays`, csi("stays"));
    await becomes("stays", "registered");
    const deep = `${directory}/${"d".repeat(60)}`;
    await Deno.mkdir(deep);
    await using _far = await startRegisteringPlugin(`${directory}/.far`, csi("far"));
    await Deno.rename(`${directory}/.far`, `${deep}/far`);
    const length = `${deep}/far`.length;
    assertEquals(
      (await becomes("far", "failed"))?.error,
      `the path of its socket has ${length} bytes, and the kernel takes 107: place it less deep`,
    );
    await leave();
    assertEquals(calls, ["register stays"]);
  });
});
