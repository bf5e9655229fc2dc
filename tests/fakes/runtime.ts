/**
 * A container runtime in memory: it implements the Runtime and Images ports, behaves like the real one as far as the
 * contract suite (tests/contract/runtime_suite.ts) tells, records every call and fails on request.
 * Not for: timing. Nothing happens by itself; containers end when a test says so, or at once by `onStart`.
 */
import type { ContainerSpec, SandboxSpec } from "../../agent/model/container.ts";
import type { ObservedContainer, ObservedPod, ObservedSandbox } from "../../agent/model/observed.ts";
import type { Images, ImageStatus, Runtime, RuntimeEvent } from "../../agent/ports.ts";
import { AgentError } from "../../agent/model/errors.ts";
import { createFakeImages } from "./images.ts";

export type FakeMethod = keyof Runtime | `images.${keyof Images}`;

export interface FakeCall {
  method: FakeMethod;
  args: unknown[];
}

export interface FakeRuntimeOptions {
  /** Milliseconds since the epoch; default the real clock. */
  now?: () => number;
  /** Images that are present from the start. */
  images?: string[];
  /** Images that can be pulled; default every one. */
  registry?: string[];
  /** Called when a container starts: an exit code ends it at once, `undefined` lets it run. */
  onStart?: (spec: ContainerSpec) => number | undefined;
  /** Exit code of a container that is stopped with a grace period; default 143. */
  stopCode?: number;
}

export interface ExitOptions {
  signal?: number;
  reason?: string;
  message?: string;
}

export interface FakeRuntime {
  runtime: Runtime;
  images: Images;
  /** Every call in order, before it took effect. */
  calls: FakeCall[];
  /** The calls of one method. */
  callsOf(method: FakeMethod): FakeCall[];
  /** What `observe(undefined)` would say, without being recorded. */
  pods(): ObservedPod[];
  /** Names of the images that are present. */
  imageNames(): string[];
  /** The spec that a container was created from. */
  specOf(nameOrId: string): ContainerSpec;
  /** Ends a running container (its id, or the name of the newest one that runs). Throws when none runs. */
  exit(nameOrId: string, code: number, options?: ExitOptions): void;
  /** Makes the sandbox of a pod go away under its containers, as a dead pause process does. */
  killSandbox(uid: string): void;
  /** The next `times` (default 1) calls of `method` throw. */
  fail(method: FakeMethod, error: Error, times?: number): void;
  /** Calls of `method` wait until the returned function is called, or their signal aborts. */
  hold(method: FakeMethod): () => void;
  /** How many calls wait in `hold`, per method. */
  held(method: FakeMethod): number;
  /** Ends every event stream with an error, as a runtime that restarts. */
  breakEvents(): void;
  addImage(name: string, user?: string): ImageStatus;
}

interface FakeSandbox extends ObservedSandbox {
  spec: SandboxSpec;
}
interface FakeContainer extends ObservedContainer {
  spec: ContainerSpec;
}

/** Refusals, waits and records shared by all methods of both ports. */
export interface Gate {
  pass(method: FakeMethod, args: unknown[], signal: AbortSignal): Promise<void>;
}

function createGate() {
  const calls: FakeCall[] = [];
  const failures = new Map<FakeMethod, Error[]>();
  const holds = new Map<FakeMethod, { released: Promise<void>; waiting: number }>();
  const pass = async (method: FakeMethod, args: unknown[], signal: AbortSignal): Promise<void> => {
    calls.push({ method, args });
    if (signal.aborted) throw new AgentError("Aborted", "aborted");
    const hold = holds.get(method);
    if (hold !== undefined) {
      hold.waiting++;
      try {
        await Promise.race([hold.released, rejectOnAbort(signal)]);
      } finally {
        hold.waiting--;
      }
    }
    const failure = failures.get(method)?.shift();
    if (failure !== undefined) throw failure;
  };
  const hold = (method: FakeMethod): () => void => {
    const { promise, resolve } = Promise.withResolvers<void>();
    holds.set(method, { released: promise, waiting: 0 });
    return () => {
      holds.delete(method);
      resolve();
    };
  };
  const fail = (method: FakeMethod, error: Error, times = 1): void => {
    failures.set(method, [...(failures.get(method) ?? []), ...Array<Error>(times).fill(error)]);
  };
  return { calls, pass, hold, fail, held: (method: FakeMethod) => holds.get(method)?.waiting ?? 0 };
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new AgentError("Aborted", "aborted")), { once: true });
  });
}

