/**
 * `agent debug`: a container of another image joins a running pod, as kubectl debug adds it. Not for: what it may say
 * (the agent checks it), copies of pods.
 */
import { parse } from "@std/yaml";
import type { ContainerStatus, EphemeralContainer, Pod, SecurityContext } from "../model/gen/v1.ts";
import { podKey } from "../model/wish.ts";
import { type ApiClient, createApiClient } from "./client.ts";
import { type Command, CommandError, type ParsedArgs, UsageError } from "./command.ts";
import { findPod, plainName } from "./describe.ts";
import { converseHere, planAttach } from "./exec.ts";
import { sessionPath } from "./exec_session.ts";
import { namespaceFlag } from "./get.ts";
import { type Io, socketPath } from "./io.ts";
import { orSay } from "./local_files.ts";

/** kubectl's profiles, as far as they concern a container in a running pod (kubectl pkg/cmd/debug/profiles.go). */
const profiles: Record<string, SecurityContext | undefined> = {
  general: { capabilities: { add: ["SYS_PTRACE"] } },
  baseline: undefined,
  restricted: {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    runAsNonRoot: true,
    seccompProfile: { type: "RuntimeDefault" },
  },
  netadmin: { capabilities: { add: ["NET_ADMIN", "NET_RAW"] } },
  sysadmin: { privileged: true },
};

/** Letters that make no words, as Kubernetes' generated names have them. */
const letters = "bcdfghjklmnpqrstvwxz2456789";

export function randomName(bytes: Uint8Array): string {
  return `debugger-${[...bytes].map((byte) => letters[byte % letters.length]).join("")}`;
}

/** `KEY=VALUE`. Throws UsageError. */
function parseVariable(word: string): { name: string; value: string } {
  const at = word.indexOf("=");
  if (at < 1) throw new UsageError(`--env: expected NAME=VALUE, found "${word}"`);
  return { name: word.slice(0, at), value: word.slice(at + 1) };
}

/** What the command line asks for; `custom`, a part of a container, goes before what the profile says. */
export function debugContainer(
  args: Pick<ParsedArgs, "text" | "texts" | "is">,
  name: string,
  command: readonly string[],
  custom: Partial<EphemeralContainer> = {},
): EphemeralContainer {
  const image = args.text("image") ?? custom.image;
  if (image === undefined) throw new UsageError(`"agent debug" needs --image IMAGE`);
  const security = profiles[args.text("profile") ?? "general"];
  const env = args.texts("env").map(parseVariable);
  const [stdin, tty] = [args.is("stdin"), args.is("tty")];
  const [target, policy] = [args.text("target"), args.text("image-pull-policy")];
  return {
    ...security === undefined ? {} : { securityContext: security },
    ...custom,
    name,
    image,
    ...target === undefined ? {} : { targetContainerName: target },
    ...policy === undefined ? {} : { imagePullPolicy: policy },
    ...command.length === 0 ? {} : { [args.is("arguments-only") ? "args" : "command"]: [...command] },
    ...env.length === 0 ? {} : { env: [...custom.env ?? [], ...env] },
    ...stdin ? { stdin, ...tty ? {} : { stdinOnce: true } } : {},
    ...tty ? { tty } : {},
  };
}

async function readCustom(path: string | undefined): Promise<Partial<EphemeralContainer>> {
  if (path === undefined) return {};
  const value: unknown = await orSay(
    path,
    (async () => parse(await Deno.readTextFile(path), { schema: "core" }))(),
  );
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new CommandError(`${path}: expected a part of a container (a mapping)`);
}

interface Debugged {
  client: ApiClient;
  pod: Pod;
  name: string;
  io: Io;
}

