/**
 * exec, attach and port-forward, under the kubelet's paths and query names. The answer is a redirect to the runtime's
 * streaming server on the loopback address, as the kubelet's was (--redirect-container-streaming): the session is
 * between client and runtime, with its own speed and backpressure, costs the agent nothing and outlives it.
 * Not for: the protocol of a session (cli/session.ts).
 */
import type { Context, Hono } from "hono";
import type { ObservedContainer } from "../model/observed.ts";
import type { Pod } from "../model/gen/v1.ts";
import type { Runtime, StreamKinds, Streams } from "../ports.ts";
import type { StatusStore } from "../status_store.ts";
import {
  containerNames,
  isRefusal,
  newestAttempt,
  noSuchContainer,
  podOf,
  readySandbox,
  type Refusal,
  refuse,
} from "./lookup.ts";

export interface StreamRoutes {
  store: StatusStore;
  runtime: Pick<Runtime, "observe">;
  streams: Streams;
  signal: AbortSignal;
}

/** The kubelet's names (`input=1`) and the API server's (`stdin=true`). */
const names = {
  stdin: ["stdin", "input"],
  stdout: ["stdout", "output"],
  stderr: ["stderr", "error"],
  tty: ["tty"],
};

/** Which streams are asked for. */
export function readStreamKinds(query: URLSearchParams): StreamKinds {
  const isSet = (words: readonly string[]) => words.some((word) => /^(1|true)$/.test(query.get(word) ?? ""));
  return {
    stdin: isSet(names.stdin),
    stdout: isSet(names.stdout),
    stderr: isSet(names.stderr),
    tty: isSet(names.tty),
  };
}

/** The same, by CRI's rules. */
export function parseStreamKinds(query: URLSearchParams): StreamKinds | Refusal {
  const kinds = readStreamKinds(query);
  if (!kinds.stdin && !kinds.stdout && !kinds.stderr) {
    return { reason: "BadRequest", message: "expected at least one of stdin=1, stdout=1, stderr=1" };
  }
  if (kinds.tty && kinds.stderr) {
    return {
      reason: "BadRequest",
      message: "tty=1 and stderr=1 exclude each other: a terminal has one output",
    };
  }
  return kinds;
}

/** The ports of `port=80&port=443` (the kubelet's) or `ports=80,443` (the API server's). */
export function parsePorts(query: URLSearchParams): number[] | Refusal {
  const words = [...query.getAll("port"), ...query.getAll("ports")].flatMap((word) => word.split(","));
  const wrong = words.find((word) => !/^\d{1,5}$/.test(word) || Number(word) < 1 || Number(word) > 65535);
  if (wrong === undefined) return words.map(Number);
  return { reason: "BadRequest", message: `port: expected a number from 1 to 65535, found "${wrong}"` };
}

/** What a container does instead of running, in a few words. */
function stateOf(container: ObservedContainer | undefined, pod: Pod): string {
  if (container === undefined || container.state === "created") return "it has not been started";
  if (container.state === "unknown") return "the runtime does not know its state";
  const code = container.exitCode === undefined ? "" : `, exit code ${container.exitCode}`;
  return `it has ended (${container.reason || pod.status?.phase || "exited"}${code})`;
}

export function addStreamRoutes(app: Hono, o: StreamRoutes): void {
  const containerOf = async (c: Context, signal: AbortSignal): Promise<{ id: string } | Refusal> => {
    const pod = podOf(c, o.store);
    if (isRefusal(pod)) return pod;
    const name = c.req.param("container")!;
    const known = containerNames(pod);
    const where = `pod ${pod.metadata?.namespace}/${pod.metadata?.name}`;
    if (!known.includes(name)) return noSuchContainer(pod, name, known);
    const found = await newestAttempt(o.runtime, pod, name, signal);
    if (found?.state === "running") return { id: found.id };
    const message = `container ${name} of ${where} is not running: ${stateOf(found, pod)}`;
    return { reason: "BadRequest", message };
  };
  const sandboxOf = async (c: Context, signal: AbortSignal): Promise<{ id: string } | Refusal> => {
    const pod = podOf(c, o.store);
    if (isRefusal(pod)) return pod;
    const id = await readySandbox(o.runtime, pod, signal);
    if (id !== undefined) return { id };
    const message = `pod ${pod.metadata?.namespace}/${pod.metadata?.name} is not running` +
      ` (${pod.status?.phase ?? "Unknown"})`;
    return { reason: "BadRequest", message };
  };
  const route = (path: string, answer: (c: Context, signal: AbortSignal) => Promise<string | Refusal>) =>
    app.on(["GET", "POST"], path, async (c) => {
      const result = await answer(c, o.signal);
      if (typeof result === "string") return c.redirect(result, 302);
      return refuse(c, result);
    });

  route("/exec/:ns/:pod/:container", async (c, signal) => {
    const query = new URL(c.req.url).searchParams;
    const kinds = parseStreamKinds(query);
    if (isRefusal(kinds)) return kinds;
    const command = query.getAll("command");
    if (command.length === 0) {
      return { reason: "BadRequest", message: "expected command=…, once for each word" };
    }
    const container = await containerOf(c, signal);
    return isRefusal(container) ? container : await o.streams.exec(container.id, command, kinds, signal);
  });
  route("/attach/:ns/:pod/:container", async (c, signal) => {
    const kinds = parseStreamKinds(new URL(c.req.url).searchParams);
    if (isRefusal(kinds)) return kinds;
    const container = await containerOf(c, signal);
    return isRefusal(container) ? container : await o.streams.attach(container.id, kinds, signal);
  });
  route("/portForward/:ns/:pod", async (c, signal) => {
    const ports = parsePorts(new URL(c.req.url).searchParams);
    if (isRefusal(ports)) return ports;
    const sandbox = await sandboxOf(c, signal);
    return isRefusal(sandbox) ? sandbox : await o.streams.portForward(sandbox.id, ports, signal);
  });
}
