/** The pod that a path names, or why there is none. Not for: what is asked of it. */
import type { Context } from "hono";
import type { Pod } from "../model/gen/v1.ts";
import { isCalled } from "../model/mirror.ts";
import type { ObservedContainer } from "../model/observed.ts";
import type { Runtime } from "../ports.ts";
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

/** By its own name, or, of a static pod, by that of its mirror. */
export function findPod(store: StatusStore, namespace: string, name: string): Pod | undefined {
  const there = store.pods().filter(({ metadata }) => metadata?.namespace === namespace);
  return there.find(({ metadata }) => metadata?.name === name) ??
    there.find((pod) => isCalled(pod, name, pod.spec?.nodeName ?? ""));
}

/** By the path's `ns` and `pod`. */
export function podOf(c: Context, store: StatusStore): Pod | Refusal {
  const { ns, pod: name } = c.req.param() as { ns: string; pod: string };
  return findPod(store, ns, name) ??
    { reason: "NotFound", message: `pods "${name}" not found in namespace "${ns}"` };
}

/** The newest attempt of a container that the runtime has of the pod. */
export async function newestAttempt(
  runtime: Pick<Runtime, "observe">,
  pod: Pod,
  container: string,
  signal: AbortSignal,
): Promise<ObservedContainer | undefined> {
  const [observed] = await runtime.observe(pod.metadata?.uid ?? "", signal);
  return observed?.containers.find(({ name }) => name === container);
}

/** Id of the pod's sandbox, if it is ready. */
export async function readySandbox(
  runtime: Pick<Runtime, "observe">,
  pod: Pod,
  signal: AbortSignal,
): Promise<string | undefined> {
  const [observed] = await runtime.observe(pod.metadata?.uid ?? "", signal);
  return observed?.sandboxes.find((sandbox) => sandbox.ready)?.id;
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
