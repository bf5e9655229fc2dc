/**
 * Starts the test driver as a process, and ends it: for tests. Not for: what it does (services.ts), registering it.
 */
import { join } from "@std/path";
import { type Call, callsFile, type Knobs, knobsFile } from "./knobs.ts";
import { sicknessFile } from "./disks.ts";
import type { DriverOptions } from "./services.ts";

export interface CsiDriverProcess extends AsyncDisposable {
  name: string;
  socket: string;
  /** Misbehaves like this from the next call on. */
  knobs(knobs: Knobs): Promise<void>;
  /** The volume is abnormal from now on; without a message it is well again. */
  sicken(id: string, message?: string): Promise<void>;
  /** What it was asked, since its state began. */
  calls(method?: string): Promise<Call[]>;
  /** Waits until it was asked as often. */
  untilCalled(method: string, times?: number): Promise<void>;
  /** SIGKILL, also to the programs that it has started; the socket stays behind, as after a crash. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** SIGTERM; it takes its sockets with it. */
  stop(): Promise<void>;
  /** Its records are gone, its files and mounts are not. */
  forget(): Promise<void>;
  ended(): boolean;
}

const here = import.meta.dirname ?? ".";

export async function startCsiDriver(
  directory: string,
  options: Omit<DriverOptions, "state" | "name"> & { name?: string; state?: string } = {},
): Promise<CsiDriverProcess> {
  const name = options.name ?? "test.csi.example";
  const state = options.state ?? join(directory, "driver", name);
  const socket = join(directory, `${name}.sock`);
  const given: DriverOptions = { ...options, name, state };
  await Deno.mkdir(state, { recursive: true });
  let process: Deno.ChildProcess | undefined;
  let ended: Promise<unknown> = Promise.resolve();
  let isEnded = true;

  async function start(): Promise<void> {
    const args = ["run", "-A", "--no-check", "--quiet", join(here, "main.ts"), socket, JSON.stringify(given)];
    const child = new Deno.Command(Deno.execPath(), {
      args,
      stdout: "piped",
      stderr: "inherit",
      detached: true,
    }).spawn();
    process = child;
    isEnded = false;
    ended = child.status.then(() => isEnded = true);
    const output = child.stdout.getReader();
    const first = await output.read();
    await output.cancel();
    if (first.done) throw new Error("the CSI driver ended before it served");
  }

  async function end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    try {
      if (!isEnded && process !== undefined) Deno.kill(-process.pid, signal);
    } catch {
      // It has just ended by itself.
    }
    await ended;
  }

  const kill = () => end("SIGKILL");

  async function calls(method?: string): Promise<Call[]> {
    const text = await Deno.readTextFile(callsFile(state)).catch(() => "");
    const all = text.trimEnd().split("\n").filter((line) => line !== "").map((line) =>
      JSON.parse(line) as Call
    );
    return all.filter((c) => method === undefined || c.method === method);
  }

  await start();
  return {
    name,
    socket,
    knobs: async (knobs) => {
      await Deno.writeTextFile(`${knobsFile(state)}.new`, JSON.stringify(knobs));
      await Deno.rename(`${knobsFile(state)}.new`, knobsFile(state));
    },
    async sicken(id, message) {
      if (message === undefined) await Deno.remove(sicknessFile(state, id));
      else await Deno.writeTextFile(sicknessFile(state, id), message);
    },
    calls,
    async untilCalled(method, times = 1) {
      const limit = Date.now() + 20_000;
      while ((await calls(method)).filter((c) => c.phase === "begin").length < times) {
        if (Date.now() > limit) throw new Error(`${method} was not called ${times} times`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    kill,
    start,
    stop: () => end("SIGTERM"),
    async forget() {
      for await (const { name } of Deno.readDir(join(state, "volumes"))) {
        if (name.endsWith(".json")) await Deno.remove(join(state, "volumes", name));
      }
    },
    ended: () => isEnded,
    [Symbol.asyncDispose]: kill,
  };
}
