/** Waits until the cluster takes this node for Ready. Not for: making it so. */
import { createApi } from "../../cluster/client/api.ts";
import { createConnection } from "../../cluster/client/client.ts";
import { createCredentials } from "../../cluster/client/credentials.ts";
import { trustOf } from "../../cluster/client/trust.ts";
import { watchObjects } from "../../cluster/client/watch_objects.ts";
import { readKubeconfig } from "../../cluster/identity/identity_facts.ts";
import type { Log } from "../../lib/log.ts";
import type { Node } from "../../model/gen/v1.ts";
import { errorText } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";

export interface ReadyWait {
  host: Host;
  log: Log;
  kubeconfig: string;
  nodeName: string;
  /** In ms. */
  patience: number;
  say(message: string): void;
}

/** Whether it is Ready in time, and how it stands. */
export async function waitUntilReady(
  o: ReadyWait,
  signal: AbortSignal,
): Promise<{ ready: boolean; stands: string }> {
  const { host, log, nodeName, say } = o;
  const { kubeconfig, wrong } = await readKubeconfig(host, o.kubeconfig);
  if (kubeconfig === undefined) throw new Error(wrong ?? `${o.kubeconfig} does not exist`);
  const api = createApi({
    connection: createConnection(await trustOf(host, kubeconfig)),
    credentials: createCredentials(host, kubeconfig),
  });
  const found = new AbortController();
  let stands = "it has not registered yet";
  const stand = (text: string) => {
    if (text !== stands) say(`node ${nodeName}: ${text}`);
    stands = text;
  };
  say(`node ${nodeName}: ${stands}`);
  const late = AbortSignal.timeout(o.patience);
  await watchObjects<Node>({
    api,
    path: "/api/v1/nodes",
    query: { fieldSelector: `metadata.name=${nodeName}` },
    log,
    changed(_keys, objects) {
      const node = objects.get(nodeName);
      const condition = node?.status?.conditions?.find((c) => c.type === "Ready");
      if (condition?.status === "True") return found.abort();
      if (node === undefined) return;
      const why = [condition?.reason, condition?.message].filter((t) => t).join(": ");
      stand(`it is registered, and not Ready yet${why === "" ? "" : ` (${why})`}`);
    },
    troubled: (error) => error === undefined || say(`the API server does not answer: ${errorText(error)}`),
  }, AbortSignal.any([signal, found.signal, late]));
  api.close();
  signal.throwIfAborted();
  return { ready: found.signal.aborted, stands };
}
