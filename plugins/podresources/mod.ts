/**
 * The socket at which exporters and operators ask which container has which devices and CPUs: pod resources API v1, and of
 * v1alpha1 what old exporters call. Not for: knowing it (agent/model/pod_resources.ts).
 *
 * Source: k8s.io/kubelet/pkg/apis/podresources; kubernetes pkg/kubelet/apis/podresources (limits, metrics).
 */
import { join } from "@std/path";
import type { Metrics } from "../../agent/lib/metrics.ts";
import type { ContainerUse, DeviceUse, PodUse } from "../../agent/model/pod_resources.ts";
import type { Host } from "../../agent/ports.ts";
import { PodResourcesListerDefinition as v1 } from "../rpc/gen/podresources.ts";
import { bindService, type BoundService, Code, RpcError, serve } from "../rpc/mod.ts";

export interface PodResourcesOptions {
  host: Host;
  /** `ROOT/pod-resources`. */
  directory: string;
  metrics: Metrics;
  /** Of the pods that have not ended. */
  pods(): readonly PodUse[];
  allocatable(): Omit<ContainerUse, "name">;
}

const socketName = "kubelet.sock";
const callsPerSecond = 100;
const burst = 10;

/** Serves until the signal aborts. Throws when another one serves there. */
export async function runPodResources(o: PodResourcesOptions, signal: AbortSignal): Promise<void> {
  await o.host.mkdir(o.directory, 0o750);
  const services = createPodResources(o);
  const server = await serve(join(o.directory, socketName), services, { signal, maxMessageBytes: 64 * 1024 });
  await server.finished;
}

/** All services share one budget of calls, as those of the kubelet do. */
export function createPodResources(o: Omit<PodResourcesOptions, "directory">): BoundService[] {
  const limit = createLimit(() => o.host.monotonic());
  const counted = <T>(version: string, method: string, answer: () => T): Promise<T> => {
    count(o.metrics, "requests_total", { server_api_version: version });
    count(o.metrics, `requests_${method}`, { server_api_version: version });
    try {
      if (!limit()) throw new RpcError(Code.RESOURCE_EXHAUSTED, "rejected by rate limit");
      return Promise.resolve(answer());
    } catch (error) {
      count(o.metrics, `requests_errors_${method}`, { server_api_version: version });
      throw error;
    }
  };
  const all = () => ({ podResources: o.pods().map(toPod) });
  const old = { fullName: "v1alpha1.PodResourcesLister", methods: { list: v1.methods.list } } as const;
  return [
    bindService(v1, {
      list: () => counted("v1", "list", all),
      getAllocatableResources: () => counted("v1", "get_allocatable", () => toResources(o.allocatable())),
      get: ({ podName, podNamespace }) =>
        counted("v1", "get", () => {
          const pod = o.pods().find((p) => p.name === podName && p.namespace === podNamespace);
          if (pod !== undefined) return { podResources: toPod(pod) };
          throw new RpcError(Code.NOT_FOUND, `pod ${podName} in namespace ${podNamespace} not found`);
        }),
    }),
    bindService(old, { list: () => counted("v1alpha1", "list", all) }),
  ];
}

const count = (metrics: Metrics, name: string, labels: Record<string, string>) =>
  metrics.counter(`kubelet_pod_resources_endpoint_${name}`, "Calls to the pod resources API.").inc(labels);

const toPod = ({ name, namespace, containers }: PodUse) => ({
  name,
  namespace,
  containers: containers.map((c) => ({ name: c.name, ...toResources(c) })),
});

const toResources = ({ devices, cpus }: Omit<ContainerUse, "name">) => ({
  devices: devices.map(toDevice),
  cpuIds: cpus.map(BigInt),
});

const toDevice = ({ resource, id, nodes }: DeviceUse) => ({
  resourceName: resource,
  deviceIds: [id],
  ...(nodes.length === 0 ? {} : { topology: { nodes: nodes.map((node) => ({ ID: BigInt(node) })) } }),
});

/** Whether one more call is within the limit; `now` in ms. */
function createLimit(now: () => number): () => boolean {
  let [tokens, at] = [burst, now()];
  return () => {
    const time = now();
    tokens = Math.min(burst, tokens + ((time - at) * callsPerSecond) / 1000);
    at = time;
    if (tokens < 1) return false;
    tokens--;
    return true;
  };
}
