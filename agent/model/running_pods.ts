/** The kubelet's /runningpods/: what the runtime runs, in the little that it knows of it. Pure. Source: kubecontainer.Pod.ToAPIPod. */
import type { Pod } from "./gen/v1.ts";
import type { ObservedPod } from "./observed.ts";

export const runningPods = (observed: readonly ObservedPod[]): Pod[] =>
  observed.flatMap(({ uid, namespace, name, sandboxes, containers }): Pod[] => {
    const running = containers.filter((c) => c.state === "running");
    if (running.length === 0 && !sandboxes.some((s) => s.ready)) return [];
    return [{
      metadata: { name, namespace, uid },
      spec: { containers: running.map((c) => ({ name: c.name, image: c.image, resources: {} })) },
      status: {},
    }];
  });
