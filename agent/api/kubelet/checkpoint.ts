/** /checkpoint: a running container's state as a file on the node. Source: pkg/kubelet/server, checkpoint. */
import { errorText } from "../../model/errors.ts";
import type { Pod } from "../../model/gen/v1.ts";
import { containerNames } from "../lookup.ts";
import { json, type KubeletRequest, type Route, text } from "./routes.ts";

export interface CheckpointOptions {
  pod(namespace: string, name: string): Pod | undefined;
  /**
   * Where the file is. `undefined`: the container does not run. Throws where the runtime cannot.
   * @param timeoutSeconds 0: the runtime's own limit.
   */
  checkpoint(
    pod: Pod,
    container: string,
    timeoutSeconds: number,
    signal: AbortSignal,
  ): Promise<string | undefined>;
}

export const checkpointRoute = (o: CheckpointOptions): Route => ({
  methods: ["POST"],
  path: "/checkpoint/:namespace/:pod/:container",
  answer: (request) => answer(o, request),
});

async function answer(o: CheckpointOptions, { params, query, signal }: KubeletRequest): Promise<Response> {
  const { namespace = "", pod: name = "", container = "" } = params;
  const pod = o.pod(namespace, name);
  if (pod === undefined) return text(404, "pod does not exist");
  if (!containerNames(pod).includes(container)) return text(404, `container ${container} does not exist`);
  const timeout = query.getAll("timeout").at(-1) ?? "0";
  if (!/^\d{1,9}$/.test(timeout)) return text(404, "cannot parse value of timeout parameter");
  const failed = (why: string) =>
    text(500, `checkpointing of ${namespace}/${name}/${container} failed (${why})`);
  try {
    const location = await o.checkpoint(pod, container, Number(timeout), signal);
    return location === undefined ? failed("the container is not running") : json({ items: [location] });
  } catch (error) {
    return failed(errorText(error));
  }
}
