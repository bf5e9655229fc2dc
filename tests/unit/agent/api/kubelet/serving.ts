/** A kubelet's API on a port of this machine, and clients of it. Not for: assertions. */
import https from "node:https";
import type { AccessControl } from "../../../../../agent/api/kubelet/access.ts";
import { type Route, text } from "../../../../../agent/api/kubelet/routes.ts";
import {
  type KubeletServer,
  type KubeletServerOptions,
  serveKubelet,
} from "../../../../../agent/api/kubelet/server.ts";
import { parseCertificate } from "../../../../../agent/cluster/certificates/certificate.ts";
import { createLog } from "../../../../../agent/lib/log.ts";
import type { User } from "../../../../../agent/model/kubelet_access.ts";
import { type Authority, createAuthority, type Identity } from "../../../../fakes/cluster/authority.ts";

export const silent = createLog({ write: () => {}, format: "text", verbosity: 9, now: () => 0 });

export const userOf = (bytes: Uint8Array): User => {
  const { subject } = parseCertificate(Uint8Array.from(bytes));
  return { name: subject.commonName, groups: subject.organizations };
};

/** `/hello` says who asked. */
export const hello: Route = {
  methods: ["GET"],
  path: "/hello",
  answer: ({ user }) => text(200, `hello ${user.name}`),
};

/** Whoever is an administrator may. */
export const control: AccessControl = {
  allows: (user) => Promise.resolve(user.groups.includes("system:masters")),
  anonymous: false,
  log: silent,
};

export interface Served extends AsyncDisposable {
  server: KubeletServer;
  authority: Authority;
  admin: Identity;
  ask(path: string, how?: Asking): Promise<Answer>;
}

export interface Asking {
  as?: Identity | undefined;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Connections are kept in it. */
  agent?: https.Agent;
  maxVersion?: "TLSv1.2";
  ca?: string;
}

export interface Answer {
  status: number;
  body: string;
  headers: Record<string, string | string[] | undefined>;
  /** Common name of the server's certificate. */
  server: string;
}

export async function served(
  options:
    & Partial<Pick<KubeletServerOptions, "port" | "early" | "limits" | "answered" | "minVersion" | "log">>
    & {
      routes?: Route[];
      control?: Partial<AccessControl>;
      authority?: Authority;
    } = {},
): Promise<Served> {
  const authority = options.authority ?? await createAuthority();
  const serving = await authority.identity({ commonName: "node", organizations: [] }, "server", {
    ipAddresses: ["127.0.0.1"],
  });
  const admin = await authority.identity(
    { commonName: "admin", organizations: ["system:masters"] },
    "client",
  );
  const leave = new AbortController();
  const server = await serveKubelet({
    address: "127.0.0.1",
    port: options.port ?? 0,
    early: options.early ?? [],
    identity: { ...serving, clientCA: authority.cert },
    routes: options.routes ?? [hello],
    control: { ...control, ...options.control },
    userOf,
    log: options.log ?? silent,
    limits: options.limits ?? {},
    ...(options.answered === undefined ? {} : { answered: options.answered }),
    ...(options.minVersion === undefined ? {} : { minVersion: options.minVersion }),
    signal: leave.signal,
  });
  return {
    server,
    authority,
    admin,
    ask: (path, how = {}) => ask(server.port, path, { ca: authority.cert, ...how }),
    async [Symbol.asyncDispose]() {
      leave.abort();
      await server.finished;
    },
  };
}

export function ask(port: number, path: string, { as, agent, body, ...more }: Asking): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = https.request({
    host: "127.0.0.1",
    port,
    path,
    agent: agent ?? false,
    ...(as === undefined ? {} : { cert: as.cert, key: as.key }),
    ...more,
  }, (response) => {
    let text = "";
    response.on("data", (part: Uint8Array) => text += new TextDecoder().decode(part));
    const socket = response.socket as unknown as { getPeerCertificate(): { subject?: { CN?: string } } };
    const server = socket.getPeerCertificate()?.subject?.CN ?? "";
    response.on("end", () =>
      resolve({
        status: response.statusCode ?? 0,
        body: text,
        headers: response.headers,
        server,
      }));
    response.on("error", reject);
  });
  request.on("error", reject);
  request.end(body);
  return promise;
}
