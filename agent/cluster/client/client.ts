/**
 * Connections to one API server: fetch with the cluster's CA, a client certificate and a proxy. The only place here that
 * names the platform. Not for: what is asked (api.ts), nor where credentials come from (credentials.ts).
 */

export interface Identity {
  /** PEM, both or none. */
  certificate?: string;
  key?: string;
  token?: string;
}

export interface Trust {
  /** `https://…` */
  server: string;
  /** PEM: one or more authorities, and no others are believed. */
  ca: string;
  proxyUrl?: string;
}

export interface Sent {
  method: string;
  /** With its query. */
  path: string;
  headers: Record<string, string>;
  body?: string;
  /** Ends the wait for the head of the answer; its body is to be cancelled by who reads it. */
  signal: AbortSignal;
}

export interface Connection {
  /** Rejects with the signal's reason, or with whatever the platform says when there is no answer. */
  send(identity: Identity, sent: Sent): Promise<Response>;
  /** The next request makes a connection of its own: a dead one would be used for ever. Answers under way go on. */
  renew(): void;
  close(): void;
}

let distrusts = false;

/**
 * The platform believes public authorities beside those that a client is given, unless its own list is empty when it is
 * first needed in this process. So this comes before any other connection with TLS.
 */
export function distrustPublicAuthorities(): void {
  if (distrusts) return;
  distrusts = true;
  const name = "DENO_TLS_CA_STORE";
  const before = Deno.env.get(name);
  Deno.env.set(name, "");
  Deno.createHttpClient({}).close();
  // Programs that are started inherit the environment.
  if (before === undefined) Deno.env.delete(name);
  else Deno.env.set(name, before);
}

export function createConnection(trust: Trust): Connection {
  distrustPublicAuthorities();
  let client: Deno.HttpClient | undefined;
  let made: Identity | undefined;

  function drop(): void {
    client?.close();
    client = undefined;
  }
  function clientFor(identity: Identity): Deno.HttpClient {
    const changed = made?.certificate !== identity.certificate || made?.key !== identity.key;
    if (changed) drop();
    made = identity;
    return client ??= open(trust, identity);
  }

  return {
    async send(identity, { method, path, headers, body, signal }) {
      return await fetch(trust.server + path, {
        client: clientFor(identity),
        method,
        headers: identity.token === undefined
          ? headers
          : { ...headers, authorization: `Bearer ${identity.token}` },
        ...(body === undefined ? {} : { body }),
        redirect: "manual",
        signal,
      });
    },
    renew: drop,
    close: drop,
  };
}

function open({ ca, proxyUrl }: Trust, { certificate, key }: Identity): Deno.HttpClient {
  return Deno.createHttpClient({
    caCerts: [ca],
    ...(proxyUrl === undefined ? {} : { proxy: { url: proxyUrl } }),
    ...(certificate === undefined || key === undefined ? {} : { cert: certificate, key }),
  });
}
