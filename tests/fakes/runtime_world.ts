/**
 * The state of the fake runtime: sandboxes, containers and how they change. Not for: recording and failing (runtime.ts).
 */
import type { ContainerSpec, SandboxSpec } from "../../agent/model/container.ts";
import { AgentError } from "../../agent/model/errors.ts";
import type { ObservedContainer, ObservedPod, ObservedSandbox } from "../../agent/model/observed.ts";
import type { RuntimeEvent } from "../../agent/ports.ts";
import type { ExitOptions } from "./runtime.ts";

interface FakeSandbox extends ObservedSandbox {
  spec: SandboxSpec;
}
interface FakeContainer extends ObservedContainer {
  spec: ContainerSpec;
}

function toObserved(sandbox: FakeSandbox): ObservedSandbox {
  const { spec: _, ...observed } = sandbox;
  return { ...observed, ips: [...observed.ips] };
}

function toObservedContainer(container: FakeContainer): ObservedContainer {
  const { spec: _, ...observed } = container;
  return { ...observed };
}

/** What the real runtime keeps as annotations for the end of the container. */
function fromAnnotations({ sandbox, container }: ContainerSpec): Partial<ObservedContainer> {
  const { preStop } = container.lifecycle ?? {};
  const sidecar = (sandbox.pod.spec?.initContainers ?? []).findIndex((c) => c.name === container.name);
  return {
    ...(preStop && { preStop }),
    ...(container.ports && { ports: container.ports }),
    ...(sidecar >= 0 && container.restartPolicy === "Always" && { sidecar }),
  };
}

export function createWorld(now: () => number, publish: (event: RuntimeEvent) => void, stopCode: number) {
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
      podStart: spec.podStart,
      ips,
      hash: spec.hash,
      runtimeHandler: spec.runtimeHandler,
      ...(spec.userNamespace && { userNamespace: spec.userNamespace }),
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
      ...(spec.run === 0 ? {} : { run: spec.run }),
      ...(spec.ephemeral === undefined ? {} : { ephemeral: spec.ephemeral }),
      graceSeconds: spec.sandbox.pod.spec?.terminationGracePeriodSeconds ?? 30,
      resources: spec.resources,
      ...(spec.linux.cpus === undefined ? {} : { cpus: spec.linux.cpus }),
      ...fromAnnotations(spec),
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
        source: s.spec.source,
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
