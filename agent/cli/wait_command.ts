/** `agent wait`: until pods, claims or other objects are as asked for, as kubectl wait. Not for: the waiting itself (wait.ts). */
import type { Pod } from "../model/gen/v1.ts";
import { podKey } from "../model/wish.ts";
import { type ApiClient, createApiClient } from "./client.ts";
import { type Command, CommandError, type ParsedArgs, UsageError } from "./command.ts";
import { findPod } from "./describe.ts";
import { namedResource, namespaceFlag, parseTarget, resourceNames } from "./get.ts";
import { type Io, socketPath } from "./io.ts";
import { nameOf } from "./output.ts";
import { podStatusText, readyText } from "./render/pods.ts";
import { parseSelector, selectorFlag } from "./selector.ts";
import { type Judge, waitFor } from "./wait.ts";

export interface WaitedFor {
  fits(pod: Pod | undefined): boolean;
  /** Whether the pod has to be there when it is begun to be waited for. */
  present: boolean;
}

/** The value at `.status.containerStatuses[0].ready` in a JSON value. */
function valueAt(value: unknown, path: string): unknown {
  const keys = path.replace(/\[(\d+)\]/g, ".$1").split(".").filter((key) => key !== "");
  return keys.reduce<unknown>(
    (at, key) => typeof at === "object" && at !== null ? (at as Record<string, unknown>)[key] : undefined,
    value,
  );
}

/** `condition=Ready`, `condition=Ready=False`, `delete`, `create`, `jsonpath={.status.phase}=Running`. Throws UsageError. */
export function parseWaitedFor(word: string): WaitedFor {
  if (word === "delete") return { fits: (pod) => pod === undefined, present: false };
  if (word === "create") return { fits: (pod) => pod !== undefined, present: false };
  const [, type, status = "true"] = /^condition=([^=]+)(?:=(.+))?$/.exec(word) ?? [];
  if (type !== undefined) {
    const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();
    const fits = (pod: Pod | undefined) =>
      pod?.status?.conditions?.some((c) => same(c.type, type) && same(c.status, status)) ?? false;
    return { fits, present: true };
  }
  const [, path, value] = /^jsonpath=\{?((?:\.[\w-]+|\[\d+\])+)\}?(?:=(.+))?$/.exec(word) ?? [];
  if (path !== undefined) {
    const fits = (pod: Pod | undefined) => {
      const found = valueAt(pod, path);
      return found !== undefined && (value === undefined || String(found) === value);
    };
    return { fits, present: true };
  }
  throw new UsageError(
    `--for: expected condition=NAME[=STATUS], jsonpath={.PATH}[=VALUE], create or delete, found "${word}"`,
  );
}

const judgeBy = ({ fits }: WaitedFor, kind: string): Judge => (seen) => ({
  state: fits(seen) ? "done" : "waiting",
  text: seen === undefined ? "gone" : podStatusText(seen) + (kind === "Pod" ? ` ${readyText(seen)}` : ""),
});

const waitable = resourceNames.filter((name) => namedResource(name) !== undefined);

/** Devices have names with slashes. */
const nameIn = (key: string) => key.slice(key.indexOf("/") + 1);

async function requireAll(
  names: readonly string[],
  items: readonly Pod[],
  namespace: string,
  resource: string,
  client: ApiClient,
  io: Io,
): Promise<void> {
  for (const name of names) {
    if (resource === "pods") await findPod(client, namespace, name, io);
    else if (!items.some(({ metadata: m }) => m?.name === name && (m.namespace ?? namespace) === namespace)) {
      throw new CommandError(`${resource} "${name}" not found`);
    }
  }
}

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const waited = parseWaitedFor(args.text("for") ?? "");
  const namespace = args.text("namespace") ?? "default";
  const { resource, names } = parseTarget(args.positional);
  const of = namedResource(resource);
  if (of === undefined) {
    throw new UsageError(`expected one of ${waitable.join(", ")}, found "${args.positional[0]}"`);
  }
  const selector = args.text("selector");
  if ((names.length === 0) === (selector === undefined)) {
    throw new UsageError(`"agent wait ${args.positional[0]}" needs NAME or --selector LABELS`);
  }
  const client = createApiClient(socketPath(args, io));
  try {
    const { items } = await client.get<{ items: Pod[] }>(of.path, io.signal);
    if (waited.present) await requireAll(names, items, namespace, resource, client, io);
    const fits = selector === undefined ? () => false : parseSelector(selector);
    const chosen = items.filter((pod) =>
      (pod.metadata?.namespace ?? namespace) === namespace && fits(pod.metadata?.labels ?? {})
    );
    const place = of.namespaced ? namespace : "default";
    const keys = [...names.map((name) => `${place}/${name}`), ...chosen.map(podKey)];
    if (keys.length === 0) {
      await io.err("No resources found.\n");
      return waited.present ? 1 : 0;
    }
    const timeoutMs = args.duration("timeout") ?? 30_000;
    const objects = new Map(keys.map((key) => [key, judgeBy(waited, of.kind)]));
    await waitFor({ objects, of, timeoutMs }, client, io);
    for (const key of keys) await io.out(`${nameOf(of.kind, nameIn(key))} condition met\n`);
    return 0;
  } finally {
    client.close();
  }
}

export const waitCommand: Command = {
  name: "wait",
  summary: "Wait until pods, or claims and whatever else there is, are ready, gone, or as a condition says",
  arguments: [
    { name: "RESOURCE", required: true, complete: waitable, summary: waitable.join(", ") },
    { name: "NAME", required: false, repeated: true, complete: "names" },
  ],
  flags: [
    {
      name: "for",
      kind: "text",
      placeholder: "CONDITION",
      summary: "condition=NAME[=STATUS], jsonpath={.PATH}[=VALUE], create or delete",
      complete: ["condition=Ready", "delete", "create"],
    },
    namespaceFlag,
    selectorFlag,
    { name: "timeout", kind: "duration", placeholder: "30s", summary: "how long (default 30s)" },
  ],
  examples: [
    { does: "Until it serves", line: "agent wait pod web --for condition=Ready --timeout 2m" },
    {
      does: "Until a claim has its volume",
      line: "agent wait pvc/data --for 'jsonpath={.status.phase}=Bound'",
    },
    { does: "Until a job is done", line: "agent wait pod/job --for 'jsonpath={.status.phase}=Succeeded'" },
  ],
  run,
};
