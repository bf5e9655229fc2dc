/** Starts the test device plugin as a process, and ends it: for tests. Not for: what it does (main.ts). */
import { join } from "@std/path";
import { type Call, callsFile, type Knobs, knobsFile } from "../csi/knobs.ts";

export interface TestDevice {
  id: string;
  /** True unless told. */
  healthy?: boolean;
  numa?: number[];
}

export interface DeviceOptions {
  /** Directory of its own: knobs.json, devices.json, and calls.jsonl, which each call is written to. */
  state: string;
  resource: string;
  /** Asks for PreStartContainer. */
  preStart?: boolean;
  /** Has a preference: these, in order. */
  prefer?: string[];
  /** `v1beta1` unless told. */
  version?: string;
  /** What each container gets, besides the variable DEVICES with its ids. */
  envs?: Record<string, string>;
  mounts?: { containerPath: string; hostPath: string; readOnly?: boolean }[];
  nodes?: { containerPath: string; hostPath: string; permissions: string }[];
  annotations?: Record<string, string>;
  cdi?: string[];
}

export interface DevicePluginProcess extends AsyncDisposable {
  resource: string;
  /** Misbehaves like this from the next call on; by method, `Register` among them. */
  knobs(knobs: Knobs): Promise<void>;
  /** Has these devices from now on; `undefined` ends its list, while it serves on. */
  devices(devices: readonly TestDevice[] | undefined): Promise<void>;
  /** What it was asked, since its state began. */
  calls(method?: string): Promise<Call[]>;
  /** How its calls of a method ended: `OK`, or what was wrong. */
  outcomes(method: string): Promise<string[]>;
  /** SIGKILL; its socket stays behind. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Killed, or by itself, as when nobody takes it. */
  ended(): boolean;
}

export const devicesFile = (state: string) => join(state, "devices.json");

async function replace(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${path}.new`, text);
  await Deno.rename(`${path}.new`, path);
}

/** How the plugin is started; its devices are to be in `devicesFile` by then. */
export function pluginCommand(directory: string, options: DeviceOptions): string[] {
  const main = join(import.meta.dirname ?? ".", "main.ts");
  return [Deno.execPath(), "run", "-A", "--no-check", "--quiet", main, directory, JSON.stringify(options)];
}

/** @param directory `ROOT/device-plugins`; made where it is missing: an agent may come later */
export async function startDevicePlugin(
  directory: string,
  devices: readonly TestDevice[],
  options: Omit<DeviceOptions, "state">,
): Promise<DevicePluginProcess> {
  const state = await Deno.makeTempDir({ prefix: "device-plugin-" });
  let child: Deno.ChildProcess | undefined;
  let isEnded = true;
  const tell = (list: readonly TestDevice[] | undefined) =>
    replace(devicesFile(state), list === undefined ? "" : JSON.stringify(list));
  const kill = async () => {
    if (child === undefined) return;
    await Promise.try(child.kill.bind(child), "SIGKILL").catch(() => {}); // it may have ended by itself
    await child.status;
    child = undefined;
  };
  const start = async () => {
    await kill();
    const [program, ...args] = pluginCommand(directory, { ...options, state });
    const started = new Deno.Command(program!, { args, stdout: "piped", stderr: "inherit" }).spawn();
    child = started;
    isEnded = false;
    started.status.then(() => isEnded = true);
    const output = child.stdout.getReader();
    const { done } = await output.read();
    await output.cancel();
    if (done) throw new Error("the device plugin ended before it served");
  };
  const noted = async (phase: Call["phase"], method?: string) => {
    const text = await Deno.readTextFile(callsFile(state)).catch(() => "");
    const all = text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Call);
    return all.filter((c) => c.phase === phase && (method === undefined || c.method === method));
  };
  await Deno.mkdir(directory, { recursive: true });
  await tell(devices);
  await start().catch(async (error) => {
    await kill();
    await Deno.remove(state, { recursive: true });
    throw error;
  });
  return {
    resource: options.resource,
    knobs: (knobs) => replace(knobsFile(state), JSON.stringify(knobs)),
    devices: tell,
    calls: (method) => noted("begin", method),
    outcomes: async (method) => (await noted("end", method)).map((c) => c.outcome ?? ""),
    kill,
    start,
    ended: () => isEnded,
    async [Symbol.asyncDispose]() {
      await kill();
      await Deno.remove(state, { recursive: true });
    },
  };
}
