/** `agent delete`: takes objects out of the manifest directory; the agent ends the pods. */
import { type Kind, objectKey } from "../model/objects.ts";
import type { PodList } from "../model/gen/v1.ts";
import { sourceOf } from "../model/wish.ts";
import { type ApiClient, createApiClient } from "./client.ts";
import { type Command, type ParsedArgs, UsageError } from "./command.ts";
import { namespaceFlag, parseTarget } from "./get.ts";
import { type Io, socketPath } from "./io.ts";
import { planDelete } from "./manifest_plan.ts";
import { applyPlan, manifestDirectory, readDirectory, readInput } from "./manifests.ts";
import { deletedObject, waitFlags, waitFor, waitMs } from "./wait.ts";

const kinds: Record<string, Kind> = {
  pods: "Pod",
  configmaps: "ConfigMap",
  secrets: "Secret",
  runtimeclasses: "RuntimeClass",
  persistentvolumeclaims: "PersistentVolumeClaim",
  persistentvolumes: "PersistentVolume",
  storageclasses: "StorageClass",
  csidrivers: "CSIDriver",
};
const kindNames = ["pod", "configmap", "secret", "runtimeclass", "pvc", "pv", "storageclass", "csidriver"];

/** What can be waited for, in this order. */
const ends = [
  { path: "/pods", kind: "Pod" },
  { path: "/persistentvolumeclaims", kind: "PersistentVolumeClaim" },
];

/** `Pod default/web` for each object that is meant. */
async function wantedKeys(args: ParsedArgs, io: Io): Promise<string[]> {
  const paths = args.texts("filename");
  if (paths.length > 0) {
    if (args.positional.length > 0) throw new UsageError("expected either names or -f FILE, found both");
    const { documents } = await readInput(paths, io);
    return documents.flatMap((document) => [...document.objects.keys()]);
  }
  const { resource, names } = parseTarget(args.positional);
  if (names.length === 0) throw new UsageError(`"agent delete" needs what to delete: pod NAME, or -f FILE`);
  const kind = kinds[resource];
  if (kind === undefined) {
    throw new UsageError(`expected one of ${kindNames.join(", ")}, found "${args.positional[0]}"`);
  }
  const namespace = args.text("namespace") ?? "default";
  return names.map((name) => `${kind} ${objectKey(kind, { name, namespace })}`);
}

/** What the API server of the node's cluster runs here is deleted there. */
async function podsOfCluster(client: ApiClient, io: Io): Promise<Map<string, string>> {
  const { items } = await client.get<PodList>("/pods", io.signal);
  const own = items.filter((pod) => sourceOf(pod) === "api");
  return new Map(own.map((pod) => {
    const { namespace, name } = pod.metadata ?? {};
    const key = `Pod ${namespace}/${name}`;
    return [key, `${key} is the cluster's: delete it there, with kubectl delete pod -n ${namespace} ${name}`];
  }));
}

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const client = createApiClient(socketPath(args, io));
  try {
    const keys = await wantedKeys(args, io);
    const directory = await manifestDirectory(client, io);
    const plan = planDelete(await readDirectory(directory, io), keys, await podsOfCluster(client, io));
    await applyPlan(plan, args.is("dry-run"), io);
    if (!args.is("wait") || args.is("dry-run")) return 0;
    // A claim stays as long as a pod has it.
    for (const { path, kind } of ends) {
      const of = keys.filter((key) => key.startsWith(`${kind} `)).map((key) => key.slice(kind.length + 1));
      const objects = new Map(of.map((key) => [key, deletedObject]));
      if (objects.size > 0) {
        await waitFor({ objects, of: { path, kind }, timeoutMs: waitMs(args) }, client, io);
      }
    }
    return 0;
  } finally {
    client.close();
  }
}

export const deleteCommand: Command = {
  name: "delete",
  summary: "Take objects out of the manifest directory; their pods end gracefully",
  arguments: [
    {
      name: "KIND",
      required: false,
      complete: kindNames,
      summary: kindNames.join(", "),
    },
    { name: "NAME", required: false, repeated: true, complete: "names" },
  ],
  flags: [
    namespaceFlag,
    {
      name: "filename",
      short: "f",
      kind: "text",
      placeholder: "FILE",
      summary: "the objects that this file describes; may be repeated",
      complete: "files",
      repeated: true,
    },
    ...waitFlags("until the pods and claims are gone"),
    { name: "dry-run", kind: "boolean", summary: "only say what would be done" },
  ],
  examples: [
    { does: "End a pod and wait until it is gone", line: "agent delete pod web --wait" },
    { does: "Everything a file brought", line: "agent delete -f web.yaml" },
  ],
  run,
};
