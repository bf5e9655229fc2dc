/** `agent describe`: everything known of a pod, a claim or a volume, with its events and the problems of its file. */
import { type ApiClient, createApiClient } from "./client.ts";
import { type Command, CommandError, UsageError } from "./command.ts";
import { namespaceFlag, parseTarget } from "./get.ts";
import { type Io, socketPath, wantsColour } from "./io.ts";
import type { Problem } from "../model/errors.ts";
import type { Event, Pod } from "../model/gen/v1.ts";
import type { ProbeReport } from "../model/probe_report.ts";
import { describePod, type PodStory } from "./render/describe.ts";
import { describeStorage, type StorageStory } from "./render/storage.ts";
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

/** Of a claim or a volume. */
async function storageStory(
  path: string,
  namespace: string,
  name: string,
  client: ApiClient,
  io: Io,
): Promise<StorageStory> {
  const [objects, events, pods] = await Promise.all([
    client.get<{ items: StorageStory["object"][] }>(path, io.signal),
    client.get<{ items: Event[] }>("/events", io.signal),
    client.get<{ items: Pod[] }>("/pods", io.signal),
  ]);
  const object = objects.items.find(({ metadata }) =>
    metadata?.name === name && (metadata.namespace ?? namespace) === namespace
  );
  if (object === undefined) throw new CommandError(`${path.slice(1)} "${name}" not found`);
  return {
    object,
    events: events.items.filter(({ involvedObject: o }) =>
      o.kind === object.kind && o.name === name && (o.namespace ?? namespace) === namespace
    ),
    pods: pods.items,
    now: io.now(),
  };
}

const storagePaths: Record<string, string> = {
  persistentvolumeclaims: "/persistentvolumeclaims",
  persistentvolumes: "/persistentvolumes",
};

export const describe: Command = {
  name: "describe",
  summary: "Show everything known of a pod, a claim or a volume, with its events and problems",
  arguments: [
    { name: "KIND", required: true, complete: ["pod", "pvc", "pv"], summary: "pod, pvc or pv" },
    { name: "NAME", required: false, repeated: true, complete: "names" },
  ],
  flags: [namespaceFlag],
  examples: [{ does: "Why does it not start?", line: "agent describe pod web" }],
  async run(args, io) {
    const { resource, names } = parseTarget(args.positional);
    const storage = storagePaths[resource];
    if (resource !== "pods" && storage === undefined) {
      throw new UsageError(`expected one of pod, pvc, pv, found "${args.positional[0]}"`);
    }
    if (names.length === 0) throw new UsageError(`"agent describe ${args.positional[0]}" needs NAME`);
    const namespace = args.text("namespace") ?? "default";
    const client = createApiClient(socketPath(args, io));
    const paint = createPaint(wantsColour(io));
    try {
      for (const [i, name] of names.entries()) {
        const told = storage === undefined
          ? describePod(await storyOf(await findPod(client, namespace, name, io), client, io), paint)
          : describeStorage(await storageStory(storage, namespace, name, client, io), paint);
        await io.out((i > 0 ? "\n\n" : "") + told);
      }
      return 0;
    } finally {
      client.close();
    }
  },
};
