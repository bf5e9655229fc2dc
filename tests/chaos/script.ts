/**
 * What happens in a chaos run, from a seed: a list of moves. Pure: the same seed gives the same list. Not for: making
 * it happen (chaos_test.ts).
 */
import {
  broken,
  type ChaosContainer,
  type ChaosPod,
  claimFile,
  claimText,
  containerNamesOf,
  devices,
  exitsOf,
  hasDevice,
  hasDisk,
  hasPage,
  images,
  pageFile,
  pageText,
  podFile,
  podText,
  type Shape,
  shapes,
  startKey,
} from "./pods.ts";

export type Move =
  | { readonly kind: "start" }
  /** Wait until the agent says that it is ready. */
  | { readonly kind: "ready" }
  | { readonly kind: "pause"; readonly ms: number }
  /** Writes files, or removes those without a text, one after the other. */
  | { readonly kind: "write"; readonly what: string; readonly files: readonly (readonly [string, string?])[] }
  /** SIGKILL to the agent, or to its containerd. */
  | { readonly kind: "kill" }
  | { readonly kind: "killRuntime" }
  /** SIGKILL to a plugin, and the start of those that have ended, be it by themselves. */
  | { readonly kind: "killPlugin"; readonly plugin: Plugin }
  | { readonly kind: "startPlugins" }
  /** Wait until the world is as it should be. */
  | { readonly kind: "rest"; readonly wanted: Wanted };

export type Plugin = (typeof plugins)[number];
const plugins = ["CSI driver", "device plugin"] as const;

export interface Wanted {
  readonly pods: readonly ChaosPod[];
  /** By start key, how many starts there may have been until now. */
  readonly starts: ReadonlyMap<string, number>;
}

export interface ScriptOptions {
  readonly seed: number;
  readonly kills: number;
  /** Kills between two rests. */
  readonly restEvery: number;
  readonly startsDirectory: string;
  /** The first of the ports of the host that pods ask for. */
  readonly firstHostPort: number;
}

/** Those that need plugins come more often. */
const choice: readonly Shape[] = [...shapes, "disk", "device", "disk", "device"];

/** Mulberry32. */
export function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const fewest = 3;
const most = 8;

