/** The end of a pod at the API server, once nothing of it is left here. Not for: pods that still run. */
import type { Pod } from "../../model/gen/v1.ts";
import type { Api } from "../client/api.ts";
import { isReason } from "../client/api_error.ts";

export const pathOfPod = ({ metadata }: Pod): string =>
  `/api/v1/namespaces/${encodeURIComponent(metadata?.namespace ?? "")}/pods/${
    encodeURIComponent(metadata?.name ?? "")
  }`;

/** This very pod, at once; one that is gone already is no failure. `deadline` in ms. @throws {ApiError} */
export async function deletePod(api: Api, pod: Pod, deadline: number, signal: AbortSignal): Promise<void> {
  const preconditions = { uid: pod.metadata?.uid };
  const body = { kind: "DeleteOptions", apiVersion: "v1", gracePeriodSeconds: 0, preconditions };
  try {
    await api.ask({ method: "DELETE", path: pathOfPod(pod), body, deadline, signal });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}
