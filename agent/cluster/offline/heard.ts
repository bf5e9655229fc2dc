/** Notices that an API server answers, whatever it says. Not for: what is asked. */
import type { Api } from "../client/api.ts";
import { ApiError } from "../client/api_error.ts";

export function heardApi(api: Api, heard: () => void): Api {
  const noticed = <T>(error: T): T => {
    if (error instanceof ApiError && error.code !== 0) heard();
    return error;
  };
  return {
    ...api,
    async ask(asked) {
      try {
        const answer = await api.ask(asked);
        heard();
        return answer;
      } catch (error) {
        throw noticed(error);
      }
    },
    async watch(watched, take) {
      const opened = () => {
        heard();
        watched.opened?.();
      };
      const taken = (event: unknown) => {
        heard();
        take(event);
      };
      try {
        await api.watch({ ...watched, opened }, taken);
      } catch (error) {
        throw noticed(error);
      }
    },
  };
}