export function createScript(o: ScriptOptions): Move[] {
  const random = seeded(o.seed);
  const below = (n: number) => Math.floor(random() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const pods = new Map<string, ChaosPod>();
  const brokenPods = new Set<string>();
  const removed: ChaosPod[] = [];
  const starts = new Map<string, number>();
  let version = 0;

  const put = (pod: ChaosPod) => {
    const before = pods.get(pod.name);
    const known = new Set(before?.containers.map((c) => startKey(before, c)));
    for (const c of pod.containers) {
      const key = startKey(pod, c);
      const times = exitsOf(pod, c.name)?.length ?? 1;
      if (!known.has(key)) starts.set(key, (starts.get(key) ?? 0) + times);
    }
    pods.set(pod.name, pod);
  };

  const write = (what: string, ...files: [string, string?][]): Move => ({ kind: "write", what, files });
  const textOf = (pod: ChaosPod) => podText(pod, o.startsDirectory);

  /** More could never all run. */
  const isFull = () => [...pods.values()].filter(hasDevice).length === devices.length;
  const sideFile = (pod: ChaosPod): [string, string][] => {
    if (hasDisk(pod)) return [[claimFile(pod), claimText(pod)]];
    return hasPage(pod) ? [[pageFile(pod), pageText(pod)]] : [];
  };

  const add = (): Move => {
    const back = removed.filter((pod) => !(hasDevice(pod) && isFull()));
    const again = back.length > 0 && random() < 0.3 ? pick(back) : undefined;
    if (again !== undefined) removed.splice(removed.indexOf(again), 1);
    // What comes back under its name before the agent has seen it go is an edit, and keeps its volumes.
    const shape = again?.shape ?? pick(choice.filter((shape) => !(shape === "device" && isFull())));
    const name = again?.name ?? `p${++version}`;
    const claim = version;
    const containers = containerNamesOf(shape).map((name): ChaosContainer => ({
      name,
      command: ++version,
      env: ++version,
      image: pick(images),
      memory: 32,
    }));
    const pod: ChaosPod = {
      name,
      shape,
      hostname: `h${++version}`,
      containers,
      page: ++version,
      claim,
      hostPort: o.firstHostPort + version,
    };
    put(pod);
    const files: [string, string?][] = [[podFile(pod), textOf(pod)]];
    files.splice(below(2), 0, ...sideFile(pod));
    return write(`add ${name} (${shape})`, ...files);
  };

  const remove = (pod: ChaosPod): Move => {
    pods.delete(pod.name);
    brokenPods.delete(pod.name);
    removed.push(pod);
    const files: [string, string?][] = [[podFile(pod)]];
    files.splice(below(2), 0, ...sideFile(pod).map(([name]): [string] => [name]));
    return write(`remove ${pod.name}`, ...files);
  };

  const change = (pod: ChaosPod): [string, ChaosPod] => {
    const target = pick(pod.containers);
    const isInit = pod.shape === "init" && target.name === "setup";
    const edit = (what: string, to: Partial<ChaosContainer>): [string, ChaosPod] => [
      `${what} of ${pod.name}/${target.name}`,
      {
        ...pod,
        // Init containers run again with all others: those get keys of their own by another host name.
        ...(isInit && what !== "memory" && { hostname: `h${++version}` }),
        containers: pod.containers.map((c) => c === target ? { ...c, ...to } : c),
      },
    ];
    const edits: (() => [string, ChaosPod])[] = [
      () => edit("env", { env: ++version }),
      () => edit("command", { command: ++version }),
      () => edit("image", { image: pick(images.filter((i) => i !== target.image)) }),
      () => edit("memory", { memory: pick([32, 40, 48].filter((m) => m !== target.memory)) }),
    ];
    if (pod.shape !== "hostnet") {
      const port = { hostPort: o.firstHostPort + ++version };
      edits.push(() => [`hostname of ${pod.name}`, { ...pod, hostname: `h${++version}`, ...port }]);
    }
    return pick(edits)();
  };

  const editPage = (pod: ChaosPod): Move => {
    const next = { ...pod, page: ++version };
    put(next);
    return write(`page of ${pod.name}`, [pageFile(next), pageText(next)]);
  };

  const editPod = (pod: ChaosPod): Move => {
    if (hasPage(pod) && random() < 0.5) return editPage(pod);
    const [what, next] = change(pod);
    put(next);
    brokenPods.delete(pod.name);
    return write(what, [podFile(next), textOf(next)]);
  };

  const breakPod = (pod: ChaosPod): Move => {
    brokenPods.add(pod.name);
    return write(`break ${pod.name}`, [podFile(pod), broken(textOf(pod), below(3))]);
  };

  const mend = (name: string): Move => {
    brokenPods.delete(name);
    const pod = pods.get(name)!;
    return write(`mend ${name}`, [podFile(pod), textOf(pod)]);
  };

  const act = (): Move => {
    if (pods.size < fewest) return add();
    const pod = pick([...pods.values()]);
    if (pods.size >= most) return remove(pod);
    const dice = random();
    if (dice < 0.28) return add();
    if (dice < 0.48) return remove(pod);
    if (dice < 0.58) return breakPod(pod);
    if (dice < 0.68 && brokenPods.size > 0) return mend(pick([...brokenPods]));
    return editPod(pod);
  };

  const pause = (ms: number): Move => ({ kind: "pause", ms: Math.round(ms) });
  /** Mostly short: what follows a change is over after some hundred milliseconds. */
  const delay = (): Move => {
    const dice = random();
    if (dice < 0.5) return pause(random() * 150);
    return pause(dice < 0.85 ? 150 + random() * 350 : 500 + random() * 1000);
  };
  const rest = (): Move => ({
    kind: "rest",
    wanted: { pods: [...pods.values()], starts: new Map(starts) },
  });

  const round = (index: number): Move[] => {
    const moves: Move[] = [];
    if (random() < 0.25) moves.push(act());
    moves.push({ kind: "start" });
    moves.push(index === 0 || random() < 0.65 ? { kind: "ready" } : pause(random() * 800));
    for (let i = 1 + below(3); i > 0; i--) {
      moves.push(act());
      if (random() < 0.5) moves.push(pause(random() * 80));
    }
    if (random() < 0.12) moves.push(delay(), { kind: "killRuntime" });
    if (random() < 0.3) moves.push({ kind: "killPlugin", plugin: pick(plugins) }, delay());
    if (random() < 0.5) moves.push({ kind: "startPlugins" });
    moves.push(delay());
    if (index % o.restEvery === o.restEvery - 1) {
      moves.push(...[...brokenPods].map(mend), { kind: "startPlugins" }, { kind: "ready" }, rest());
    }
    moves.push({ kind: "kill" });
    if (random() < 0.06) moves.push({ kind: "killRuntime" });
    return moves;
  };

  const end = (): Move[] => [
    ...[...brokenPods].map(mend),
    { kind: "startPlugins" },
    { kind: "start" },
    { kind: "ready" },
    rest(),
    ...[...pods.values()].flatMap((pod) => [
      remove(pod),
      ...(random() < 0.5 ? [delay(), { kind: "kill" }, { kind: "start" }, { kind: "ready" }] as Move[] : []),
    ]),
    { kind: "startPlugins" },
    rest(),
  ];

  return [...Array.from({ length: o.kills }, (_, i) => round(i)).flat(), ...end()];
}

/** One line for each move. */
export function describeMove(move: Move): string {
  switch (move.kind) {
    case "pause":
      return `pause ${move.ms} ms`;
    case "write":
      return move.what;
    case "rest":
      return `rest with ${move.wanted.pods.length} pods`;
    case "killPlugin":
      return `kill the ${move.plugin}`;
    default:
      return move.kind;
  }
}
