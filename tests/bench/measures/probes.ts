/**
 * What probes cost the peer itself: its CPU at 200 questions a second over the network, and at ten commands a second.
 * What is asked counts, not what should be. Not for: what the commands cost the runtime.
 */
import type { Container, Probe } from "../../../agent/model/gen/v1.ts";
import type { Peer, Resident } from "../peers/peer.ts";
import { type BenchPod, createPods, IMAGE } from "../pods.ts";
import { readCpuSeconds } from "../procfs.ts";
import { pause, whenTrue } from "../wait.ts";
import { removeAll } from "./removal.ts";

export interface ProbeLoad {
  /** As counted by those who were asked. */
  perSecond: number;
  /** Per cent of one core. */
  cpu: number;
}

export type ProbeKind = "http" | "tcp" | "exec";
export type ProbeCosts = Record<ProbeKind, ProbeLoad>;

/** CPU of the peer for one probe, in ms. */
export const costOfOne = ({ perSecond, cpu }: ProbeLoad): number => cpu * 10 / perSecond;

interface Asked {
  /** Questions so far. */
  count(): number;
  probe(container: string): Probe;
  spec: object;
  close(): Promise<void>;
}

const every = { periodSeconds: 1, timeoutSeconds: 1 };

function webServer(): Asked {
  let count = 0;
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const server = Deno.serve(options, () => (count++, new Response("fine")));
  return {
    count: () => count,
    probe: () => ({ httpGet: { host: "127.0.0.1", port: server.addr.port }, ...every }),
    spec: {},
    close: () => server.shutdown(),
  };
}

function listener(): Asked {
  let count = 0;
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const conn of listener) {
      count++;
      conn.close();
    }
  })();
  return {
    count: () => count,
    probe: () => ({ tcpSocket: { host: "127.0.0.1", port: listener.addr.port }, ...every }),
    spec: {},
    close: () => (listener.close(), serving),
  };
}

/** Each command leaves an octet in a file of its container below this directory. */
function commands(path: string): Asked {
  return {
    count: () =>
      [...Deno.readDirSync(path)].reduce((sum, e) => sum + Deno.statSync(`${path}/${e.name}`).size, 0),
    probe: (container) => ({
      exec: { command: ["sh", "-c", `echo >>/asked/${container}`] },
      ...every,
      timeoutSeconds: 10,
    }),
    spec: { volumes: [{ name: "asked", hostPath: { path } }] },
    close: () => Promise.resolve(),
  };
}

/** How many pods, containers of each and probes of each container there are: a question a second from each. */
const loads = {
  http: { ask: webServer, pods: 10, containers: 10, kinds: ["readinessProbe", "livenessProbe"] },
  tcp: { ask: listener, pods: 10, containers: 10, kinds: ["readinessProbe", "livenessProbe"] },
  exec: { ask: commands, pods: 5, containers: 2, kinds: ["readinessProbe"] },
} as const;

function probedPods(asked: Asked, { pods, containers, kinds }: typeof loads[ProbeKind]): BenchPod[] {
  const mounted = "volumes" in asked.spec ? { volumeMounts: [{ name: "asked", mountPath: "/asked" }] } : {};
  return createPods("probed", pods).map((pod) => {
    const all = Array.from({ length: containers }, (_, i): Container => ({
      ...pod.spec.spec!.containers[0]!,
      ...mounted,
      name: i === 0 ? pod.spec.spec!.containers[0]!.name : `more-${i}`,
      image: IMAGE,
      ...Object.fromEntries(kinds.map((kind) => [kind, asked.probe(`${pod.name}-${i}`)])),
    }));
    return { ...pod, spec: { ...pod.spec, spec: { ...pod.spec.spec, ...asked.spec, containers: all } } };
  });
}

async function measureLoad(
  peer: Peer,
  resident: Resident,
  kind: ProbeKind,
  options: ProbesOptions,
): Promise<ProbeLoad> {
  const load = loads[kind];
  const wanted = load.pods * load.containers * load.kinds.length;
  const asked = load.ask(options.directory);
  const pods = probedPods(asked, load);
  try {
    await peer.add(pods);
    await whenTrue(`${peer.name}: ${wanted} ${kind} probes a second`, async () => {
      const before = asked.count();
      await pause(1000);
      return asked.count() - before >= 0.95 * wanted;
    });
    const pid = resident.pid();
    const [cpu, count, begin] = [readCpuSeconds(pid), asked.count(), performance.now()];
    await pause(options.seconds * 1000);
    const passed = (performance.now() - begin) / 1000;
    return {
      perSecond: (asked.count() - count) / passed,
      cpu: 100 * (readCpuSeconds(pid) - cpu) / passed,
    };
  } finally {
    await removeAll(peer, pods);
    await asked.close();
  }
}

export interface ProbesOptions {
  seconds: number;
  /** Empty, for what commands leave; it is not cleared. */
  directory: string;
  tell(text: string): void;
}

export async function measureProbes(peer: Peer, options: ProbesOptions): Promise<ProbeCosts | undefined> {
  const { resident } = peer;
  if (resident === undefined) return undefined;
  const costs: Partial<ProbeCosts> = {};
  for (const kind of ["http", "tcp", "exec"] as const) {
    options.tell(`${peer.name}: ${kind} probes`);
    costs[kind] = await measureLoad(peer, resident, kind, options);
  }
  return costs as ProbeCosts;
}
