/**
 * Notices that an API server answers, whatever it says, and that it does so again after a silence. Not for: what is asked,
 * nor how long it may be silent (silence.ts).
 */
import { createListeners } from "../../lib/listeners.ts";
import type { Api } from "../client/api.ts";
import { ApiError } from "../client/api_error.ts";

export function heardApi(api: Api, heard: () => void): Api {
  const back = createListeners<void>();
  /** Requests go unanswered: the server, or what stands before it, has nobody who answers. */
  let isSilent = false;
  const answered = () => {
    heard();
    if (!isSilent) return;
    isSilent = false;
    back.tell();
  };
  const refused = (error: unknown) => {
    if (!(error instanceof ApiError) || error.code === 0) return;
    if (error.code < 500) answered();
    else heard();
  };
  return {
    ...api,
    back,
    async ask(asked) {
      try {
        const answer = await api.ask(asked);
        answered();
        return answer;
      } catch (error) {
        refused(error);
        // A watch alone may be cut off for reasons of its own.
        if (error instanceof ApiError && (error.code === 0 || error.code >= 500)) isSilent = true;
        throw error;
      }
    },
    async watch(watched, take) {
      const opened = () => {
        answered();
        watched.opened?.();
      };
      const taken = (event: unknown) => {
        heard();
        take(event);
      };
      try {
        await api.watch({ ...watched, opened }, taken);
      } catch (error) {
        refused(error);
        throw error;
      }
    },
  };
}
