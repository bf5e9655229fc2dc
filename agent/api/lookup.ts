/** The pod that a path names, or why there is none. Not for: what is asked of it. */
import type { Context } from "hono";
import type { Pod } from "../model/gen/v1.ts";
import type { StatusStore } from "../status_store.ts";
import { statusOf, type StatusReason } from "./v1.ts";

export interface Refusal {
  reason: StatusReason;
  message: string;
}

export const isRefusal = (value: object): value is Refusal => "reason" in value && "message" in value;

/** Answers with a v1 Status. */
export function refuse(c: Context, { reason, message }: Refusal): Response {
  const status = statusOf(reason, message);
  return c.json(status, status.code);
}

/** By the path's `ns` and `pod`. */
export function podOf(c: Context, store: StatusStore): Pod | Refusal {
  const { ns, pod: name } = c.req.param() as { ns: string; pod: string };
  return store.pods().find((p) => p.metadata?.namespace === ns && p.metadata.name === name) ??
    { reason: "NotFound", message: `pods "${name}" not found in namespace "${ns}"` };
}

/** Names of all containers of a pod, of these kinds. */
export function containerNames(
  pod: Pod,
  kinds: readonly ("initContainers" | "containers" | "ephemeralContainers")[] = [
    "initContainers",
    "containers",
    "ephemeralContainers",
  ],
): string[] {
  return kinds.flatMap((kind) => (pod.spec?.[kind] ?? []).map((container) => container.name));
}

export function noSuchContainer(pod: Pod, name: string, known: readonly string[]): Refusal {
  const where = `pod ${pod.metadata?.namespace}/${pod.metadata?.name}`;
  return { reason: "NotFound", message: `container ${name} is not in ${where}; it has: ${known.join(", ")}` };
}
