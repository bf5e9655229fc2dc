/**
 * /exec, /attach, /portForward and /run of the kubelet's API: which session with the runtime is meant, or why there is
 * none, in the kubelet's words. Source: pkg/kubelet/server/server.go, k8s.io/kubelet/pkg/cri/streaming. Not for: its
 * octets (relay.ts), the local API's redirects (api/streams.ts).
 */
import type { Pod } from "../../model/gen/v1.ts";
import { AgentError, errorText } from "../../model/errors.ts";
import type { Runtime, Streams } from "../../ports.ts";
import type { StatusStore } from "../../status_store.ts";
import { findPod, newestAttempt, readySandbox } from "../lookup.ts";
import { readStreamKinds } from "../streams.ts";
import { relay } from "./relay.ts";
import { type KubeletRequest, type Route, text } from "./routes.ts";

export interface StreamRoutes {
  store: StatusStore;
  runtime: Pick<Runtime, "observe" | "execSync">;
  streams: Streams;
  /** streamingConnectionIdleTimeout, in ms; 0 is none. */
  idleMs: number;
}

/** Where the runtime awaits the client, or the answer to who cannot be one. */
type Found = { url: string } | Response;
type Find = (o: StreamRoutes, request: KubeletRequest) => Promise<Found>;

export function streamRoutes(o: StreamRoutes): Route[] {
  const inContainer = ["/:namespace/:pod/:container", "/:namespace/:pod/:uid/:container"];
  const session = (paths: readonly string[], find: Find): Route[] =>
    paths.map((path) => ({
      methods: ["GET", "POST"],
      path,
      answer: async (request) => {
        const refused = await find({ ...o, streams: noSessions }, request);
        return refused instanceof Response ? refused : text(500, "Upgrade request required\n");
      },
      upgrade: async (request, upgrade) => {
        const found = await find(o, request);
        if (found instanceof Response) return found;
        const { method, rawHeaders, signal } = request;
        return await relay({ ...upgrade, ...found, method, rawHeaders, signal, idleMs: o.idleMs })
          .catch((error) => text(500, `${errorText(error)}\n`));
      },
    }));
  return [
    ...session(inContainer.map((place) => `/exec${place}`), exec),
    ...session(inContainer.map((place) => `/attach${place}`), attach),
    ...session(["/portForward/:namespace/:pod", "/portForward/:namespace/:pod/:uid"], portForward),
    ...inContainer.map((place): Route => ({
      methods: ["POST"],
      path: `/run${place}`,
      answer: (request) => run(o, request),
    })),
  ];
}

/** For requests that cannot become a session: nothing is left waiting at the runtime. */
const nowhere = () => Promise.resolve("");
const noSessions: Streams = { exec: nowhere, attach: nowhere, portForward: nowhere };

const noPod = () => text(404, "pod does not exist");

const podOf = (o: StreamRoutes, { params }: KubeletRequest): Pod | undefined =>
  findPod(o.store, params["namespace"] ?? "", params["pod"] ?? "");

/** The id of the running container that the path names; a uid in the path must be the pod's. */
async function containerOf(o: StreamRoutes, { params, signal }: KubeletRequest, pod: Pod) {
  const { uid = pod.metadata?.uid, container = "" } = params;
  const found = uid === pod.metadata?.uid
    ? await newestAttempt(o.runtime, pod, container, signal)
    : undefined;
  return found?.state === "running" ? found.id : text(500, `container not found ("${container}")`);
}

async function ask(call: () => Promise<string>): Promise<Found> {
  try {
    return { url: await call() };
  } catch (error) {
    return text(500, errorText(error));
  }
}

/** With a terminal there is one output. */
function kindsOf(query: URLSearchParams) {
  const kinds = readStreamKinds(query);
  const { stdin, stdout, tty } = kinds;
  const stderr = kinds.stderr && !tty;
  return stdin || stdout || stderr
    ? { stdin, stdout, stderr, tty }
    : text(400, "you must specify at least 1 of stdin, stdout, stderr");
}

const inRunning = (
  start: (
    o: StreamRoutes,
    id: string,
    kinds: Parameters<Streams["attach"]>[1],
    request: KubeletRequest,
  ) => Promise<string>,
): Find =>
async (o, request) => {
  const kinds = kindsOf(request.query);
  if (kinds instanceof Response) return kinds;
  const pod = podOf(o, request);
  if (pod === undefined) return noPod();
  const id = await containerOf(o, request, pod);
  return id instanceof Response ? id : await ask(() => start(o, id, kinds, request));
};

const exec = inRunning((o, id, kinds, { query, signal }) =>
  o.streams.exec(id, query.getAll("command"), kinds, signal)
);

const attach = inRunning((o, id, kinds, { signal }) => o.streams.attach(id, kinds, signal));

const portForward: Find = async (o, request) => {
  const ports = portsOf(request);
  if (ports instanceof Response) return ports;
  const pod = podOf(o, request);
  if (pod === undefined) return noPod();
  const { namespace, name, uid } = pod.metadata ?? {};
  if ((request.params["uid"] ?? uid) !== uid) return text(404, "pod not found");
  const id = await readySandbox(o.runtime, pod, request.signal);
  if (id === undefined) return text(500, `pod not found ("${name}_${namespace}")`);
  return await ask(() => o.streams.portForward(id, ports, request.signal));
};

/** SPDY names the port in each stream; only a WebSocket needs them before. */
function portsOf({ query, headers }: KubeletRequest): number[] | Response {
  if (headers.get("upgrade")?.toLowerCase() !== "websocket") return [];
  const words = query.getAll("port").flatMap((word) => word.split(","));
  if (words.length === 0) return text(400, 'query parameter "port" is required');
  const wrong = words.find((word) => !/^\d{1,5}$/.test(word) || Number(word) > 65535);
  if (wrong !== undefined) return text(400, `unable to parse "${wrong}" as a port`);
  if (words.some((word) => Number(word) === 0)) return text(400, `port "0" must be > 0`);
  return words.map(Number);
}

/** Longest life of a command that nobody watches. */
const runSeconds = 4 * 3600;

async function run(o: StreamRoutes, request: KubeletRequest): Promise<Response> {
  const pod = podOf(o, request);
  if (pod === undefined) return noPod();
  const id = await containerOf(o, request, pod);
  if (id instanceof Response) return id;
  const command = (request.query.get("cmd") ?? "").split(" ");
  try {
    const { exitCode, output } = await o.runtime.execSync(id, command, runSeconds, request.signal);
    if (exitCode !== 0) {
      return text(500, `command '${command.join(" ")}' exited with ${exitCode ?? "a timeout"}: ${output}`);
    }
    return new Response(output, { headers: { "content-type": "application/json" } });
  } catch (error) {
    if (error instanceof AgentError) return text(500, errorText(error));
    throw error;
  }
}
