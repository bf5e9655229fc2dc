/**
 * Gives pods with users of their own a range of the host's ids that no other pod has. What is taken the sandboxes tell,
 * so that nothing is forgotten with the agent. Not for: the arithmetic (model/user_namespace.ts).
 */
import { AgentError } from "../model/errors.ts";
import { freeRange, type IdPool, type IdRange } from "../model/user_namespace.ts";
import type { Runtime } from "../ports.ts";

export interface UserNamespaces {
  /**
   * Makes a sandbox with a range: the one that the pod's last sandbox had, else a free one, which nobody else is given
   * meanwhile. Throws CreatePodSandboxError when there is none.
   */
  withRange<T>(uid: string, make: (range: IdRange) => Promise<T>, signal: AbortSignal): Promise<T>;
}

export interface UserNamespacesOptions {
  runtime: Pick<Runtime, "observe">;
  pool(): Promise<IdPool | { error: string }>;
}

export function createUserNamespaces(o: UserNamespacesOptions): UserNamespaces {
  /** Of sandboxes in the making, by pod. */
  const promised = new Map<string, IdRange>();
  let turn: Promise<unknown> = Promise.resolve();

  const choose = async (uid: string, signal: AbortSignal): Promise<IdRange> => {
    const pods = await o.runtime.observe(undefined, signal);
    const own = pods.find((p) => p.uid === uid)?.sandboxes.find((s) => s.userNamespace !== undefined);
    if (own?.userNamespace !== undefined) return own.userNamespace;
    const pool = await o.pool();
    if ("error" in pool) {
      throw new AgentError("CreatePodSandboxError", `create user namespace: ${pool.error}`);
    }
    const taken = pods.flatMap((p) => p.sandboxes.flatMap((s) => s.userNamespace ?? []));
    const range = freeRange(pool, [...taken, ...promised.values()]);
    if (range !== undefined) return range;
    const count = pool.length / pool.perPod;
    throw new AgentError(
      "CreatePodSandboxError",
      `create user namespace: could not find an empty slot to allocate a user namespace: all ${count} are taken`,
    );
  };

  /** One after the other, so that no two pods find the same range free. */
  const promise = async (uid: string, signal: AbortSignal): Promise<IdRange> => {
    const before = turn;
    const chosen = (async () => {
      await before.catch(() => {});
      const range = await choose(uid, signal);
      promised.set(uid, range);
      return range;
    })();
    turn = chosen;
    return await chosen;
  };

  return {
    async withRange(uid, make, signal) {
      const range = await promise(uid, signal);
      try {
        return await make(range);
      } finally {
        promised.delete(uid);
      }
    },
  };
}
