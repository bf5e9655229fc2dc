/** Ports of the node that pods claim, and which claims exclude each other. Pure. Not for: opening them (the runtime does). */
import type { Pod } from "./gen/v1.ts";

export interface HostPort {
  /** `8080/TCP`. */
  port: string;
  hostIP: string;
  /** `spec.containers[0].ports[1].hostPort`. */
  field: string;
}

/** Of everything that lives as long as the pod. */
export function hostPortsOf(pod: Pod): HostPort[] {
  return (["initContainers", "containers"] as const).flatMap((kind) =>
    (pod.spec?.[kind] ?? []).flatMap((container, i) =>
      kind === "initContainers" && container.restartPolicy !== "Always"
        ? []
        : (container.ports ?? []).flatMap(({ hostPort, hostIP = "", protocol = "TCP" }, j) =>
          hostPort
            ? [{ port: `${hostPort}/${protocol}`, hostIP, field: `spec.${kind}[${i}].ports[${j}].hostPort` }]
            : []
        )
    )
  );
}

const everywhere = new Set(["", "0.0.0.0", "::"]);

export const exclude = (a: HostPort, b: HostPort): boolean =>
  a.port === b.port && (everywhere.has(a.hostIP) || everywhere.has(b.hostIP) || a.hostIP === b.hostIP);

export const isSame = (a: HostPort, b: HostPort): boolean => a.port === b.port && a.hostIP === b.hostIP;
