/** The pods of the bench: one small container each that ends when it is asked to. Not for: what is measured of them. */
import type { Pod } from "../../agent/model/gen/v1.ts";

export const IMAGE = "localhost/agent/demo:1";
export const CONTAINER = "main";
export const COMMAND = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 1000 & wait; done"];

export interface BenchPod {
  name: string;
  uid: string;
  spec: Pod;
}

/** Names never come twice: a peer may not profit from what an earlier pod left. */
export function createPods(prefix: string, count: number): BenchPod[] {
  return Array.from({ length: count }, (_, i) => {
    const name = `${prefix}-${i}-${crypto.randomUUID().slice(0, 8)}`;
    const spec: Pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: "default" },
      spec: {
        restartPolicy: "Always",
        terminationGracePeriodSeconds: 10,
        containers: [{ name: CONTAINER, image: IMAGE, imagePullPolicy: "IfNotPresent", command: COMMAND }],
      },
    };
    return { name, uid: crypto.randomUUID(), spec };
  });
}
