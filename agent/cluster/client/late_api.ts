/**
 * An Api that can be given to others before it is known where its server is, or who asks. Not for: finding that out
 * (identity/).
 */
import { aborted } from "../../lib/pause.ts";
import type { Api } from "./api.ts";
import { ApiError } from "./api_error.ts";

export interface LateApi extends Api {
  /** From now on it is this one; the one before is closed, and watches on it break. */
  use(api: Api): void;
  /** Why there is none yet: what requests are answered with. */
  lacks(why: string): void;
}

/** Requests fail while there is nobody to ask; watches wait. */
export function createLateApi(): LateApi {
  let inner: Api | undefined;
  let why = "the API server is not known yet";
  let arrived = Promise.withResolvers<void>();
  return {
    use(api) {
      inner?.close();
      inner = api;
      arrived.resolve();
    },
    lacks(reason) {
      inner?.close();
      if (inner !== undefined) arrived = Promise.withResolvers();
      inner = undefined;
      why = reason;
    },
    async ask(asked) {
      if (inner === undefined) throw new ApiError(0, "Unauthorized", why);
      return await inner.ask(asked);
    },
    async watch(asked, take) {
      const leaving = new AbortController();
      const { signal } = asked;
      while (inner === undefined && !signal.aborted) {
        await Promise.race([arrived.promise, aborted(AbortSignal.any([signal, leaving.signal]))]);
      }
      leaving.abort();
      if (!signal.aborted) await inner!.watch(asked, take);
    },
    close: () => inner?.close(),
  };
}
