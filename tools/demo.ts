// `make run`: a private agent with the example pods on this machine. It prepares an image and manifests, starts the
// agent, waits until a pod answers over HTTP, shows the status and what to try, starts the agent again when somebody
// kills it, and on Ctrl-C takes everything away. Not for a real node (make install).

// deno-lint-ignore-file no-console
import { join } from "@std/path";
import { createImageArchive } from "./busybox_image.ts";
import { root } from "./build_request.ts";

const IMAGE = "localhost/agent/demo:1";
const EXAMPLES = ["hello.yaml", "web.yaml"];
/** The port that web.yaml asks for, and others for when it is taken. */
const PORTS = [8088, 8089, 8090, 18088, 28088];
const PATIENCE_MS = 90_000;

interface Demo {
  readonly directory: string;
  readonly manifests: string;
  readonly log: string;
  readonly port: number;
  /** Flags of this private instance, for every command that shall reach it. */
  readonly flags: readonly string[];
}

const agentBinary = join(root, "dist/agent");
// The binary keeps what it unpacks beside the other caches of this project.
const env = { AGENT_UNPACK_DIR: join(root, ".cache/unpacked") };

/** A TCP port of ours that nothing else listens on. */
function findFreePort(): number {
  for (const port of PORTS) {
    try {
      Deno.listen({ port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error(`the ports ${PORTS.join(", ")} are all taken`);
}

async function prepare(): Promise<Demo> {
  const directory = await Deno.makeTempDir({ prefix: "agent-demo-" });
  const manifests = join(directory, "root/manifests");
  const images = join(directory, "root/agent/images");
  const port = findFreePort();
  for (const path of [manifests, images]) await Deno.mkdir(path, { recursive: true });
  await Deno.writeFile(join(images, "demo.tar"), createImageArchive({ tags: [IMAGE] }));
  for (const name of EXAMPLES) {
    const text = await Deno.readTextFile(join(root, "manifests", name));
    await Deno.writeTextFile(join(manifests, name), text.replaceAll(String(PORTS[0]), String(port)));
  }
  const flags = ["--root-dir", join(directory, "root"), "--socket", join(directory, "agent.sock")];
  return { directory, manifests, log: join(directory, "agent.log"), port, flags };
}

/** Runs an agent command of this instance with its output shown. */
async function show(args: readonly string[]): Promise<number> {
  return (await new Deno.Command(agentBinary, { args: [...args], env, stdin: "null" }).spawn().status).code;
}

/**
 * One life of the agent; its log goes to a file. Ends when it ends, after SIGTERM once the signal aborts. A session of
 * its own keeps a Ctrl-C from reaching it twice, which would end it at once.
 */
async function liveOnce(demo: Demo, signal: AbortSignal): Promise<Deno.CommandStatus> {
  const command = `exec "$0" "$@" >>"$LOG" 2>&1`;
  const child = new Deno.Command("setsid", {
    args: ["/bin/sh", "-c", command, agentBinary, "run", ...demo.flags],
    env: { ...env, LOG: demo.log },
    stdin: "null",
  }).spawn();
  console.log(`the agent runs as process ${child.pid}`);
  const leave = () => {
    try {
      child.kill("SIGTERM");
    } catch { /* it has gone already */ }
  };
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  const status = await child.status;
  signal.removeEventListener("abort", leave);
  return status;
}

/** Keeps an agent alive as systemd would; rejects when one ends before `isUp`. */
async function superviseAgent(demo: Demo, isUp: () => boolean, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { code, signal: by } = await liveOnce(demo, signal);
    if (signal.aborted) return;
    if (!isUp()) throw new Error(`the agent ended with ${by ?? code}:\n${await tail(demo.log)}`);
    console.log(`\nthe agent ended (${by ?? `exit status ${code}`}); starting it again, as systemd would`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

async function tail(path: string): Promise<string> {
  return (await Deno.readTextFile(path)).trimEnd().split("\n").slice(-15).join("\n");
}

/** Milliseconds until the web pod answered with its page. */
async function untilAnswered(demo: Demo, signal: AbortSignal): Promise<number> {
  const started = performance.now();
  while (performance.now() - started < PATIENCE_MS) {
    signal.throwIfAborted();
    try {
      const response = await fetch(`http://127.0.0.1:${demo.port}/`, { signal: AbortSignal.timeout(1000) });
      if ((await response.text()).includes("It runs.")) return performance.now() - started;
    } catch { /* not yet */ }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no answer on port ${demo.port} after ${PATIENCE_MS / 1000} s:\n${await tail(demo.log)}`);
}

function explain({ manifests, port, flags, log }: Demo): void {
  console.log(`
The pods run. In another terminal:

  cd ${root} && export AGENT_SOCKET=${flags[3]}
  export AGENT_UNPACK_DIR=${env.AGENT_UNPACK_DIR} PATH=$PWD/dist:$PATH
  cd ${manifests}

  curl http://127.0.0.1:${port}/    the page, from a ConfigMap
  agent status                    one look; agent get pods -w follows
  agent logs -f hello
  $EDITOR web.yaml                change the page or a command and save
  agent get problems              after breaking web.yaml: the pod stays, the problem is named
  rm hello.yaml                   its pod ends
  kill -9 PID                     the agent's, above: pods stay, it comes back

The agent's log: ${log}
Ctrl-C ends it all and leaves the machine as it was.`);
}

async function takeAway(demo: Demo): Promise<void> {
  console.log("\ntaking everything away");
  const code = await show(["teardown", ...demo.flags]);
  if (code === 0) await Deno.remove(demo.directory, { recursive: true });
  else console.error(`not all of it could be taken away; what is left lies in ${demo.directory}`);
}

async function runDemo(): Promise<void> {
  const leave = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(name, () => leave.abort());
  }
  const demo = await prepare();
  let isUp = false;
  try {
    console.log(`starting a private agent in ${demo.directory}`);
    const agent = superviseAgent(demo, () => isUp, leave.signal);
    const answered = untilAnswered(demo, leave.signal);
    const ms = await Promise.race([answered, agent.then(() => leave.signal.throwIfAborted())]);
    isUp = true;
    console.log(`the web pod answered after ${((ms ?? 0) / 1000).toFixed(1)} s\n`);
    await show(["status", "--socket", demo.flags[3] ?? ""]);
    explain(demo);
    await agent;
  } catch (error) {
    if (!leave.signal.aborted) throw error;
  } finally {
    leave.abort();
    await takeAway(demo);
  }
}

if (import.meta.main) {
  try {
    await runDemo();
    Deno.exit(0);
  } catch (error) {
    console.error(`demo: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
