/**
 * A container runtime in memory: it implements the Runtime and Images ports, behaves like the real one as far as the
 * contract suite (tests/contract/runtime_suite.ts) tells, records every call and fails on request.
 * Not for: timing. Nothing happens by itself; containers end when a test says so, or at once by `onStart`.
 */
import type { ContainerSpec } from "../../agent/model/container.ts";
import type { ObservedPod } from "../../agent/model/observed.ts";
import type { ExecResult, Images, ImageStatus, Runtime, RuntimeEvent } from "../../agent/ports.ts";
import { AgentError } from "../../agent/model/errors.ts";
import { createFakeImages } from "./images.ts";
import { createWorld } from "./runtime_world.ts";

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
  /** Whether it can give pods user namespaces; default false. */
  userNamespaces?: boolean;
  /** What a command in a container does; default it succeeds in silence. */
  onExec?: (container: ContainerSpec, command: readonly string[]) => ExecResult;
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
        recursiveReadOnlyHandlers: [],
        userNamespaceHandlers: options.userNamespaces === true ? ["", "runc"] : [],
        supplementalGroupsPolicy: false,
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
    sandboxIds: async (signal) => {
      await pass("sandboxIds", [], signal);
      return new Set(world.sandboxes.keys());
    },
    networkNamespace: async (id, signal) => {
      await pass("networkNamespace", [id], signal);
      const sandbox = world.sandboxes.get(id);
      if (sandbox === undefined) throw new AgentError("Unknown", `sandbox "${id}" not found`);
      return sandbox.spec.pod.spec?.hostNetwork === true ? undefined : `/var/run/netns/${id}`;
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
    updateContainerResources: async (id, resources, signal) => {
      await pass("updateContainerResources", [id, resources], signal);
      if (!world.containers.has(id)) throw new AgentError("Unknown", `container "${id}" not found`);
    },
    stats: async (signal) => {
      await pass("stats", [], signal);
      const used = { cpu: 1_000_000, memory: 8192, workingSet: 4096, disk: { bytes: 4096, inodes: 1 } };
      return [...world.containers.values()].filter((c) => c.state === "running").map(({ id, spec }) => {
        return {
          id,
          uid: spec.sandbox.uid,
          name: spec.container.name,
          at: (options.now ?? Date.now)(),
          ...used,
        };
      });
    },
    reopenContainerLog: async (id, signal) => {
      await pass("reopenContainerLog", [id], signal);
    },
    execSync: async (id, command, timeoutSeconds, signal) => {
      await pass("execSync", [id, command, timeoutSeconds], signal);
      const container = world.containers.get(id);
      if (container?.state !== "running") throw new AgentError("Unknown", `container "${id}" is not running`);
      return options.onExec?.(container.spec, command) ?? { exitCode: 0, output: "" };
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
