/** What is configured of the kubelet's API on its own port. Pure. Not for: reading settings. */
import { parseDuration } from "../model/duration.ts";

export interface KubeletApiConfig {
  enabled: boolean;
  address: string;
  /** 0 is off. */
  port: number;
  /** 0 is off. */
  readOnlyPort: number;
  /** "": of the cluster, where it is asked for one, else the agent's own. */
  certFile: string;
  keyFile: string;
  minVersion: "TLSv1.2" | "TLSv1.3";
  /** A certificate of the cluster is asked for. */
  serverTLSBootstrap: boolean;
  /** "" is none, or on a node of no cluster the agent's own authority. */
  clientCAFile: string;
  /** Whether tokens are believed that the API server knows, and for how long its answer holds. */
  tokens: boolean;
  tokenTTL: number;
  anonymous: boolean;
  alwaysAllow: boolean;
  /** How long a yes and a no of the API server hold. */
  allowTTL: number;
  denyTTL: number;
  /** exec, attach, logs, port-forward and what is for operators. */
  debugging: boolean;
  /** /var/log. */
  systemLogs: boolean;
  /** Ms after which a session in which nothing is said is closed. */
  sessionIdle: number;
}

export function toKubeletApi(values: ReadonlyMap<string, unknown>): KubeletApiConfig {
  const text = (key: string) => String(values.get(key) ?? "");
  const yes = (key: string) => values.get(key) === true;
  const port = (key: string) => Number(values.get(key) ?? 0);
  const time = (key: string) => parseDuration(text(key)) ?? 0;
  return {
    enabled: yes("enableServer"),
    address: text("address"),
    port: port("port"),
    readOnlyPort: port("readOnlyPort"),
    certFile: text("tlsCertFile"),
    keyFile: text("tlsPrivateKeyFile"),
    minVersion: text("tlsMinVersion") === "VersionTLS13" ? "TLSv1.3" : "TLSv1.2",
    serverTLSBootstrap: yes("serverTLSBootstrap"),
    clientCAFile: text("authentication.x509.clientCAFile"),
    tokens: yes("authentication.webhook.enabled"),
    tokenTTL: time("authentication.webhook.cacheTTL"),
    anonymous: yes("authentication.anonymous.enabled"),
    alwaysAllow: text("authorization.mode") === "AlwaysAllow",
    allowTTL: time("authorization.webhook.cacheAuthorizedTTL"),
    denyTTL: time("authorization.webhook.cacheUnauthorizedTTL"),
    debugging: yes("enableDebuggingHandlers"),
    systemLogs: yes("enableSystemLogHandler"),
    sessionIdle: time("streamingConnectionIdleTimeout"),
  };
}
