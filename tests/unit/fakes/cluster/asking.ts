/** Asks the double as a plain HTTPS client, as one user. Not for: the agent's own client (agent/cluster). */
import type { Cluster } from "../../../fakes/cluster/cluster.ts";
import type { Json, Stored } from "../../../fakes/cluster/objects.ts";

export interface Reply {
  status: number;
  body: Stored & { items: Stored[]; message?: string; reason?: string; code?: number };
  headers: Headers;
}

export interface Asker extends Disposable {
  ask(method: string, path: string, body?: unknown, type?: string): Promise<Reply>;
  /** Lines of a watch as they come. */
  watch(path: string): AsyncGenerator<{ type: string; object: Stored }>;
}

type Who = { cert: string; key: string } | { token: string } | undefined;

export function asker(cluster: Cluster, who?: Who): Asker {
  const client = Deno.createHttpClient({
    caCerts: [cluster.ca],
    ...(who !== undefined && "cert" in who ? who : {}),
  });
  const headers: Record<string, string> = who !== undefined && "token" in who
    ? { authorization: `Bearer ${who.token}` }
    : {};
  return {
    async ask(method, path, body, type = "application/json") {
      const response = await fetch(cluster.url + path, {
        method,
        client,
        headers: { ...headers, ...(body === undefined ? {} : { "content-type": type }) },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = response.headers.get("content-type") === "application/json";
      return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
    },
    async *watch(path) {
      const response = await fetch(cluster.url + path, { client, headers });
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      try {
        for (;;) {
          const { value, done } = await reader.read();
          if (done) return;
          const lines = (rest + value).split("\n");
          rest = lines.pop()!;
          for (const line of lines) yield JSON.parse(line);
        }
      } finally {
        await reader.cancel().catch(() => {});
      }
    },
    [Symbol.dispose]: () => client.close(),
  };
}

const admin = { commonName: "admin", organizations: ["system:masters"] };
export const asAdmin = async (cluster: Cluster) => asker(cluster, await cluster.client(admin));
export const asNode = async (cluster: Cluster, name: string) =>
  asker(
    cluster,
    await cluster.client({ commonName: `system:node:${name}`, organizations: ["system:nodes"] }),
  );

export const pods = "/api/v1/namespaces/default/pods";
export const pod = (name: string, spec: Json = {}, metadata: Json = {}) => ({
  metadata: { name, ...metadata },
  spec: { containers: [{ name: "c", image: "i:1" }], ...spec },
});

/** The first `n` events. */
export async function first(n: number, events: AsyncGenerator<{ type: string; object: Stored }>) {
  const found: { type: string; object: Stored }[] = [];
  for await (const event of events) {
    found.push(event);
    if (found.length === n) break;
  }
  return found;
}
