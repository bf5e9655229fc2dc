/**
 * Whom a kubeconfig lets a node believe: its authority, or, as in Go's programs, the system's list of them. Not for: the
 * connection (client.ts).
 */
import type { Host } from "../../ports.ts";
import { ApiError } from "./api_error.ts";
import type { Trust } from "./client.ts";
import { readSource } from "./credentials.ts";
import type { Kubeconfig } from "./kubeconfig.ts";

/** Source: Go's crypto/x509, root_linux.go. */
const bundles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** @throws {ApiError} when the authority cannot be read. */
export async function trustOf(host: Pick<Host, "readText">, kubeconfig: Kubeconfig): Promise<Trust> {
  const { server, ca, proxyUrl } = kubeconfig;
  return {
    server,
    ca: ca === undefined ? await systemAuthorities(host) : await readSource(host, ca),
    ...(proxyUrl === undefined ? {} : { proxyUrl }),
  };
}

async function systemAuthorities(host: Pick<Host, "readText">): Promise<string> {
  for (const path of bundles) {
    const text = await host.readText(path);
    if (text !== undefined) return text;
  }
  throw new ApiError(
    0,
    "Unauthorized",
    `the kubeconfig names no certificate authority, and the system has none (${
      bundles[0]
    }): expected certificate-authority-data`,
  );
}
