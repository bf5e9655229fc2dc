/** `agent restart`: containers of running pods start again, in their sandbox. Not for: doing it (the agent does). */
import type { ContainerStatus, Pod } from "../model/gen/v1.ts";
import { podKey } from "../model/wish.ts";
import { createApiClient } from "./client.ts";
import { type Command, type ParsedArgs, UsageError } from "./command.ts";
import { findPod, plainName } from "./describe.ts";
import { namespaceFlag } from "./get.ts";
import { type Io, socketPath } from "./io.ts";
import { podStatusText, readyText } from "./render/pods.ts";
import { waitFlags, waitFor, type Waiting, waitMs } from "./wait.ts";

/** Pod -> the containers that are meant; none: all of them. `POD`, `POD/CONTAINER`, with `pod/` before or not. */
export function parseTargets(words: readonly string[]): Map<string, string[]> {
  const targets = new Map<string, string[]>();
  for (const word of words) {
    const [pod = "", container, ...rest] = plainName(word).split("/");
    if (pod === "" || container === "" || rest.length > 0) {
      throw new UsageError(`expected POD or POD/CONTAINER, found "${word}"`);
    }
    const known = targets.get(pod);
    if (known?.length === 0 || (known !== undefined && container === undefined)) targets.set(pod, []);
    else targets.set(pod, [...known ?? [], ...container === undefined ? [] : [container]]);
  }
  return targets;
}

const statusesOf = (pod: Pod): ContainerStatus[] => [
  ...pod.status?.initContainerStatuses ?? [],
  ...pod.status?.containerStatuses ?? [],
];

/** Whether what ran `before` has been replaced, and what came then is up or has done its work. */
export function restartedPod(before: Pod, names: readonly string[]): (seen: Pod | undefined) => Waiting {
  const old = new Map(statusesOf(before).map((status) => [status.name, status.containerID]));
  const apps = new Set((before.spec?.containers ?? []).map((container) => container.name));
  const isMeant = ({ name }: ContainerStatus) => names.length === 0 ? apps.has(name) : names.includes(name);
  return (seen) => {
    if (seen === undefined) return { state: "failed", text: "gone" };
    const text = `${podStatusText(seen)} ${readyText(seen)}`;
    const meant = statusesOf(seen).filter(isMeant);
    if (
      meant.some((status) => status.containerID === undefined || status.containerID === old.get(status.name))
    ) {
      return { state: "waiting", text: `being restarted, ${text}` };
    }
    if (seen.status?.phase === "Failed") return { state: "failed", text };
    const isUp = meant.every(({ ready, state }) => ready || state?.terminated?.exitCode === 0);
    return { state: isUp ? "done" : "waiting", text };
  };
}

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const targets = parseTargets(args.positional);
  const namespace = args.text("namespace") ?? "default";
  const by = io.env("SUDO_USER") || io.env("USER") || io.env("LOGNAME");
  const client = createApiClient(socketPath(args, io));
  try {
    const pods = new Map<string, (seen: Pod | undefined) => Waiting>();
    for (const name of targets.keys()) await findPod(client, namespace, name, io);
    for (const [name, containers] of targets) {
      const before = await findPod(client, namespace, name, io);
      const query = new URLSearchParams(containers.map((container) => ["container", container]));
      query.set("by", by === undefined ? "agent restart" : `${by} (agent restart)`);
      const path = ["restart", namespace, name].map(encodeURIComponent).join("/");
      await client.post(`/${path}?${query}`, {}, io.signal);
      pods.set(podKey(before), restartedPod(before, containers));
      if (!args.is("wait")) {
        for (const word of containers.length === 0 ? [""] : containers) {
          await io.out(`pod/${name}${word === "" ? "" : `/${word}`} restarting\n`);
        }
      }
    }
    if (!args.is("wait")) return 0;
    return await waitFor({ objects: pods, timeoutMs: waitMs(args) }, client, io) ? 0 : 1;
  } finally {
    client.close();
  }
}

export const restart: Command = {
  name: "restart",
  summary: "Stop containers gracefully and start them again, in the same sandbox",
  details:
    "Whatever the restart policy says, and without back-off. Addresses and volumes stay. Of a whole pod the " +
    "init containers run again, too.",
  arguments: [{
    name: "POD",
    required: true,
    repeated: true,
    complete: "pods",
    summary: "POD, or POD/CONTAINER for one of its containers",
  }],
  flags: [namespaceFlag, ...waitFlags("until what was started is ready")],
  examples: [
    { does: "A pod, and see that it comes back", line: "agent restart web --wait" },
    { does: "One of its containers", line: "agent restart web/app" },
  ],
  run,
};
