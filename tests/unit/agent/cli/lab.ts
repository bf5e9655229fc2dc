/**
 * A stage for tests of the command line: the real API on a real socket over a real status store, real files, and a
 * terminal that remembers. Not for: containers, which nobody runs here.
 */
import { createHealthApi } from "../../../../agent/api/health.ts";
import type { ApiImages } from "../../../../agent/api/images.ts";
import type { DeviceReport } from "../../../../agent/model/device_report.ts";
import type { PodRequests } from "../../../../agent/api/pods.ts";
import { createLocalApi, type LocalApiOptions } from "../../../../agent/api/local.ts";
import type { ApiUsage } from "../../../../agent/api/usage.ts";
import { serveApi } from "../../../../agent/api/serve.ts";
import type { Io } from "../../../../agent/cli/io.ts";
import { runCli } from "../../../../agent/cli/mod.ts";
import { createCniTool } from "../../../../agent/compose/networks.ts";
import { parseConfig } from "../../../../agent/config/config.ts";
import { createHost } from "../../../../agent/host.ts";
import { parseManifest } from "../../../../agent/model/manifest.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { locateProblems } from "../../../../agent/sources/locate.ts";
import { readManifests } from "../../../../agent/sources/manifest_files.ts";
import { createStatusStore, type StatusStore } from "../../../../agent/status_store.ts";

/** The instant at which all of it happens. */
export const now = Date.parse("2026-03-01T12:00:00Z");

const plainConfig = parseConfig({ files: [], dropIns: [], flags: {}, env: {}, hostname: "node-1" }).config;

export const at = (secondsAgo: number): string => new Date(now - secondsAgo * 1000).toISOString();

export function runningPod(name: string, options: { restarts?: number; namespace?: string } = {}): Pod {
  const namespace = options.namespace ?? "default";
  return {
    metadata: { name, namespace, uid: `uid-${namespace}-${name}`, creationTimestamp: at(300) },
    spec: { nodeName: "node-1", containers: [{ name: "app", image: "app:1" }] },
    status: {
      phase: "Running",
      podIP: "10.88.0.7",
      startTime: at(300),
      conditions: [{ type: "Initialized", status: "True" }, { type: "Ready", status: "True" }],
      containerStatuses: [{
        name: "app",
        image: "app:1",
        imageID: "sha256:aa",
        ready: true,
        restartCount: options.restarts ?? 0,
        state: { running: { startedAt: at(290) } },
        ...options.restarts ? { lastState: { terminated: { exitCode: 1, finishedAt: at(120) } } } : {},
      }],
    },
  };
}

export interface Lab extends AsyncDisposable {
  directory: string;
  manifests: string;
  socket: string;
  store: StatusStore;
  /** What `/devices` answers. */
  devices: DeviceReport[];
  io: Io;
  /** Runs the command line; what it printed is in `out` and `err` of the answer. */
  agent(...argv: string[]): Promise<{ code: number; out: string; err: string }>;
  stdin: { text: string };
  /** What was asked of the reconciler. */
  asked: unknown[][];
}

const noImages: ApiImages = {
  list: () => Promise.resolve([]),
  pull: () => Promise.reject(new Error("no registry here")),
  importArchive: () => Promise.reject(new Error("no archive here")),
};

const noSessions: LocalApiOptions["sessions"] = {
  runtime: { observe: () => Promise.resolve([]) },
  streams: {
    exec: () => Promise.reject(new Error("no runtime here")),
    attach: () => Promise.reject(new Error("no runtime here")),
    portForward: () => Promise.reject(new Error("no runtime here")),
  },
};

/** What a test says is used; nothing can be measured here. */
const noUsage: ApiUsage = {
  summary: () => Promise.reject(new Error("no runtime here")),
  resource: () => Promise.reject(new Error("no runtime here")),
  pods: () => Promise.reject(new Error("no runtime here")),
  node: () => Promise.reject(new Error("no runtime here")),
};

