/** This node's Node as the API server has it, for all who ask. Not for: changing it. */
import type { Listeners } from "../../lib/listeners.ts";
import { createListeners } from "../../lib/listeners.ts";
import type { Log } from "../../lib/log.ts";
import type { Node } from "../../model/gen/v1.ts";
import type { Api } from "../client/api.ts";
import type { ApiError } from "../client/api_error.ts";
import { watchObjects } from "../client/watch_objects.ts";

export interface OwnNode {
  /** As it was seen last; `undefined`: there is none, or nobody has looked yet. */
  get(): Node | undefined;
  set(node: Node | undefined): void;
  changes: Listeners<Node | undefined>;
  /** Why the API server does not answer; `undefined`: it does. */
  trouble(): ApiError | undefined;
  setTrouble(error: ApiError | undefined): void;
}

export function createOwnNode(): OwnNode {
  let node: Node | undefined;
  let trouble: ApiError | undefined;
  const changes = createListeners<Node | undefined>();
  return {
    get: () => node,
    set(value) {
      if (node === value) return;
      node = value;
      changes.tell(node);
    },
    changes,
    trouble: () => trouble,
    setTrouble(error) {
      if (trouble?.message === error?.message) return;
      trouble = error;
      changes.tell(node);
    },
  };
}

export const nodePath = (name: string): string => `/api/v1/nodes/${encodeURIComponent(name)}`;

/** Never rejects; ends with the signal. */
export async function watchOwnNode(
  o: { api: Api; nodeName: string; own: OwnNode; log: Log },
  signal: AbortSignal,
): Promise<void> {
  await watchObjects<Node>({
    api: o.api,
    path: "/api/v1/nodes",
    query: { fieldSelector: `metadata.name=${o.nodeName}` },
    log: o.log,
    changed: (_keys, objects) => o.own.set(objects.get(o.nodeName)),
    troubled: (error) => o.own.setTrouble(error),
  }, signal);
}
