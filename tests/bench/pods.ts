/** The pods of the bench: one small container each that ends when it is asked to. Not for: what is measured of them. */
import type { Container, Pod } from "../../agent/model/gen/v1.ts";

export const IMAGE = "localhost/agent/demo:1";
/** For who rotates logs: they are to be one file for as long as the bench lasts. */
export const LOG_LIMIT = { containerLogMaxSize: "1Gi" };
export const ONE_LOG_FILE = JSON.stringify({
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  ...LOG_LIMIT,
});
export const CONTAINER = "main";
export const COMMAND = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 1000 & wait; done"];

export interface BenchPod {
  name: string;
  uid: string;
  spec: Pod;
}

/** With a web server, and the three probes: a command, then a connection and a request each ten seconds. */
export const PROBED: Partial<Container> = {
  command: ["sh", "-c", `mkdir /www; echo fine > /www/index.html; httpd -p 8080 -h /www; ${COMMAND[2]}`],
  startupProbe: { exec: { command: ["true"] }, periodSeconds: 1 },
  livenessProbe: { tcpSocket: { port: 8080 } },
  readinessProbe: { httpGet: { port: 8080, path: "/" } },
};

/** Names never come twice: a peer may not profit from what an earlier pod left. */
export function createPods(prefix: string, count: number, more: Partial<Container> = {}): BenchPod[] {
  return Array.from({ length: count }, (_, i) => {
    const name = `${prefix}-${i}-${crypto.randomUUID().slice(0, 8)}`;
    const spec: Pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: "default" },
      spec: {
        restartPolicy: "Always",
        terminationGracePeriodSeconds: 10,
        containers: [{
          name: CONTAINER,
          image: IMAGE,
          imagePullPolicy: "IfNotPresent",
          command: COMMAND,
          ...more,
        }],
      },
    };
    return { name, uid: crypto.randomUUID(), spec };
  });
}