export async function createLab(
  images: ApiImages = noImages,
  sessions = noSessions,
  usage = noUsage,
): Promise<Lab> {
  const directory = await Deno.makeTempDir({ prefix: "agent-cli-" });
  const [manifests, socket] = [`${directory}/manifests`, `${directory}/agent.sock`];
  await Deno.mkdir(manifests);
  const ends = new AbortController();
  const host = createHost();
  const store = createStatusStore();
  const asked: unknown[][] = [];
  const devices: DeviceReport[] = [];
  const requested: PodRequests = {
    restart(uid, containers) {
      asked.push(["restart", uid, containers]);
      return true;
    },
    addEphemeral(uid, container) {
      asked.push(["addEphemeral", uid, container]);
      return true;
    },
    probes: () => [{
      container: "app",
      kind: "readiness",
      last: { outcome: "failure", message: "no\u001b[31m answer\n", secondsAgo: 3, inARow: 2 },
    }, { container: "app", kind: "liveness" }],
  };
  store.setStatus({
    nodeName: "node-1",
    version: "1.2.3",
    startedAt: now - 3600_000,
    runtime: { name: "containerd", version: "1.6.20", endpoint: "unix:///run/c.sock", managed: false },
    conditions: [{ type: "Ready", status: "True" }],
    addresses: ["10.0.0.1"],
    labels: {},
    capacity: {},
    allocatable: {},
    paths: { manifests, root: `${directory}/root`, logs: `${directory}/logs`, images: `${directory}/images` },
  });
  const ready = () => ({ ok: true, reasons: [] });
  const serving = await serveApi({
    socket,
    app: createLocalApi({
      store,
      ready,
      settled: () => true,
      config: () => ({ values: { hostnameOverride: "node-1" }, origin: { hostnameOverride: "default" } }),
      logs: { directory: `${directory}/logs`, files: host },
      images,
      sessions,
      devices: () => devices,
      usage,
      requests: requested,
      now: () => now,
      signal: ends.signal,
    }),
    health: createHealthApi({ ready }),
    report: () => {},
    signal: ends.signal,
  });
  const said = { out: "", err: "" };
  const stdin = { text: "" };
  const decoder = new TextDecoder();
  const io: Io = {
    out(chunk) {
      said.out += typeof chunk === "string" ? chunk : decoder.decode(chunk);
      return Promise.resolve();
    },
    err(chunk) {
      said.err += typeof chunk === "string" ? chunk : decoder.decode(chunk);
      return Promise.resolve();
    },
    outIsTerminal: false,
    errIsTerminal: false,
    columns: () => 80,
    env: (name) => name === "AGENT_SOCKET" ? socket : undefined,
    readStdin: () => Promise.resolve(stdin.text),
    input: {
      isTerminal: false,
      async *chunks() {
        yield new TextEncoder().encode(stdin.text);
      },
      makeRaw: () => {
        throw new Error("not a terminal");
      },
      size: () => undefined,
      onResize: () => {},
      onEnd: () => {},
    },
    cwd: () => directory,
    now: () => now,
    build: { version: "1.2.3", commit: "abc", packaging: "source", target: "", deno: "2.9.6" },
    files: host,
    async parseManifest(file, text) {
      const manifest = parseManifest(file, text);
      return { ...manifest, problems: await locateProblems(text, manifest.problems) };
    },
    readManifests: (path) => readManifests(host, path),
    check: () => Promise.resolve([]),
    config: {
      flags: [{ name: "node-ip", kind: "text", summary: "address" }],
      read: (args) => {
        const values = new Map<string, unknown>([["nodeIPs", [args.text("node-ip") ?? "10.0.0.1"]]]);
        return Promise.resolve({ values, origin: { nodeIPs: "flag --node-ip" } });
      },
    },
    cni: (places) => Promise.resolve(createCniTool({ config: plainConfig, host }, places)),
    cluster: {
      flags: [],
      join(_args, words, tell) {
        asked.push(["join", words]);
        tell({ name: "discovery", state: "running", message: "looking", details: [] });
        tell({ name: "discovery", state: "done", message: "found", details: ["a note"] });
        const next = ["kubectl get nodes"];
        return Promise.resolve({ done: true, nodeName: "node-1", server: "https://c:6443", next });
      },
      reset: async (_args, { confirm }) => ({
        done: await confirm("Go on?"),
        nodeName: "node-1",
        next: ["gone"],
      }),
    },
    teardown: { flags: [], run: () => Promise.resolve(0) },
    run: {
      flags: [{ name: "v", kind: "text", summary: "detail" }],
      run: () => Promise.resolve(0),
      asKubelet(args) {
        asked.push(["kubelet", args.text("v")]);
        return Promise.resolve(0);
      },
    },
    signal: ends.signal,
  };
  return {
    directory,
    manifests,
    socket,
    store,
    devices,
    io,
    stdin,
    asked,
    async agent(...argv) {
      [said.out, said.err] = ["", ""];
      const code = await runCli(argv, io);
      return { code, ...said };
    },
    async [Symbol.asyncDispose]() {
      ends.abort();
      await serving.finished;
      await Deno.remove(directory, { recursive: true });
    },
  };
}
