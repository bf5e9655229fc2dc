/**
 * /containerLogs of the kubelet's API, in its words. Source: pkg/kubelet/server/server.go (getContainerLogs),
 * pkg/kubelet/kubelet_pods.go. Not for: reading logs (api/logs.ts), what a query means (model/pod_log_query.ts).
 */
import type { ContainerState, Pod } from "../../model/gen/v1.ts";
import { parsePodLogQuery } from "../../model/pod_log_query.ts";
import type { StatusStore } from "../../status_store.ts";
import { containerStatus, findLog, logBody, type PodLogs } from "../logs.ts";
import { containerNames, findPod } from "../lookup.ts";
import { type KubeletRequest, type Route, text } from "./routes.ts";

export interface LogRoutes {
  store: StatusStore;
  logs: PodLogs;
  /** Milliseconds since the epoch. */
  now(): number;
}

export const logRoutes = (o: LogRoutes): Route[] => [{
  methods: ["GET"],
  path: "/containerLogs/:namespace/:pod/:container",
  answer: (request) => containerLogs(o, request),
}];

async function containerLogs(o: LogRoutes, { params, query, signal }: KubeletRequest): Promise<Response> {
  const { namespace = "", pod: name = "", container = "" } = params;
  const options = parsePodLogQuery(query, o.now());
  if ("status" in options) return text(options.status, options.message);
  const pod = findPod(o.store, namespace, name);
  if (pod === undefined) return text(404, `pod "${name}" does not exist`);
  if (!containerNames(pod).includes(container)) {
    return text(404, `container "${container}" not found in pod "${name}"`);
  }
  const { files, directory } = o.logs;
  const found = await findLog(files, directory, pod, container, options.previous);
  if ("reason" in found) return text(400, whyNone(pod, container, options.previous) ?? found.message);
  const body = logBody({ ...o, signal }, pod, container, found, options);
  return new Response(body, { headers: { "content-type": "text/plain; charset=utf-8" } });
}

const waiting: Readonly<Record<string, string>> = {
  ErrImagePull: "image can't be pulled",
  ImagePullBackOff: "trying and failing to pull image",
};

/** Why there is no log, where the kubelet has words of its own for it. */
function whyNone(pod: Pod, container: string, previous: boolean): string | undefined {
  if (previous) return undefined;
  const status = containerStatus(pod, container);
  const where = `container "${container}" in pod "${pod.metadata?.name}"`;
  if (status === undefined) return `${where} is not available`;
  const state: ContainerState = status.state ?? {};
  const reason = state.waiting?.reason ?? "";
  return Object.hasOwn(waiting, reason) ? `${where} is waiting to start: ${waiting[reason]}` : undefined;
}
