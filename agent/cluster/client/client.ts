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

/** A place for one request and its answer, to be disposed of when the answer has been read. */
export interface Lane extends Disposable {
  /** As of a connection. */
  send: Connection["send"];
}

export interface Connection {
  /** Rejects with the signal's reason, or with whatever the platform says when there is no answer. */
  send(identity: Identity, sent: Sent): Promise<Response>;
  /** For requests that last, or that are many at once: a connection carries only so many. */
  lane(): Lane;
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

/** One TCP connection, where the server speaks HTTP/2. */
interface Line {
  /** Requests under way. */
  users: number;
  clientFor(identity: Identity): Deno.HttpClient;
  drop(): void;
}

/** An API server takes 100 requests at once on one line; one more than it takes has been seen to break all of them. */
const mostUsers = 50;

export function createConnection(trust: Trust): Connection {
  distrustPublicAuthorities();
  const first = createLine(trust);
  const lines = [first];

  const leave = (line: Line) => {
    line.users--;
    if (line.users > 0 || line === first) return;
    lines.splice(lines.indexOf(line), 1);
    line.drop();
  };
  const drop = () => {
    for (const line of lines) line.drop();
  };

  return {
    send: (identity, sent) => sendOn(first, trust, identity, sent),
    lane() {
      const free = lines.find(({ users }) => users < mostUsers);
      const line = free ?? createLine(trust);
      if (free === undefined) lines.push(line);
      line.users++;
      return {
        send: (identity, sent) => sendOn(line, trust, identity, sent),
        [Symbol.dispose]: () => leave(line),
      };
    },
    renew: drop,
    close: drop,
  };
}

function createLine(trust: Trust): Line {
  let client: Deno.HttpClient | undefined;
  let made: Identity | undefined;

  function drop(): void {
    client?.close();
    client = undefined;
  }
  return {
    users: 0,
    drop,
    clientFor(identity) {
      const changed = made?.certificate !== identity.certificate || made?.key !== identity.key;
      if (changed) drop();
      made = identity;
      return client ??= open(trust, identity);
    },
  };
}

async function sendOn(
  line: Line,
  { server }: Trust,
  identity: Identity,
  { method, path, headers, body, signal }: Sent,
): Promise<Response> {
  return await fetch(server + path, {
    client: line.clientFor(identity),
    method,
    headers: identity.token === undefined
      ? headers
      : { ...headers, authorization: `Bearer ${identity.token}` },
    ...(body === undefined ? {} : { body }),
    redirect: "manual",
    signal,
  });
}

function open({ ca, proxyUrl }: Trust, { certificate, key }: Identity): Deno.HttpClient {
  return Deno.createHttpClient({
    caCerts: [ca],
    ...(proxyUrl === undefined ? {} : { proxy: { url: proxyUrl } }),
    ...(certificate === undefined || key === undefined ? {} : { cert: certificate, key }),
  });
}
