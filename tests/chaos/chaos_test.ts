/**
 * The agent is killed again and again while manifests come, change and go. In the end exactly what is wanted runs,
 * nothing was started twice without cause, and nothing is left of what is gone. CHAOS=full kills hundreds of times;
 * CHAOS_SEED repeats a run. Not for: what happens (script.ts), what must be (expect.ts).
 */
import { join } from "@std/path";
import { findContainerd } from "../../plugins/containerd/processes.ts";
import { signalProcess, waitForExit } from "../../plugins/processes/proc.ts";
import { type AgentUnderTest, createAgent, output } from "../e2e/agent.ts";
import { writeImageArchive } from "../../tools/busybox_image.ts";
import { complaints, doubles, sharedDevices } from "./expect.ts";
import { type Plugins, startChaosDevices, startChaosDriver } from "./plugins.ts";
import { imageName, images, networkFile, networkText, storageFile, storageText } from "./pods.ts";
import { createScript, describeMove, type Move, type Wanted } from "./script.ts";
import { createWorldReader, type WorldReader } from "./world.ts";

const full = Deno.env.get("CHAOS") === "full";
const kills = Number(Deno.env.get("CHAOS_KILLS") ?? (full ? 300 : 25));
const seed = Number(Deno.env.get("CHAOS_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);
/** Longer than a restart's first back-off and a step's second failure. */
const patienceMs = 45_000;
const lookMs = 60;

interface Stage {
  agent: AgentUnderTest;
  world: WorldReader;
  plugins: Plugins;
  /** Times of kills, in ms since the epoch. */
  kills: number[];
  /** What was never to be. */
  violations: string[];
  /** Ends with the agent's readiness or its death. */
  starting: Promise<unknown>;
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function perform(stage: Stage, move: Move): Promise<void> {
  const { agent } = stage;
  switch (move.kind) {
    case "start":
      // A start that is cut off by the next kill rejects; any other failure shows when the world does not come to rest.
      stage.starting = agent.start().catch((error) => error);
      return;
    case "ready": {
      const failure = await stage.starting;
      if (failure instanceof Error) throw failure;
      return;
    }
    case "pause":
      return await sleep(move.ms);
    case "write":
      for (const [name, text] of move.files) {
        await (text === undefined ? agent.remove(name) : agent.write(name, text));
      }
      return;
    case "kill":
      stage.kills.push(Date.now());
      await agent.kill();
      await stage.starting;
      return;
    case "killRuntime":
      return await killRuntime(stage);
    case "killPlugin":
      return await stage.plugins[move.plugin].kill();
    case "startPlugins":
      for (const plugin of Object.values(stage.plugins)) if (plugin.ended()) await plugin.start();
      return;
    case "rest":
      return await untilCalm(stage, move.wanted);
  }
}

async function killRuntime({ world, kills }: Stage): Promise<void> {
  const running = findContainerd(world.containerdConfig);
  if (running === undefined) return;
  kills.push(Date.now());
  signalProcess(running, "SIGKILL");
  await waitForExit(running, 5000);
}

/** What the agent says of its pods, for who must find out why the world does not come to rest. */
async function testimony({ agent, world }: Stage): Promise<string> {
  const pods = (await agent.pods()).map((p) => `${p.metadata?.name}: ${JSON.stringify(p.status)}`);
  const events = (await agent.api<{ items: { message?: string; reason?: string }[] }>("/events")).items;
  return [
    ...pods,
    JSON.stringify(await world.lists()),
    ...events.slice(-30).map((e) => JSON.stringify(e)),
  ].join("\n");
}

async function untilCalm(stage: Stage, wanted: Wanted): Promise<void> {
  const { agent, world, kills, violations } = stage;
  const end = performance.now() + patienceMs;
  for (let last: string[] = ["nothing was seen"]; last.length > 0;) {
    if (violations.length > 0) throw new Error(violations.join("\n"));
    if (performance.now() > end) {
      const said = await testimony(stage).catch(String);
      throw new Error(`it does not come to rest:\n${last.join("\n")}\n${said}`);
    }
    await sleep(lookMs);
    // What changes between two reads is wrong only for a moment, and so is a runtime that is just being started.
    last = await agent.pods().then(async (pods) => complaints(wanted, pods, await world.read(), kills))
      .catch((error) => [String(error)]);
  }
}

/** Looks for doubles all the time; what cannot be read now is read the next time. */
async function watch({ world, violations }: Stage, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    violations.push(...doubles(await world.lists().catch(() => ({ sandboxes: [], containers: [] }))));
    violations.push(...lookForSharedDevices(world));
    await sleep(lookMs);
  }
}

/** Twice: what one has given back between two reads may be another's by the second. */
function lookForSharedDevices(world: WorldReader): string[] {
  const look = () => {
    const { users, given } = world.devices();
    return sharedDevices(users, given);
  };
  const first = look();
  return first.length === 0 ? [] : look().filter((line) => first.includes(line));
}

async function play(stage: Stage, script: readonly Move[]): Promise<void> {
  const begin = performance.now();
  const done: string[] = [];
  for (const move of script) {
    done.push(`${Math.round(performance.now() - begin)} ms: ${describeMove(move)}`);
    try {
      await perform(stage, move);
    } catch (error) {
      throw new Error(
        `seed ${seed}: ${(error as Error).message}\n${done.slice(-60).join("\n")}\n${
          logTail(stage.agent.log())
        }`,
        { cause: error },
      );
    }
  }
}

/** Without what every start says. */
const logTail = (log: string) =>
  log.split("\n").filter((line) => !line.includes("service is up")).slice(-60).join("\n");

Deno.test({
  name: `${kills} kills, seed ${seed}: what is wanted runs, started once, and nothing else is left`,
  sanitizeOps: false,
  async fn() {
    await using storage = await startChaosDriver();
    await using agent = await createAgent({ withImage: false });
    await storage.register(agent.root);
    await using devices = await startChaosDevices(agent.root);
    const startsDirectory = join(agent.directory, "starts");
    await Deno.mkdir(startsDirectory);
    for (const version of images) {
      const config = { Env: ["PATH=/bin", `IMAGE=${version}`] };
      await writeImageArchive(agent.images, `chaos${version}.tar`, { tags: [imageName(version)], config });
    }
    const network = `chaos${crypto.randomUUID().slice(0, 6)}`;
    const dataDir = join(agent.directory, "ipam");
    await agent.write(networkFile, networkText(network, dataDir));
    await agent.write(storageFile, storageText);
    const { root } = agent;
    const world = createWorldReader({ root, startsDirectory, network, dataDir, driverState: storage.state });
    const script = createScript({ seed, kills, restEvery: 8, startsDirectory, firstHostPort: 20_000 });
    const plugins = { "CSI driver": storage.driver, "device plugin": devices };
    const stage: Stage = { agent, world, plugins, kills: [], violations: [], starting: Promise.resolve() };
    const leave = new AbortController();
    const watching = watch(stage, leave.signal);
    try {
      await play(stage, script);
    } finally {
      leave.abort();
      await watching;
      world.close();
      await output("ip", ["link", "delete", network]);
    }
  },
});