/** What is shown of the container once it fulfils the condition; `undefined` when the signal came before. */
async function untilStatus(
  { client, pod, name }: Debugged,
  condition: (status: ContainerStatus) => boolean,
  signal: AbortSignal,
): Promise<ContainerStatus | undefined> {
  interface Line {
    type: string;
    object: Pod;
  }
  try {
    for await (const { type, object } of client.lines<Line>("/pods?watch=true", undefined, signal)) {
      if (podKey(object) !== podKey(pod)) continue;
      if (type === "DELETED") throw new CommandError(`pod ${pod.metadata?.name} is gone`);
      const status = object.status?.ephemeralContainerStatuses?.find((s) => s.name === name);
      if (status !== undefined && condition(status)) return status;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return undefined;
}

const onItsWay = new Set(["ContainerCreating", "PodInitializing", undefined]);

const hasBegun = ({ state }: ContainerStatus): boolean =>
  state?.running !== undefined || state?.terminated !== undefined || !onItsWay.has(state?.waiting?.reason);

/** What the runtimes say of a container whose program could not be run. */
const startError = "StartError";

/** Longer than a runtime takes to tell that a container has ended. */
const patienceMs = 3000;

/** Its output from the first word to the last; ends with the container. */
async function writeLog({ client, pod, name, io }: Debugged): Promise<void> {
  const { namespace = "", name: podName = "" } = pod.metadata ?? {};
  const path = ["containerLogs", namespace, podName, name].map(encodeURIComponent).join("/");
  for await (const bytes of client.bytes(`/${path}?follow=true`, io.signal)) await io.out(bytes);
}

interface Talk {
  /** Whether the container has said anything. */
  heard: boolean;
  /** Why it could not be talked with: one that is quicker than we are has ended by then. */
  failure?: unknown;
}

/** Talks with the container until it, or the connection, ends. */
async function attachTo(
  { client, pod, name, io }: Debugged,
  container: EphemeralContainer,
  quiet: boolean,
): Promise<Talk> {
  let heard = false;
  const hear = <T>(write: (chunk: T) => Promise<void>) => (chunk: T) => {
    heard = true;
    return write(chunk);
  };
  const target = { namespace: pod.metadata?.namespace ?? "", pod: pod.metadata?.name ?? "", container: name };
  const plan = planAttach(container, true, container.tty === true, io.input.isTerminal);
  if (!quiet && plan.raw) await io.err("If you don't see a command prompt, try pressing enter.\n");
  const ends = { ...io, out: hear(io.out), err: hear(io.err) };
  try {
    await converseHere(client, sessionPath("attach", target, plan), plan, ends);
    return { heard };
  } catch (failure) {
    return { heard, failure };
  }
}

/** Stays with the container until it has ended; resolves to its exit status. */
async function stayWith(debugged: Debugged, container: EphemeralContainer, quiet: boolean): Promise<number> {
  const { pod, name, io } = debugged;
  const begun = await untilStatus(debugged, hasBegun, io.signal);
  if (begun === undefined) return 130;
  const { waiting, terminated } = begun.state ?? {};
  if (waiting !== undefined) {
    throw new CommandError(`container ${name} does not start: ${waiting.reason}: ${waiting.message ?? ""}`);
  }
  if (terminated?.reason === startError) {
    throw new CommandError(`container ${name} does not start: ${terminated.message ?? startError}`);
  }
  const talks = container.stdin === true && terminated === undefined;
  const talk = talks ? await attachTo(debugged, container, quiet) : undefined;
  if (!talks) await writeLog(debugged);
  const patience = AbortSignal.any([io.signal, AbortSignal.timeout(patienceMs)]);
  const ended = await untilStatus(debugged, ({ state }) => state?.terminated !== undefined, patience);
  if (ended === undefined) {
    if (talk?.failure !== undefined) throw talk.failure;
    if (!quiet) {
      await io.err(`container ${name} runs on: agent attach ${pod.metadata?.name} -c ${name} -it\n`);
    }
    return io.signal.aborted ? 130 : 0;
  }
  // An attachment misses what was written before it: of a short command, everything.
  if (talk?.heard === false) await writeLog(debugged);
  return ended.state!.terminated!.exitCode;
}

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const [named = "", ...command] = args.positional;
  const name = args.text("container") ?? randomName(crypto.getRandomValues(new Uint8Array(5)));
  const container = debugContainer(args, name, command, await readCustom(args.text("custom")));
  const quiet = args.is("quiet");
  const client = createApiClient(socketPath(args, io));
  try {
    const pod = await findPod(client, args.text("namespace") ?? "default", plainName(named), io);
    const { namespace = "", name: podName = "" } = pod.metadata ?? {};
    const path = ["ephemeralContainers", namespace, podName].map(encodeURIComponent).join("/");
    await client.post(`/${path}`, container, io.signal);
    if (!quiet && args.text("container") === undefined) {
      await io.err(`Defaulting debug container name to ${name}.\n`);
    }
    if (!(args.boolean("attach") ?? container.stdin === true)) return 0;
    return await stayWith({ client, pod, name, io }, container, quiet);
  } finally {
    client.close();
  }
}

export const debug: Command = {
  name: "debug",
  summary: "Add a container of another image to a running pod, to look around in it",
  details:
    "It shares the pod's network, and with --target the processes of one of its containers; it is never started " +
    "again, and stays on record until the pod goes. With -i the exit status is the container's.",
  arguments: [
    { name: "POD", required: true, complete: "pods" },
    { name: "COMMAND", required: false, repeated: true, summary: "after --; without it the image's own" },
  ],
  flags: [
    namespaceFlag,
    { name: "image", kind: "text", placeholder: "IMAGE", summary: "of the container", complete: "images" },
    {
      name: "container",
      short: "c",
      kind: "text",
      placeholder: "NAME",
      summary: "what it is to be called (default debugger-*)",
    },
    { name: "target", kind: "text", placeholder: "CONTAINER", summary: "whose processes it is to see" },
    {
      name: "profile",
      kind: "text",
      placeholder: "NAME",
      summary: "what it may: general (default), baseline, restricted, netadmin, sysadmin",
      values: Object.keys(profiles),
    },
    { name: "stdin", short: "i", kind: "boolean", summary: "give it standard input, and stay with it" },
    { name: "tty", short: "t", kind: "boolean", summary: "give it a terminal" },
    { name: "attach", kind: "boolean", summary: "stay with it until it ends (default: with -i)" },
    {
      name: "env",
      kind: "text",
      placeholder: "NAME=VALUE",
      summary: "a variable of its environment; may be repeated",
      repeated: true,
    },
    {
      name: "image-pull-policy",
      kind: "text",
      placeholder: "POLICY",
      summary: "Always, IfNotPresent or Never",
      values: ["Always", "IfNotPresent", "Never"],
    },
    { name: "arguments-only", kind: "boolean", summary: "COMMAND is what the image's entry point gets" },
    {
      name: "custom",
      kind: "text",
      placeholder: "FILE",
      summary: "a part of a container in YAML or JSON: volumeMounts, securityContext, …",
      complete: "files",
    },
    { name: "quiet", short: "q", kind: "boolean", summary: "print nothing but what the container writes" },
  ],
  examples: [
    {
      does: "A shell with the processes of a container",
      line: "agent debug -it web --image busybox --target app -- sh",
    },
    { does: "The pod's network, once", line: "agent debug web --image busybox --attach -- ip addr" },
  ],
  run,
};
