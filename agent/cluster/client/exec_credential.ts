/**
 * Credential plugins of kubeconfigs: what one is told, and what it answers. Pure. Source: client-go's
 * pkg/apis/clientauthentication, "client-go credential plugins". Not for: running one (credentials.ts).
 */
import { textToBase64 } from "../certificates/pem.ts";
import { type Kubeconfig } from "./kubeconfig.ts";

export interface ExecCredential {
  token?: string;
  /** PEM */
  certificate?: string;
  key?: string;
  /** Milliseconds since the epoch; absent: until it is refused. */
  expires?: number;
}

/** Content of KUBERNETES_EXEC_INFO. @param ca PEM */
export function execInfo({ exec, server, proxyUrl }: Kubeconfig, ca: string | undefined): string {
  const cluster = {
    server,
    ...(ca === undefined ? {} : { "certificate-authority-data": textToBase64(ca) }),
    ...(proxyUrl === undefined ? {} : { "proxy-url": proxyUrl }),
  };
  return JSON.stringify({
    apiVersion: exec!.apiVersion,
    kind: "ExecCredential",
    spec: { interactive: false, ...(exec!.provideClusterInfo ? { cluster } : {}) },
  });
}

/** Whether it can stand in a request's head. */
export const isToken = (text: string): boolean => /^[\x21-\x7e]+$/.test(text);

/** Or why the answer is none, without a word of its content. */
export function parseExecCredential(text: string, apiVersion: string): ExecCredential | { wrong: string } {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    return { wrong: "expected JSON on standard output" };
  }
  const { kind, apiVersion: version, status } = (answer ?? {}) as Record<string, unknown>;
  if (kind !== "ExecCredential" || version !== apiVersion) {
    return { wrong: `expected an ExecCredential of ${apiVersion}` };
  }
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = (status ?? {}) as Record<
    string,
    unknown
  >;
  const nonEmpty = (value: unknown) => typeof value === "string" && value !== "" ? value : undefined;
  const [certificate, key] = [nonEmpty(clientCertificateData), nonEmpty(clientKeyData)];
  if ((certificate === undefined) !== (key === undefined)) {
    return { wrong: "expected clientCertificateData and clientKeyData together" };
  }
  if (nonEmpty(token) === undefined && certificate === undefined) {
    return { wrong: "expected a token or a client certificate in its status" };
  }
  if (nonEmpty(token) !== undefined && !isToken(token as string)) {
    return { wrong: "expected a token of visible characters" };
  }
  const expires = expirationTimestamp === undefined ? undefined : Date.parse(String(expirationTimestamp));
  if (Number.isNaN(expires)) return { wrong: "expected a time as expirationTimestamp" };
  return {
    ...(nonEmpty(token) === undefined ? {} : { token: token as string }),
    ...(certificate === undefined || key === undefined ? {} : { certificate, key }),
    ...(expires === undefined ? {} : { expires }),
  };
}
