/** The agent's own client, connected to the double. */
import { type Api, type ApiOptions, createApi } from "../../../../agent/cluster/client/api.ts";
import { createConnection, type Identity } from "../../../../agent/cluster/client/client.ts";
import type { Cluster } from "../../../fakes/cluster/cluster.ts";

export const administrator = { commonName: "admin", organizations: ["system:masters"] };

export async function identityOf(cluster: Cluster, subject = administrator): Promise<Identity> {
  const { cert, key } = await cluster.client(subject);
  return { certificate: cert, key };
}

export const fixed = (identity: Identity) => ({
  identity: () => Promise.resolve(identity),
  refused: () => {},
});

export async function connected(
  cluster: Cluster,
  options: Partial<ApiOptions> & { subject?: typeof administrator } = {},
): Promise<Api & Disposable> {
  const api = createApi({
    connection: createConnection({ server: cluster.url, ca: cluster.ca }),
    credentials: fixed(await identityOf(cluster, options.subject)),
    ...options,
  });
  return { ...api, [Symbol.dispose]: () => api.close() };
}

export const never = (): AbortSignal => new AbortController().signal;