/** Event streams: each subscriber has a queue of its own. */
function createEvents() {
  interface Subscriber {
    queue: RuntimeEvent[];
    wake: () => void;
    broken: boolean;
  }
  const subscribers = new Set<Subscriber>();
  const publish = (event: RuntimeEvent): void => {
    for (const s of subscribers) {
      s.queue.push(event);
      s.wake();
    }
  };
  const breakAll = (): void => {
    for (const s of subscribers) {
      s.broken = true;
      s.wake();
    }
  };
  async function* subscribe(signal: AbortSignal): AsyncIterable<RuntimeEvent> {
    const own: Subscriber = { queue: [], wake: () => {}, broken: false };
    subscribers.add(own);
    const onAbort = () => own.wake();
    signal.addEventListener("abort", onAbort);
    try {
      while (!signal.aborted) {
        const event = own.queue.shift();
        if (event !== undefined) yield event;
        else if (own.broken) throw new AgentError("RuntimeUnavailable", "the event stream broke");
        else await new Promise<void>((resolve) => own.wake = resolve);
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      subscribers.delete(own);
    }
  }
  return { publish, breakAll, subscribe };
}

function toObserved(sandbox: FakeSandbox): ObservedSandbox {
  const { spec: _, ...observed } = sandbox;
  return { ...observed, ips: [...observed.ips] };
}

function toObservedContainer(container: FakeContainer): ObservedContainer {
  const { spec: _, ...observed } = container;
  return { ...observed };
}

/** State and transitions, without recording or failing. */
function createWorld(now: () => number, publish: (event: RuntimeEvent) => void, stopCode: number) {
  const sandboxes = new Map<string, FakeSandbox>();
  const containers = new Map<string, FakeContainer>();
  let counter = 0;
  const newId = (): string => (++counter).toString(16).padStart(64, "0");

  const exit = (c: FakeContainer, code: number, options: ExitOptions = {}): void => {
    c.state = "exited";
    c.finishedAt = now();
    c.exitCode = code;
    c.reason = options.reason ?? (code === 0 ? "Completed" : "Error");
    if (options.signal !== undefined) c.signal = options.signal;
    if (options.message !== undefined) c.message = options.message;
    publish({ uid: c.spec.sandbox.uid });
  };
  const stop = (c: FakeContainer, code: number): void => {
    if (c.state === "running") exit(c, code);
  };
  const containersOf = (sandboxId: string): FakeContainer[] =>
    [...containers.values()].filter((c) => c.sandboxId === sandboxId);

  const runSandbox = (spec: SandboxSpec): string => {
    const same = [...sandboxes.values()].find((s) => s.spec.uid === spec.uid && s.attempt === spec.attempt);
    if (same?.ready === true && same.hash === spec.hash) return same.id;
    if (same !== undefined) removeSandbox(same.id);
    const id = newId();
    const ips = spec.pod.spec?.hostNetwork === true ? [] : [`10.88.${counter >> 8 & 255}.${counter & 255}`];
    sandboxes.set(id, {
      id,
      attempt: spec.attempt,
      ready: true,
      createdAt: now(),
      ips,
      hash: spec.hash,
      runtimeHandler: "",
      spec,
    });
    publish({ uid: spec.uid });
    return id;
  };
  const stopSandbox = (id: string): void => {
    const sandbox = sandboxes.get(id);
    if (sandbox === undefined) return;
    for (const c of containersOf(id)) stop(c, 137);
    sandbox.ready = false;
    sandbox.ips = [];
    publish({ uid: sandbox.spec.uid });
  };
  const removeSandbox = (id: string): void => {
    const sandbox = sandboxes.get(id);
    if (sandbox === undefined) return;
    stopSandbox(id);
    for (const c of containersOf(id)) containers.delete(c.id);
    sandboxes.delete(id);
    publish({ uid: sandbox.spec.uid });
  };

  const create = (spec: ContainerSpec): string => {
    if (sandboxes.get(spec.sandboxId)?.ready !== true) {
      throw new AgentError("CreateContainerError", `sandbox "${spec.sandboxId}" is not running`);
    }
    const same = containersOf(spec.sandboxId)
      .find((c) => c.name === spec.container.name && c.attempt === spec.attempt);
    if (same?.state === "created" && same.hash === spec.hash) return same.id;
    if (same?.state === "running") {
      throw new AgentError("CreateContainerError", `container "${same.name}" already runs as ${same.id}`);
    }
    if (same !== undefined) containers.delete(same.id);
    const id = newId();
    containers.set(id, {
      id,
      name: spec.container.name,
      sandboxId: spec.sandboxId,
      attempt: spec.attempt,
      state: "created",
      createdAt: now(),
      image: spec.container.image ?? "",
      imageRef: spec.imageRef,
      hash: spec.hash,
      backOff: spec.backOff,
      graceSeconds: spec.sandbox.pod.spec?.terminationGracePeriodSeconds ?? 30,
      resources: spec.resources,
      logPath: `${spec.sandbox.logDirectory}/${spec.logPath}`,
      spec,
    });
    publish({ uid: spec.sandbox.uid });
    return id;
  };
  const start = (id: string, exitCode: number | undefined): void => {
    const c = containers.get(id);
    if (c === undefined) throw new AgentError("RunContainerError", `container "${id}" not found`);
    if (c.state !== "created") throw new AgentError("RunContainerError", `container "${id}" is ${c.state}`);
    c.state = "running";
    c.startedAt = now();
    publish({ uid: c.spec.sandbox.uid });
    if (exitCode !== undefined) exit(c, exitCode);
  };
  const remove = (id: string): void => {
    const c = containers.get(id);
    if (c === undefined) return;
    stop(c, 137);
    containers.delete(id);
    publish({ uid: c.spec.sandbox.uid });
  };

  const pods = (): ObservedPod[] => {
    const byUid = new Map<string, ObservedPod>();
    for (const s of sandboxes.values()) {
      const { uid, pod } = s.spec;
      const observed = byUid.get(uid) ?? {
        uid,
        namespace: pod.metadata?.namespace ?? "default",
        name: pod.metadata?.name ?? "",
        sandboxes: [],
        containers: [],
        hasDirectory: false,
      };
      byUid.set(uid, observed);
      observed.sandboxes.push(toObserved(s));
      observed.containers.push(...containersOf(s.id).map(toObservedContainer));
    }
    for (const pod of byUid.values()) {
      pod.sandboxes.sort((a, b) => b.attempt - a.attempt);
      pod.containers.sort((a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt);
    }
    return [...byUid.values()];
  };

  const find = (nameOrId: string, running = false): FakeContainer => {
    const byName = [...containers.values()].reverse()
      .find((c) => c.name === nameOrId && (!running || c.state === "running"));
    const found = containers.get(nameOrId) ?? byName;
    if (found === undefined || (running && found.state !== "running")) {
      throw new Error(`no ${running ? "running " : ""}container ${nameOrId}`);
    }
    return found;
  };
  return {
    sandboxes,
    containers,
    exit,
    stop: (id: string, grace: number) => {
      const c = containers.get(id);
      if (c !== undefined) stop(c, grace > 0 ? stopCode : 137);
    },
    runSandbox,
    stopSandbox,
    removeSandbox,
    create,
    start,
    remove,
    pods,
    find,
  };
}

export function createFakeRuntime(options: FakeRuntimeOptions = {}): FakeRuntime {
  const gate = createGate();
  const events = createEvents();
  const world = createWorld(options.now ?? Date.now, events.publish, options.stopCode ?? 143);
  const store = createFakeImages(gate, options.images ?? [], options.registry);
  const { pass } = gate;

  const runtime: Runtime = {
    version: async (signal) => {
      await pass("version", [], signal);
      return { name: "fake", version: "1.0.0", apiVersion: "v1" };
    },
    status: async (signal) => {
      await pass("status", [], signal);
      return {
        runtimeReady: true,
        networkReady: true,
        message: "",
        cgroupDriver: "cgroupfs",
        runtimeHandlers: [],
      };
    },
    observe: async (uid, signal) => {
      await pass("observe", [uid], signal);
      return world.pods().filter((p) => uid === undefined || p.uid === uid);
    },
    runPodSandbox: async (spec, signal) => {
      await pass("runPodSandbox", [spec], signal);
      return world.runSandbox(spec);
    },
    stopPodSandbox: async (id, signal) => {
      await pass("stopPodSandbox", [id], signal);
      world.stopSandbox(id);
    },
    removePodSandbox: async (id, signal) => {
      await pass("removePodSandbox", [id], signal);
      world.removeSandbox(id);
    },
    createContainer: async (spec, signal) => {
      await pass("createContainer", [spec], signal);
      if (store.find(spec.imageRef) === undefined) {
        throw new AgentError("CreateContainerError", `image "${spec.imageRef}" not found`);
      }
      return world.create(spec);
    },
    startContainer: async (id, signal) => {
      await pass("startContainer", [id], signal);
      const container = world.containers.get(id);
      world.start(id, container === undefined ? undefined : options.onStart?.(container.spec));
    },
    stopContainer: async (id, graceSeconds, signal) => {
      await pass("stopContainer", [id, graceSeconds], signal);
      world.stop(id, graceSeconds);
    },
    removeContainer: async (id, signal) => {
      await pass("removeContainer", [id], signal);
      world.remove(id);
    },
    updateContainerResources: async (id, resources, oomScoreAdj, signal) => {
      await pass("updateContainerResources", [id, resources, oomScoreAdj], signal);
      if (!world.containers.has(id)) throw new AgentError("Unknown", `container "${id}" not found`);
    },
    reopenContainerLog: async (id, signal) => {
      await pass("reopenContainerLog", [id], signal);
    },
    async *events(signal) {
      await pass("events", [], signal);
      yield* events.subscribe(signal);
    },
  };

  return {
    runtime,
    images: store.images,
    calls: gate.calls,
    callsOf: (method) => gate.calls.filter((c) => c.method === method),
    pods: world.pods,
    imageNames: store.names,
    specOf: (nameOrId) => world.find(nameOrId).spec,
    exit: (nameOrId, code, exitOptions) => world.exit(world.find(nameOrId, true), code, exitOptions),
    killSandbox: (uid) => {
      for (const s of world.sandboxes.values()) if (s.spec.uid === uid && s.ready) world.stopSandbox(s.id);
    },
    fail: gate.fail,
    hold: gate.hold,
    held: gate.held,
    breakEvents: events.breakAll,
    addImage: store.add,
  };
}
