/** `agent describe pod`: everything known of a pod, with its events and the problems of its file. */
import { type ApiClient, createApiClient } from "./client.ts";
import { type Command, CommandError, UsageError } from "./command.ts";
import { namespaceFlag, parseTarget } from "./get.ts";
import { type Io, socketPath, wantsColour } from "./io.ts";
import type { Problem } from "../model/errors.ts";
import type { Event, Pod } from "../model/gen/v1.ts";
import type { ProbeReport } from "../model/probe_report.ts";
import { describePod, type PodStory } from "./render/describe.ts";
import { createPaint } from "./render/text.ts";

/** `pod/web` as `web`. */
export const plainName = (word: string): string => word.replace(/^(pod|pods|po)\//, "");

export async function findPod(client: ApiClient, namespace: string, name: string, io: Io): Promise<Pod> {
  const { items } = await client.get<{ items: Pod[] }>("/pods", io.signal);
  const pod = items.find((p) => p.metadata?.name === name && p.metadata.namespace === namespace);
  if (pod !== undefined) return pod;
  const elsewhere = items.find((p) => p.metadata?.name === name)?.metadata?.namespace;
  const hint = elsewhere === undefined ? "" : `; there is one in namespace ${elsewhere} (-n ${elsewhere})`;
  throw new CommandError(`pods "${name}" not found in namespace ${namespace}${hint}`);
}

async function storyOf(pod: Pod, client: ApiClient, io: Io): Promise<PodStory> {
  const { uid, namespace, name } = pod.metadata ?? {};
  const [events, problems, probes] = await Promise.all([
    client.get<{ items: Event[] }>("/events", io.signal),
    client.get<{ items: Problem[] }>("/problems", io.signal),
    client.get<{ items: ProbeReport[] }>(`/probes/${namespace}/${name}`, io.signal),
  ]);
  return {
    pod,
    events: events.items.filter(({ involvedObject: o }) =>
      o.kind === "Pod" && o.name === name && o.namespace === namespace &&
      (o.uid === undefined || o.uid === uid)
    ),
    problems: problems.items.filter((problem) => problem.object === `Pod ${namespace}/${name}`),
    probes: probes.items,
    now: io.now(),
  };
}

export const describe: Command = {
  name: "describe",
  summary: "Show everything known of a pod, with its events and problems",
  arguments: [
    { name: "pod", required: true, complete: ["pod"] },
    { name: "NAME", required: false, repeated: true, complete: "pods" },
  ],
  flags: [namespaceFlag],
  examples: [{ does: "Why does it not start?", line: "agent describe pod web" }],
  async run(args, io) {
    const { resource, names } = parseTarget(args.positional);
    if (resource !== "pods") {
      throw new UsageError(`only pods can be described, found "${args.positional[0]}"`);
    }
    if (names.length === 0) throw new UsageError(`"agent describe pod" needs NAME`);
    const client = createApiClient(socketPath(args, io));
    const paint = createPaint(wantsColour(io));
    try {
      for (const [i, name] of names.entries()) {
        const pod = await findPod(client, args.text("namespace") ?? "default", name, io);
        await io.out((i > 0 ? "\n\n" : "") + describePod(await storyOf(pod, client, io), paint));
      }
      return 0;
    } finally {
      client.close();
    }
  },
};
